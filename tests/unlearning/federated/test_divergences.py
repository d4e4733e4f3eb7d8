"""The f-divergences: the definitions, known answers to many digits, and finite numbers wherever logits are."""

import json
import math
import pickle
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.func import grad, vmap

from unlearning.errors import UnlearningError
from unlearning.federated.divergences import DIVERGENCES, Alpha, Divergence, divergence

FOLDER = Path(__file__).parents[2] / "vectors"
CASES = json.loads((FOLDER / "unlearning/divergences.json").read_text("utf-8"))["cases"]
ORDERS = (-0.5, 0.5, 1.5, 3.0)
EVERY = [divergence(name) for name in DIVERGENCES if name != "alpha"] + [Alpha(order=order) for order in ORDERS]
every = pytest.mark.parametrize("d", EVERY, ids=[f"{d.name}-{getattr(d, 'order', '')}".rstrip("-") for d in EVERY])

logits = st.lists(st.floats(-12, 12), min_size=3, max_size=3).map(lambda z: torch.tensor(z, dtype=torch.float64))


def uncapped(d: Divergence) -> Divergence:
    return divergence(d.name, order=getattr(d, "order", 1.5), cap=math.inf)


def defined(d: Divergence, teacher: Tensor, student: Tensor) -> Tensor:
    """The definition, word by word; autograd differentiates it."""
    p, q = teacher.softmax(-1), student.softmax(-1)
    return (q * d.f(p / q)).sum(-1)


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_values_and_gradients_are_exact_to_nine_digits(case: dict[str, Any]) -> None:
    teacher, student = (torch.tensor(case[side], dtype=torch.float64) for side in ("teacher", "student"))
    for answer in case["answers"]:
        d = divergence(answer["divergence"], order=answer.get("order", 1.5), cap=math.inf)
        expected = torch.tensor([float(one) for one in answer["gradient"]], dtype=torch.float64)
        found = d.logit_gradient(teacher, student)
        assert d.value(teacher, student).item() == pytest.approx(float(answer["value"]), rel=1e-9), answer
        assert (found - expected).abs().max() <= 1e-9 * expected.abs().max(), answer


def test_the_known_answers_are_what_their_script_builds() -> None:
    script = runpy.run_path(str(FOLDER / "build_divergences.py"))
    assert script["text"]() == script["FILE"].read_text("utf-8")


@pytest.mark.parametrize(
    ("name", "value", "norm"),
    [
        ("kl", 6.78, 1.04),
        ("reverse-kl", 4.59, 0.012),
        ("js", 0.661, 0.0036),
        ("chi2", 979, 1030),
        ("hellinger", 1.74, 0.033),
        ("tv", 0.989, 0.001),
        ("alpha", 40, 22),
    ],
)
def test_a_student_that_forgot_is_as_far_as_was_measured(name: str, value: float, norm: float) -> None:
    teacher = torch.tensor([0.99, *[0.01 / 9] * 9], dtype=torch.float64).log()
    student = torch.tensor([1e-3, *[0.999 / 9] * 9], dtype=torch.float64).log()
    d = divergence(name, cap=math.inf)
    assert d.value(teacher, student).item() == pytest.approx(value, rel=6e-3)  # to the digits that were written down
    assert d.logit_gradient(teacher, student).norm().item() == pytest.approx(norm, rel=6e-2)


@every
def test_fenchel_and_young_agree(d: Divergence) -> None:
    u = torch.logspace(-3, 3, 200, dtype=torch.float64)
    u = u[(u - 1).abs() > 1e-3]  # total variation has a kink at 1
    slope = d.derivative(u)
    torch.testing.assert_close(d.f(u) + d.conjugate(slope), u * slope, rtol=1e-9, atol=1e-9)


@every
@settings(max_examples=20)  # of each of the ten
@given(t=st.floats(-3, 3))
def test_the_conjugate_is_the_largest_gap(d: Divergence, t: float) -> None:
    u = torch.cat([torch.zeros(1), torch.logspace(-6, 6, 4001)]).double()
    u[0] = 1e-300  # as good as 0, where f may be infinite
    gaps = u * t - d.f(u)
    claimed = d.conjugate(torch.tensor(t, dtype=torch.float64)).item()
    assert claimed >= gaps.max().item() - 1e-9 * (1 + gaps.max().abs().item())
    if gaps.argmax() + 1 < len(gaps):  # else the best u lies outside the grid
        assert claimed == pytest.approx(gaps.max().item(), rel=1e-2, abs=1e-2)


