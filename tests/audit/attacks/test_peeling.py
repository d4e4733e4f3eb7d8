"""Peeling: the algebra on sums made by hand, records that share every neuron, and rows that hold nothing."""

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from audit.attacks.linear import Knowledge, reconstruct
from audit.attacks.peeling import peeled
from audit.load import Truth
from audit.twin import LayerNames, Scale, clear_gradient, first_impulses

Array = npt.NDArray[np.float64]
PLAIN = Scale(np.zeros(1), np.ones(1))


def rows_of(records: Array, impulses: Array) -> Array:
    """The definition: a row is the sum over records of the impulse times (record, 1)."""
    return impulses @ np.column_stack([records, np.ones(len(records))])


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32), known=st.integers(1, 5), factor=st.sampled_from([1.0, -1e-6, 1e6]))
def test_the_one_unknown_record_comes_back_from_sums(seed: int, known: int, factor: float) -> None:
    rng = np.random.default_rng(seed)
    records = rng.uniform(0, 1, (known + 1, 20))
    impulses = rng.normal(size=(12 + 6 * known, known + 1))
    for one in range(known):  # each known record is silent in six rows where the unknown one speaks
        impulses[12 + 6 * one : 18 + 6 * one, one] = 0
    found = peeled(factor * rows_of(records, impulses), records[:known], 1)
    np.testing.assert_allclose(found, records[known:], atol=1e-6)


def test_a_record_found_sets_the_next_one_free() -> None:
    rng = np.random.default_rng(3)
    records, impulses = rng.uniform(0, 1, (3, 10)), np.zeros((6, 3))
    impulses[:2, 1] = rng.normal(size=2)
    impulses[2:4, 1:] = rng.normal(size=(2, 2))  # the third speaks in no row without the second
    impulses[4:6, 0] = impulses[4:6, 2] = rng.normal(size=2)
    impulses[4, 0] *= 2
    rows = rows_of(records, np.vstack([impulses, np.eye(3)[1:2] * 3, [[0, 0, 5.0]]]))
    assert len(peeled(rows, records[:1], 1)) == 1
    np.testing.assert_allclose(peeled(rows, records[:1], 2), records[1:], atol=1e-6)


@pytest.mark.parametrize("known", [0, 2])
def test_noise_hands_over_nothing(known: int) -> None:
    rng = np.random.default_rng(5)
    records, impulses = rng.uniform(0, 1, (4, 30)), rng.normal(size=(64, 4)) * (rng.random((64, 4)) < 0.5)
    noised = rows_of(records, impulses) + 0.1 * rng.normal(size=(64, 31))
    assert not len(peeled(noised, records[:known], 4))


def test_where_nobody_is_ever_silent_nothing_is_made_up() -> None:
    rng = np.random.default_rng(6)
    records, impulses = rng.uniform(0, 1, (4, 30)), rng.normal(size=(64, 4))
    assert not len(peeled(rows_of(records, impulses), records[:3], 1))


def test_records_without_a_neuron_to_themselves_are_read_in_a_perceptron() -> None:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(40, 128), nn.ReLU(), nn.Linear(128, 5))

    def impulses(records: Array, neurons: npt.NDArray[np.int64]) -> Array:
        first = LayerNames("0.weight", "0.bias")
        return first_impulses(model, first, torch.from_numpy(records).float(), PLAIN, neurons)

    shared = back = 0
    for _ in range(10):
        truth = Truth(torch.rand(8, 40), torch.randint(0, 5, (8,)))
        gradient = clear_gradient(model, truth, PLAIN, ("0.weight", "0.bias"))
        knowledge = Knowledge(8, 0.0, 1.0, np.zeros(40), np.ones(40), frozenset(), impulses)
        found = reconstruct(gradient["0.weight"], gradient["0.bias"], knowledge)
        guesses = next(one.records for one in found if one.variant == "ratio")
        active = (model[0](truth.x) > 0).numpy()
        without = ~active[:, active.sum(axis=0) == 1].any(axis=1)
        exact = np.abs(guesses[:, None] - truth.x.double().numpy()[None]).max(axis=2).min(axis=0) < 1e-3
        shared, back = shared + int(without.sum()), back + int((without & exact).sum())
    assert shared >= 10
    assert back >= 0.8 * shared
