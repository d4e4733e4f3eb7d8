"""The search itself: it recovers what it can, knows what it is told, and is stopped by noise."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from audit.attacks.matching import Budget, Part, Problem, prior_weight, reconstruct, smooth, total_variation
from audit.attacks.quasi_newton import descend
from audit.defences import gaussian, top_k
from audit.engines.base import PLAIN, Matching

N = 12


def lenet(channels: int = 1, side: int = 8) -> nn.Sequential:
    """A small sigmoid network with the uniform weights of the DLG paper."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(channels, 6, 3, padding=1, stride=2), nn.Sigmoid(), nn.Conv2d(6, 12, 3, padding=1), nn.Sigmoid(),
        nn.Flatten(), nn.Linear(12 * (side // 2) ** 2, 10),
    )  # fmt: skip
    for parameter in model.parameters():
        nn.init.uniform_(parameter, -0.5, 0.5)
    return model


def rectified() -> nn.Sequential:
    torch.manual_seed(0)
    first = nn.Conv2d(1, 8, 3, padding=1)
    return nn.Sequential(
        first, nn.ReLU(), nn.Conv2d(8, 8, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(128, 10)
    )


def seen(model: nn.Module, x: Tensor, y: Tensor, defend=lambda update: update) -> list[Tensor]:
    """What a client each sends of one record, after a defence."""
    sent = []
    for record, label in zip(x, y, strict=True):
        loss = functional.cross_entropy(model(record[None]), label[None])
        gradient = torch.autograd.grad(loss, list(model.parameters()))
        hidden = defend({str(i): one.double().numpy() for i, one in enumerate(gradient)})
        sent.append([torch.from_numpy(np.asarray(one)).float() for one in hidden.values()])
    return [torch.stack(parts) for parts in zip(*sent, strict=True)]


def posed(model: nn.Module, target: list[Tensor], y: Tensor | None, shape=(1, 8, 8), **keys: object) -> Problem:
    labels = None if y is None else y[:, None]
    picture = shape if len(shape) == 3 else None
    known = {"picture": picture, "prior": prior_weight(picture), "classes": 10, **keys}
    return Problem((Part(model, target),), labels, 1, shape, torch.zeros(1), torch.ones(1), **known)


def decibels(found: Tensor, x: Tensor) -> Tensor:
    return -10 * torch.log10(((found.reshape(x.shape) - x) ** 2).flatten(1).mean(dim=1) + 1e-20)


def records(digits) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(digits.x[:N]).reshape(N, 1, 8, 8), torch.from_numpy(digits.y[:N])


def start() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def test_a_smooth_small_model_gives_nine_of_ten_records_back(digits) -> None:
    x, y = records(digits)
    model = lenet()
    found = reconstruct(posed(model, seen(model, x, y), y), Budget(1, 1, quasi_newton=100), start())
    assert (decibels(found.records, x) > 20).float().mean() >= 0.9
    assert (found.engine, found.objective.shape) == ("factored", (N,))


def test_signed_gradients_find_records_behind_rectifiers(digits) -> None:
    x, y = records(digits)
    model = rectified()
    found = reconstruct(posed(model, seen(model, x, y), y), Budget(100, 1), start())
    assert decibels(found.records, x).median() > 17
    assert not smooth(model)


def test_the_start_with_the_least_objective_is_handed_in(digits) -> None:
    x, y = records(digits)
    model = rectified()
    problem = posed(model, seen(model, x[:2], y[:2]), y[:2])
    one, four = (reconstruct(problem, Budget(30, restarts), start()) for restarts in (1, 4))
    assert (four.objective <= one.objective.max()).all()
    again = reconstruct(problem, Budget(30, 4), start())
    torch.testing.assert_close(again.records, four.records, rtol=0, atol=0)


@pytest.mark.parametrize(("keep", "gain"), [(0.1, 1.0), pytest.param(0.03, 0.3, marks=pytest.mark.slow)])
def test_who_compares_what_survived_sees_more_than_who_does_not(digits, keep: float, gain: float) -> None:
    x, y = records(digits)
    model = rectified()
    target = seen(model, x, y, lambda update: top_k(update, keep))
    naive, aware = (
        decibels(reconstruct(posed(model, target, y, matching=matching), Budget(100, 1), start()).records, x).mean()
        for matching in (PLAIN, Matching(surviving=True))
    )
    assert aware > naive + gain


@pytest.mark.slow
def test_signs_are_matched_softly(digits) -> None:
    x, y = records(digits)
    model = rectified()
    target = [one.sign() for one in seen(model, x, y)]
    naive, soft = (
        decibels(reconstruct(posed(model, target, y, matching=matching), Budget(100, 1), start()).records, x).mean()
        for matching in (PLAIN, Matching(sharpness=2.0))
    )
    assert soft > naive + 1.0


def test_noise_stops_every_search(digits) -> None:
    x, y = records(digits)
    rng = np.random.default_rng(0)
    for model, budget in ((lenet(), Budget(1, 1, quasi_newton=60)), (rectified(), Budget(60, 1))):
        target = seen(model, x, y, lambda update: gaussian(update, 1.0, rng))
        assert decibels(reconstruct(posed(model, target, y), budget, start()).records, x).max() < 15


@pytest.mark.slow
def test_labels_that_are_not_known_are_sought(digits) -> None:
    x, y = records(digits)
    model = rectified()
    found = reconstruct(posed(model, seen(model, x, y), None), Budget(100, 1), start())
    assert (found.labels[:, 0] == y).float().mean() >= 0.7


@pytest.mark.slow
def test_several_models_of_one_record_say_more_than_one(digits) -> None:
    x, y = records(digits)
    first, second = rectified(), rectified()
    nn.init.normal_(second[0].weight, std=0.3, generator=start())
    rng = np.random.default_rng(0)
    targets = [seen(model, x, y, lambda update: gaussian(update, 0.02, rng)) for model in (first, second)]
    alone = posed(first, targets[0], y)
    both = Problem(
        (Part(first, targets[0]), Part(second, targets[1])), alone.labels, 1, alone.shape, alone.low, alone.high,
        picture=alone.picture, prior=alone.prior,
    )  # fmt: skip
    of_one, of_two = (decibels(reconstruct(one, Budget(100, 1), start()).records, x).mean() for one in (alone, both))
    assert of_two > of_one


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_pictures_of_any_channels_have_a_prior(channels: int) -> None:
    flat = torch.full((2, 1, channels, 6, 6), 0.5)
    edge = flat.clone()
    edge[1, ..., 3:] = 1.0
    variation = total_variation(edge)
    assert float(variation[0]) == 0.0
    assert float(variation[1]) == pytest.approx(0.5 * 6 / 36)
    x, y = torch.rand(1, channels, 8, 8), torch.tensor([3])
    model = lenet(channels)
    problem = posed(model, seen(model, x, y), y, shape=(channels, 8, 8))
    assert reconstruct(problem, Budget(2, 1), start()).records.shape == (1, 1, channels, 8, 8)


def test_descent_solves_each_problem_by_itself() -> None:
    generator = torch.Generator().manual_seed(0)
    roots = torch.randn(5, 8, 8, dtype=torch.float64, generator=generator)
    forms = roots @ roots.transpose(1, 2) + torch.eye(8, dtype=torch.float64)
    wanted = torch.randn(5, 8, dtype=torch.float64, generator=generator)

    def function(x: Tensor) -> tuple[Tensor, Tensor]:
        slope = ((x - wanted)[:, None] @ forms)[:, 0]
        return ((x - wanted) * slope).sum(dim=1) / 2, slope

    found = descend(function, torch.zeros(5, 8, dtype=torch.float64), 80)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)
    alone = descend(
        lambda x: (lambda v, s: (v[1:2], s[1:2]))(*function(x.expand(5, 8))), torch.zeros(1, 8, dtype=torch.float64), 80
    )
    torch.testing.assert_close(alone[0], found[1])
