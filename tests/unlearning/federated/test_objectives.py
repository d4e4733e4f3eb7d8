import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import cross_entropy, softmax

from unlearning.federated.divergences import DIVERGENCES, divergence
from unlearning.federated.objectives import (
    Ascent,
    CrossEntropy,
    Distillation,
    GuardedDivergence,
    Losses,
    Objective,
)

# three labels; the teacher is fairly sure of label 0
TEACHER = torch.tensor([2.0, 0.0, -1.0], dtype=torch.float64)
LABEL = torch.tensor(0)


def said_of(
    objective: Objective, logits: Tensor, y: Tensor = LABEL, teacher: Tensor = TEACHER
) -> tuple[Losses, Tensor]:
    """What an objective says of one example, and the gradient that its logits see."""
    leaf = logits.clone().requires_grad_()
    losses = objective(leaf.unsqueeze(0), y.unsqueeze(0), teacher.unsqueeze(0))
    (gradient,) = torch.autograd.grad(losses.values.sum(), leaf, allow_unused=True)
    found = Losses(losses.values.detach(), losses.capped)
    return found, torch.zeros_like(logits) if gradient is None else gradient


def guarded(name: str, cap: float = 5.0, **options: Any) -> GuardedDivergence:
    return GuardedDivergence(divergence(name), cap, **options)


def after_a_step(objective: Objective, logits: Tensor) -> float:
    """Probability of the label after a short step down the objective."""
    gradient = said_of(objective, logits)[1]
    return float(softmax(logits - 0.1 * gradient / gradient.norm(), 0)[LABEL])


def test_the_teacher_is_a_stationary_point_of_every_divergence_and_not_of_the_guarded_objective() -> None:
    for name in DIVERGENCES:
        assert float(said_of(guarded(name, directed=False), TEACHER)[1].norm()) < 1e-12
        gradient = said_of(guarded(name), TEACHER)[1]
        torch.testing.assert_close(gradient, said_of(Ascent(), TEACHER)[1])
        assert float(gradient.norm()) > 0.1


@pytest.mark.parametrize("name", DIVERGENCES)
def test_the_guard_turns_a_student_that_has_grown_surer_of_the_label(name: str) -> None:
    surer = torch.tensor([3.0, 0.0, -1.0], dtype=torch.float64)
    before = float(softmax(surer, 0)[LABEL])
    assert after_a_step(guarded(name), surer) < before
    assert after_a_step(guarded(name, directed=False), surer) > before  # without it, forgetting teaches


@pytest.mark.parametrize("name", DIVERGENCES)
def test_beyond_the_guard_the_divergence_leads_further_from_the_label(name: str) -> None:
    less_sure = torch.tensor([1.0, 0.5, -1.0], dtype=torch.float64)
    losses, gradient = said_of(guarded(name), less_sure)
    torch.testing.assert_close(losses.values, -divergence(name).value(TEACHER, less_sure.unsqueeze(0)))
    torch.testing.assert_close(gradient, -divergence(name).logit_gradient(TEACHER, less_sure))
    assert after_a_step(guarded(name), less_sure) < float(softmax(less_sure, 0)[LABEL])


def test_the_guard_holds_within_the_margin() -> None:
    near = TEACHER - torch.tensor([0.02, 0.0, 0.0], dtype=torch.float64)
    gap = float(softmax(TEACHER, 0)[0] - softmax(near, 0)[0])
    assert 0 < gap < 0.01
    held = said_of(guarded("kl", margin=0.01), near)[0].values
    torch.testing.assert_close(held, -cross_entropy(near.unsqueeze(0), LABEL.unsqueeze(0), reduction="none"))
    past = said_of(guarded("kl", margin=gap / 2), near)[0].values
    torch.testing.assert_close(past, -divergence("kl").value(TEACHER, near.unsqueeze(0)))


@pytest.mark.parametrize("name", DIVERGENCES)
@pytest.mark.parametrize("directed", [True, False])
@pytest.mark.parametrize("factor", [0.3, 1.0, 3.0])
def test_a_capped_example_has_no_gradient(name: str, directed: bool, factor: float) -> None:
    far = torch.tensor([-400.0, 300.0, 0.0], dtype=torch.float64)
    cap = min(factor * divergence(name).cap, 0.999 * float(divergence(name).value(TEACHER, far)))
    losses, gradient = said_of(guarded(name, cap, directed=directed), far)
    assert torch.equal(gradient, torch.zeros_like(gradient))
    assert losses.capped is not None
    assert bool(losses.capped.all())
    assert float(losses.values) == pytest.approx(-cap)