@every
@settings(max_examples=20)  # of each of the ten
@given(teacher=logits, student=logits)
def test_a_divergence_is_positive_bounded_and_zero_only_for_equals(
    d: Divergence, teacher: Tensor, student: Tensor
) -> None:
    value = d.value(teacher, student).item()
    assert 0 <= value <= d.upper_bound * (1 + 1e-12)
    assert d.value(teacher, teacher).item() == 0
    assert d.logit_gradient(teacher, teacher).abs().max() < 1e-14  # the stationary point that f-FUM starts from
    apart = (teacher.softmax(-1) - student.softmax(-1)).abs().max().item()
    assert value > 0 or apart < 1e-12


@every
@settings(max_examples=20)  # of each of the ten
@given(teacher=logits, student=logits)
def test_the_gradient_is_that_of_the_definition_and_sums_to_zero(
    d: Divergence, teacher: Tensor, student: Tensor
) -> None:
    free = uncapped(d)
    variable = student.clone().requires_grad_()
    [expected] = torch.autograd.grad(defined(d, teacher, variable), variable)
    found = free.logit_gradient(teacher, student)
    scale = 1e-9 * (1 + d.value(teacher, student).item())
    if not (d.name == "tv" and (teacher.softmax(-1) - student.softmax(-1)).abs().min() < 1e-12):
        assert (found - expected).abs().max() <= scale
    assert found.sum().abs().item() <= scale


@every
@settings(max_examples=20)  # of each of the ten
@given(ends=st.tuples(logits, logits, logits, logits), share=st.floats(0, 1))
def test_a_divergence_is_convex_along_mixtures(
    d: Divergence, ends: tuple[Tensor, Tensor, Tensor, Tensor], share: float
) -> None:
    p, q, other_p, other_q = ends
    mixed_p, mixed_q = (
        (share * a.softmax(-1) + (1 - share) * b.softmax(-1)).log() for a, b in ((p, other_p), (q, other_q))
    )
    above = share * d.value(p, q) + (1 - share) * d.value(other_p, other_q)
    assert d.value(mixed_p, mixed_q).item() <= above.item() * (1 + 1e-9) + 1e-12


@given(teacher=logits, student=logits)
def test_js_is_symmetric_and_the_two_kls_are_one_another_reversed(teacher: Tensor, student: Tensor) -> None:
    there, back = divergence("js").value(teacher, student), divergence("js").value(student, teacher)
    torch.testing.assert_close(there, back, rtol=1e-12, atol=0)
    kl, reverse = divergence("kl"), divergence("reverse-kl")
    torch.testing.assert_close(kl.value(teacher, student), reverse.value(student, teacher), rtol=1e-12, atol=0)


@given(teacher=logits, student=logits)
def test_alpha_of_order_two_is_half_of_chi2(teacher: Tensor, student: Tensor) -> None:
    half = divergence("chi2").value(teacher, student) / 2
    torch.testing.assert_close(divergence("alpha", order=2.0).value(teacher, student), half, rtol=1e-9, atol=1e-12)


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("apart", [88.0, 350.0, 700.0])
def test_finite_logits_give_finite_numbers(d: Divergence, dtype: torch.dtype, apart: float) -> None:
    teacher = torch.tensor([[apart, 0.0, 0.0], [0.0, apart, -apart], [apart, apart, 0.0]], dtype=dtype)
    student = torch.tensor([[0.0, 0.0, apart], [0.0, -apart, 0.0], [apart, 0.0, 0.0]], dtype=dtype)
    for one in (d, uncapped(d)):
        variable = student.clone().requires_grad_()
        loss = one.loss(teacher, variable)
        [gradient] = torch.autograd.grad(loss.sum(), variable)
        assert loss.isfinite().all()
        assert (loss > 0).all()
        assert gradient.isfinite().all()


