"""Simulated local steps: one objective with torch's own descent, records matched over epochs, and steps worth it."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from audit.attacks.local_steps import VmapSteps, fit, merged, reconstruct, slots, steps_engine
from audit.attacks.matching import Budget, Part, Problem
from audit.engines.base import LocalTraining
from audit.engines.sequential import Sequential

CPU = torch.device("cpu")


def small(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 6, 5, stride=2, padding=2), nn.Sigmoid(), nn.Flatten(),
        nn.Linear(96, 10),
    )  # fmt: skip


def trained(model: nn.Module, x: Tensor, y: Tensor, training: LocalTraining) -> list[Tensor]:
    """What torch's own SGD changes, over batches in order and from the start again."""
    after = copy.deepcopy(model)
    optimiser = torch.optim.SGD(after.parameters(), lr=training.learning_rate)
    size = min(training.batch_size or len(x), len(x))
    stream = [row % len(x) for row in range(training.steps * size)]
    for step in range(training.steps):
        rows = stream[step * size : (step + 1) * size]
        optimiser.zero_grad()
        nn.functional.cross_entropy(after(x[rows]), y[rows]).backward()
        optimiser.step()
    return [new.detach() - old.detach() for new, old in zip(after.parameters(), model.parameters(), strict=True)]


def problem_of(model: nn.Module, x: Tensor, y: Tensor, training: LocalTraining) -> Problem:
    """One case a row of `x` (n, B, 64)."""
    deltas = [trained(model, one, labels, training) for one, labels in zip(x, y, strict=True)]
    target = [torch.stack(tensors) for tensors in zip(*deltas, strict=True)]
    low, high = torch.zeros(1), torch.ones(1)
    return Problem((Part(model, target),), y, x.shape[1], (64,), low, high, classes=10, training=training)


@settings(max_examples=4, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    steps=st.integers(1, 3),
    batch=st.sampled_from([None, 1, 2]),
    records=st.integers(1, 3),
)
def test_vectorised_steps_are_the_sequential_ones(seed: int, steps: int, batch: int | None, records: int) -> None:
    model, training = small(seed).double(), LocalTraining(steps, 0.3, batch)
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand((3, records, 64), generator=generator, dtype=torch.float64).requires_grad_()
    y = torch.randint(0, 10, (3, records), generator=generator)
    target = [torch.randn(p.shape, generator=generator, dtype=torch.float64) for p in model.parameters()]
    found = []
    for engine in (VmapSteps(model, training), Sequential(model, training=training)):
        value = engine.objective(x, y, target)
        found.append((value.detach(), torch.autograd.grad(value.sum(), x)[0]))
    torch.testing.assert_close(found[0][0], found[1][0], rtol=0, atol=1e-10)
    torch.testing.assert_close(found[0][1], found[1][1], rtol=0, atol=1e-10)


@pytest.mark.parametrize(("records", "steps", "batch"), [(1, 5, None), (4, 3, None), (4, 4, 2), (4, 8, 1), (3, 5, 2)])
def test_the_truth_fits_what_torchs_own_descent_gives(digits, records: int, steps: int, batch: int | None) -> None:
    x = torch.from_numpy(digits.x[: 2 * records]).reshape(2, records, 64)
    y = torch.from_numpy(digits.y[: 2 * records]).reshape(2, records)
    problem = problem_of(small(), x, y, LocalTraining(steps, 0.5, batch))
    assert float(fit(problem, x, Budget(1, 1)).max()) < 1e-6
    assert float(fit(problem, 1 - x, Budget(1, 1)).min()) > 1e-3


def test_a_guess_stands_for_a_record_of_an_epoch() -> None:
    assert slots(8, LocalTraining(5, 0.1)) == 8
    assert slots(8, LocalTraining(5, 0.1, 8)) == 8
    assert slots(8, LocalTraining(8, 0.1, 2)) == 16
    assert slots(8, LocalTraining(2, 0.1, 2)) == 4


@given(seed=st.integers(0, 2**16), records=st.integers(1, 6), epochs=st.integers(1, 4), left=st.integers(0, 2))
def test_records_are_found_again_in_every_epoch_whatever_their_order(
    seed: int, records: int, epochs: int, left: int
) -> None:
    rng = np.random.default_rng(seed)
    truth = torch.from_numpy(10 * rng.normal(size=(records, 5)))
    labels = torch.from_numpy(rng.integers(0, 3, records))
    orders = [np.arange(records), *(rng.permutation(records) for _ in range(epochs - 1))]
    noise = torch.from_numpy(rng.normal(size=(epochs, records, 5)) * 1e-3)
    guesses = torch.cat([truth[order] + extra for order, extra in zip(orders, noise, strict=True)] + [truth[:left]])
    told = torch.cat([labels[order] for order in orders] + [labels[:left]])
    mean = sum(extra[np.argsort(order)] for order, extra in zip(orders, noise, strict=True)) / epochs
    if left < records or epochs > 1:
        found = merged(guesses[: epochs * records + min(left, records - 1)], told, records)
        torch.testing.assert_close(found, truth + mean)


def test_a_part_of_an_epoch_is_handed_in_as_it_is() -> None:
    guesses = torch.rand(3, 4)
    torch.testing.assert_close(merged(guesses, torch.zeros(3), 8), guesses)


@pytest.mark.parametrize("batch", [None, pytest.param(1, marks=pytest.mark.slow)])
def test_simulating_the_steps_finds_what_one_step_does_not(digits, batch: int | None) -> None:
    x, y = torch.from_numpy(digits.x[:8]).reshape(4, 2, 64), torch.from_numpy(digits.y[:8]).reshape(4, 2)
    problem = problem_of(small(), x, y, LocalTraining(3, 0.2, batch))
    found = reconstruct(problem, Budget(60, 1), torch.Generator().manual_seed(0))
    assert found.engine == "factored then vmap"
    assert (found.simulated_objective <= found.one_step_objective).all()
    distance = {
        name: torch.cdist(getattr(found, name), x).min(dim=1).values.mean() for name in ("one_step", "simulated")
    }
    assert distance["simulated"] < 0.6 * distance["one_step"]


def test_without_local_steps_both_readings_are_one(digits) -> None:
    model, x, y = small(), torch.from_numpy(digits.x[:1])[None], torch.from_numpy(digits.y[:1])[None]
    target = [-one[None] for one in trained(model, x[0], y[0], LocalTraining(1, 1.0))]
    problem = Problem((Part(model, target),), y, 1, (64,), torch.zeros(1), torch.ones(1), classes=10)
    found = reconstruct(problem, Budget(30, 1), torch.Generator().manual_seed(0))
    assert torch.equal(found.one_step, found.simulated)


class Undecided(nn.Module):
    """Asks about values on the way, for which there is no batching rule."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x if bool((x > 0).any()) else -x)


def test_what_cannot_be_vectorised_goes_one_after_another() -> None:
    training = LocalTraining(2, 0.1)
    assert type(steps_engine(Undecided(), training, 2, (64,), CPU)) is Sequential
    assert type(steps_engine(small(), training, 2, (64,), CPU)) is VmapSteps
    assert type(steps_engine(small(), training, 2, (64,), CPU, name="sequential")) is Sequential