def test_a_cap_above_the_divergences_own_is_used() -> None:
    away = torch.tensor([-6.0, 2.0, -1.0], dtype=torch.float64)  # KL 6.4, above its own cap of 5
    losses, gradient = said_of(guarded("kl", 10.0), away)
    assert 5 < -float(losses.values) < 10
    assert losses.capped is not None
    assert not bool(losses.capped.any())
    torch.testing.assert_close(gradient, softmax(TEACHER, 0) - softmax(away, 0))


def test_a_guarded_example_stops_at_chance() -> None:
    sure_of_another = torch.tensor([2.0, 0.0, 0.0], dtype=torch.float64)
    lost = torch.tensor([-3.0, 1.0, 1.0], dtype=torch.float64)  # less likely than chance, more than to the teacher
    teacher = torch.tensor([-9.0, 1.0, 1.0], dtype=torch.float64)
    losses, gradient = said_of(guarded("kl"), lost, teacher=teacher)
    assert float(losses.values) == pytest.approx(-math.log(3))
    assert torch.equal(gradient, torch.zeros_like(gradient))
    assert losses.capped is not None
    assert bool(losses.capped.all())
    assert float(said_of(guarded("kl"), sure_of_another, teacher=teacher)[1].norm()) > 0


@settings(max_examples=60, deadline=None)
@given(
    logits=st.lists(st.floats(-350, 350), min_size=3, max_size=3),
    teacher=st.lists(st.floats(-350, 350), min_size=3, max_size=3),
    name=st.sampled_from(tuple(DIVERGENCES)),
    directed=st.booleans(),
    y=st.integers(0, 2),
)
def test_guarded_losses_and_gradients_are_finite_and_within_the_cap(
    logits: list[float], teacher: list[float], name: str, directed: bool, y: int
) -> None:
    objective = guarded(name, divergence(name).cap, directed=directed)
    losses, gradient = said_of(objective, torch.tensor(logits), torch.tensor(y), torch.tensor(teacher))
    assert bool(torch.isfinite(gradient).all())
    assert 0 <= -float(losses.values) <= max(divergence(name).cap, math.log(3)) * (1 + 1e-6)


def test_distillation_is_the_weighted_sum_of_its_two_parts() -> None:
    source = torch.Generator().manual_seed(0)
    logits, teacher = torch.randn(2, 4, 3, generator=source), torch.randn(2, 4, 3, generator=source)
    y = torch.randint(3, (2, 4), generator=source)
    found = Distillation(divergence("js"), 0.5, 2.0, temperature=3.0)(logits, y, teacher).values
    for model in range(2):
        for place in range(4):
            p, q = softmax(teacher[model, place] / 3, 0), softmax(logits[model, place] / 3, 0)
            middle = (p + q) / 2
            shannon = 0.5 * float((p * (p / middle).log()).sum() + (q * (q / middle).log()).sum())
            expected = 0.5 * shannon + 2.0 * float(-softmax(logits[model, place], 0)[y[model, place]].log())
            assert float(found[model, place]) == pytest.approx(expected, rel=1e-5)


def test_distillation_calls_back_what_has_gone_beyond_the_cap() -> None:
    far = torch.tensor([-9.0, 5.0, 0.0], dtype=torch.float64)
    gradient = said_of(Distillation(divergence("kl"), 1.0, 0.0), far)[1]
    torch.testing.assert_close(gradient, softmax(far, 0) - softmax(TEACHER, 0))


@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_without_weight_no_teacher_is_asked(alpha: float) -> None:
    objective = Distillation(divergence("js"), alpha)
    assert objective.needs_teacher == (alpha > 0)
    logits, y = torch.randn(4, 3), torch.randint(3, (4,))
    if alpha:
        with pytest.raises(ValueError, match="teacher"):
            objective(logits, y, None)
    else:
        torch.testing.assert_close(objective(logits, y, None).values, CrossEntropy()(logits, y, None).values)


def test_the_guard_is_refused_without_a_teacher() -> None:
    with pytest.raises(ValueError, match="teacher"):
        guarded("kl")(torch.zeros(1, 3), torch.zeros(1, dtype=torch.int64), None)


def test_ascent_is_training_backwards() -> None:
    logits, y = torch.randn(5, 3), torch.randint(3, (5,))
    assert torch.equal(Ascent()(logits, y, None).values, -CrossEntropy()(logits, y, None).values)