@every
@settings(max_examples=20)  # of each of the ten
@given(teacher=logits, student=logits, cap=st.floats(1e-3, 1.0))
def test_a_capped_example_pulls_no_more(d: Divergence, teacher: Tensor, student: Tensor, cap: float) -> None:
    given_cap = divergence(d.name, order=getattr(d, "order", 1.5), cap=cap)
    variable = student.clone().requires_grad_()
    loss = given_cap.loss(teacher, variable)
    [gradient] = torch.autograd.grad(loss, variable)
    assert loss.item() == min(d.value(teacher, student).item(), cap)
    if loss.item() >= cap:
        assert (gradient == 0).all()
    else:  # negative control: below the cap it does pull
        assert torch.equal(gradient, uncapped(d).logit_gradient(teacher, student))


@every
def test_an_example_right_at_the_cap_is_capped(d: Divergence) -> None:
    teacher, student = torch.tensor([2.0, 0.0, -1.0]), torch.tensor([0.0, 1.0, 0.0])
    exactly = divergence(d.name, order=getattr(d, "order", 1.5), cap=d.value(teacher, student).item())
    assert (exactly.logit_gradient(teacher, student) == 0).all()
    assert (d.logit_gradient(teacher, student) != 0).any()


@every
def test_the_loss_takes_any_leading_dimensions_and_torch_func(d: Divergence) -> None:
    source = torch.Generator().manual_seed(1)
    teacher, student = (torch.randn(3, 4, 5, generator=source, dtype=torch.float64) for _ in range(2))
    variable = student.clone().requires_grad_()
    [together] = torch.autograd.grad(d.loss(teacher, variable).sum(), variable)
    alone: Callable[[Tensor, Tensor], Tensor] = lambda s, t: d.loss(t, s).mean()  # noqa: E731 - a loss as torch.func takes it
    torch.testing.assert_close(vmap(grad(alone))(student, teacher), together / 4, rtol=1e-12, atol=0)
    one_teacher = d.value(teacher[0], student)
    torch.testing.assert_close(one_teacher[2], d.value(teacher[0], student[2]), rtol=0, atol=0)


@every
def test_single_precision_keeps_five_digits(d: Divergence) -> None:
    source = torch.Generator().manual_seed(2)
    teacher, student = (torch.randn(50, 10, generator=source) for _ in range(2))
    exact = d.value(teacher.double(), student.double())
    torch.testing.assert_close(d.value(teacher, student).double(), exact, rtol=1e-5, atol=1e-6)


def test_the_teacher_is_frozen_and_no_number_slips_through() -> None:
    teacher, student = torch.randn(2, 3, requires_grad=True), torch.randn(2, 3, requires_grad=True)
    with pytest.raises(RuntimeError, match="not have been used in the graph"):
        torch.autograd.grad(divergence("kl").loss(teacher, student).sum(), teacher)
    broken = torch.tensor([[math.nan, 0.0, 0.0]])
    assert divergence("chi2").loss(torch.zeros(1, 3), broken).isnan().all()  # a training that diverged stays seen


@every
def test_a_divergence_travels_to_a_worker(d: Divergence) -> None:
    assert pickle.loads(pickle.dumps(d)) == d


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"name": "wasserstein"}, "unlearning.divergence"),
        ({"name": "alpha", "order": 1.0}, "unlearning.order"),
        ({"name": "alpha", "order": math.nan}, "unlearning.order"),
        ({"name": "kl", "cap": 0.0}, "unlearning.cap"),
        ({"name": "kl", "cap": math.nan}, "unlearning.cap"),
    ],
)
def test_what_means_nothing_is_refused(arguments: dict[str, Any], code: str) -> None:
    with pytest.raises(UnlearningError) as caught:
        divergence(**arguments)
    assert caught.value.code == code
    assert caught.value.hint


def test_default_caps_stay_below_what_the_bounded_reach() -> None:
    caps = {name: divergence(name).cap for name in DIVERGENCES}
    assert caps == {"kl": 5, "reverse-kl": 5, "js": 0.65, "chi2": 20, "hellinger": 1.9, "tv": 0.98, "alpha": 10}
    assert all(d.cap < d.upper_bound for d in map(divergence, DIVERGENCES))
    low = divergence("alpha", order=0.5)
    assert low.cap < low.upper_bound == 4.0
