"""Telling a record's rows from those of mixtures."""

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from audit.attacks.mixtures import by_promise, groups_of, shares_a_factor


def test_rows_of_one_record_are_one_group_the_largest_first() -> None:
    a, b = np.array([1.0, 2.0]), np.array([-3.0, 0.5])
    groups = groups_of(np.array([b, a, a * 1.0001, b * 10, a]), 1e-3)
    assert [sorted(group.tolist()) for group in groups] == [[1, 2, 4], [0], [3]]
    assert groups_of(np.zeros((0, 2)), 1e-3) == []


@given(st.integers(0, 2**16))
def test_corners_come_before_what_lies_between(seed: int) -> None:
    rng = np.random.default_rng(seed)
    corners = rng.normal(size=(3, 8))
    mixtures = rng.dirichlet(np.full(3, 2.0), size=6) @ corners
    rows = np.concatenate([mixtures, corners])
    order = rng.permutation(len(rows))
    groups = by_promise(rows[order], 3)
    assume(all(len(group) == 1 for group in groups))  # rows that agree would come first
    assert {int(order[group[0]]) for group in groups[:3]} == {6, 7, 8}


def test_a_common_factor_under_any_label_confirms() -> None:
    rng = np.random.default_rng(0)
    expected = rng.normal(size=(12, 4))
    seen = rng.normal(size=12)
    for row, label in ((2, 0), (5, 3), (9, 1)):
        seen[row] = -0.125 * expected[row, label]
    confirmed = shares_a_factor(seen, expected, np.arange(12))
    assert np.flatnonzero(confirmed).tolist() == [2, 5, 9]


def test_a_factor_shared_with_nobody_confirms_nobody() -> None:
    assert not shares_a_factor(np.array([1.0, 2.0]), np.array([[3.0], [7.0]]), np.arange(2)).any()
    assert not shares_a_factor(np.array([1.0]), np.zeros((1, 2)), np.arange(1)).any()
    alike = shares_a_factor(np.ones(3), np.ones((3, 1)), np.zeros(3, dtype=np.int64))
    assert not alike.any()  # rows that agree anyway are no evidence for one another


def test_of_two_factors_that_of_more_witnesses_is_taken() -> None:
    seen = np.array([2.0, 2.0, 5.0, 5.0, 5.0])
    confirmed = shares_a_factor(seen, np.ones((5, 1)), np.array([0, 1, 2, 3, 3]))
    assert confirmed.tolist() == [False, False, True, True, True]
