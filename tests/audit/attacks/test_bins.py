"""Parallel rows and their bins: found under scale, sign and order, read exactly, and not seen where there are none."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.attacks.bins import LEAST_ROWS, MOST_ROWS, Bins, bins_of, neighbour_differences, parallel_groups

Array = npt.NDArray[np.float64]


def rng_of(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def joined_slowly(rows: Array, least: float = 0.999) -> set[frozenset[int]]:
    """Union-find in the words of the definition: rows with |cosine| of at least `least` to one another are joined."""
    parent = list(range(len(rows)))

    def root(i: int) -> int:
        return i if parent[i] == i else root(parent[i])

    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    for i in range(len(rows)):
        for j in range(i):
            if abs(float(unit[i] @ unit[j])) >= least:
                parent[root(i)] = root(j)
    groups: dict[int, set[int]] = {}
    for i in range(len(rows)):
        groups.setdefault(root(i), set()).add(i)
    return {frozenset(group) for group in groups.values() if len(group) >= LEAST_ROWS}


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**16), parallel=st.integers(0, 30), other=st.integers(0, 30))
def test_groups_are_those_of_a_slow_union_find_whatever_scale_sign_and_order(
    seed: int, parallel: int, other: int
) -> None:
    rng = rng_of(seed)
    factors = rng.uniform(0.1, 10, parallel) * rng.choice([-1, 1], parallel)
    rows = np.concatenate([np.outer(factors, rng.normal(size=20)), rng.normal(size=(other, 20))])
    rows = rows[rng.permutation(len(rows))] if len(rows) else np.zeros((0, 20))
    found = {frozenset(members.tolist()) for members in parallel_groups(rows, rng)}
    assert found == joined_slowly(rows)


def test_rows_of_zeros_are_no_group() -> None:
    assert parallel_groups(np.zeros((40, 5)), rng_of()) == []


def test_a_chain_of_rows_that_slowly_turns_is_no_group() -> None:
    angles = np.linspace(0, np.pi, 120, endpoint=False)
    fan = np.column_stack([np.cos(angles), np.sin(angles)])
    assert joined_slowly(fan) == {frozenset(range(120))}
    assert all(len(members) < 6 for members in parallel_groups(fan, rng_of()))


def test_a_group_of_a_layer_too_large_to_compare_is_found_whole() -> None:
    rng = rng_of(1)
    rows = rng.normal(size=(3 * MOST_ROWS, 30))
    hidden = np.sort(rng.permutation(len(rows))[: MOST_ROWS // 4])
    rows[hidden] = np.outer(rng.uniform(0.5, 2, len(hidden)), rng.normal(size=30))
    (members,) = parallel_groups(rows, rng)
    np.testing.assert_array_equal(members, hidden)


def test_equal_thresholds_are_no_bins() -> None:
    measured = rng_of(2).normal(size=200)
    scale = np.linspace(0.5, 2, 40)[:, None]
    assert bins_of(scale * (measured - 0.3), np.arange(40)) is None
    assert bins_of(scale * (measured - np.linspace(50, 60, 40)[:, None]), np.arange(40)) is None
    assert bins_of(np.ones((40, 200)), np.arange(40)) is None


def test_thresholds_are_those_that_were_set() -> None:
    rng = rng_of(3)
    measured = rng.normal(size=500)
    scale = rng.uniform(0.5, 2, 20) * rng.choice([-1, 1], 20)
    thresholds = np.linspace(-1, 1, 20)
    found = bins_of(scale[:, None] * (measured - thresholds[:, None]), np.arange(20))
    assert found is not None
    order = np.argsort(thresholds if np.corrcoef(found.thresholds, thresholds)[0, 1] > 0 else -thresholds)
    assert (np.diff(found.thresholds[order]) > 0).all()
    assert found.levels == 20
    assert found.spread == pytest.approx(np.mean((measured >= -1) & (measured < 1)), abs=0.01)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**16), falling=st.floats(0, 0.5))
def test_a_record_alone_between_two_thresholds_comes_back_exactly(seed: int, falling: float) -> None:
    rng = rng_of(seed)
    records, direction = rng.normal(size=(6, 9)), rng.normal(size=9)
    scale = rng.uniform(0.3, 3, 64) * np.where(rng.random(64) < falling, -1.0, 1.0)
    thresholds = rng.permutation(np.linspace(-8, 8, 64))
    units = scale[:, None] * ((records @ direction)[None] - thresholds[:, None])
    outgoing = rng.uniform(0.3, 3, 64)
    impulses = rng.normal(size=6)
    through = outgoing[:, None] * (units > 0) * impulses  # dL/dz of each unit for each record
    bins = Bins(np.arange(64), scale, thresholds, 64, 1.0)
    guesses = neighbour_differences(through @ records, through.sum(axis=1), bins, outgoing, 24)
    assert len(guesses) <= 24
    for sign in (1, -1):
        edges = np.sort(thresholds[np.sign(scale) == sign])
        cell = np.searchsorted(edges, records @ direction)
        outermost = 0 if sign > 0 else len(edges)  # there no unit of this sign fires
        alone = [i for i in range(6) if (cell == cell[i]).sum() == 1 and cell[i] != outermost]
        for record in records[alone]:
            assert np.abs(guesses - record).max(axis=1).min() < 1e-6
