"""Whose sequence it is, against slow definitions."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.attacks.text_metrics import (
    edit_distances,
    identified_by_bags,
    identified_by_edits,
    pool_of,
    recalled,
    rouge_l,
    token_f1,
)

TOKENS = st.lists(st.integers(0, 3), min_size=1, max_size=6).map(tuple)


@cache
def slow_distance(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    """The recursive definition of Levenshtein."""
    if not one or not other:
        return len(one) + len(other)
    return min(
        slow_distance(one[1:], other) + 1,
        slow_distance(one, other[1:]) + 1,
        slow_distance(one[1:], other[1:]) + (one[0] != other[0]),
    )


def subsequences(text: tuple[int, ...]) -> set[tuple[int, ...]]:
    return {
        tuple(t for t, keep in zip(text, f"{bits:0{len(text)}b}", strict=True) if keep == "1")
        for bits in range(2 ** len(text))
    }


@given(TOKENS | st.just(()), st.lists(TOKENS, min_size=1, max_size=5))
def test_edit_distances_follow_the_definition(guess: tuple[int, ...], candidates: list[tuple[int, ...]]) -> None:
    expected = [slow_distance(guess, one) for one in candidates]
    np.testing.assert_array_equal(edit_distances(guess, pool_of(candidates)), expected)


@given(st.lists(TOKENS, min_size=1, max_size=4), st.lists(TOKENS, min_size=1, max_size=6), st.data())
def test_a_sequence_is_identified_where_it_alone_is_nearest(guesses, candidates, data) -> None:
    owners = [data.draw(st.sets(st.integers(0, len(candidates) - 1))) for _ in guesses]
    expected = np.zeros(len(candidates), dtype=bool)
    for guess, own in zip(guesses, owners, strict=True):
        distances = [slow_distance(guess, one) for one in candidates]
        nearest = [row for row, distance in enumerate(distances) if distance == min(distances)]
        if len(nearest) == 1 and nearest[0] in own:
            expected[nearest[0]] = True
    owned = [np.array(sorted(own), dtype=np.int64) for own in owners]
    np.testing.assert_array_equal(identified_by_edits(guesses, owned, pool_of(candidates)), expected)


def test_a_public_twin_makes_a_tie_and_nothing_read_identifies_nobody() -> None:
    pool = pool_of([(1, 2, 3), (1, 2, 3), (4,)])
    assert not identified_by_edits([(1, 2, 3)], [np.array([0])], pool).any()
    assert not identified_by_edits([()], [np.array([2])], pool).any()


def test_a_bag_identifies_all_its_own_records_or_none() -> None:
    pool = pool_of([(1, 2), (3, 4), (1, 5), (6, 7, 1)])
    assert identified_by_bags([(1, 2, 3, 4)], [np.array([0, 1])], pool).tolist() == [True, True, False, False]
    assert not identified_by_bags([(1, 2, 5)], [np.array([0])], pool).any()  # (1, 5) is in it as well
    assert not identified_by_bags([()], [np.array([0])], pool).any()
    assert identified_by_bags([(3, 9)], [np.array([1])], pool).tolist() == [False, True, False, False]


def test_luck_identifies_as_often_as_chance_says() -> None:
    rng = np.random.default_rng(0)
    candidates = [tuple(row) for row in rng.integers(0, 50, (50, 8)).tolist()]
    pool, own = pool_of(candidates), [np.array([row % 50]) for row in range(1000)]
    guesses = [tuple(row) for row in rng.integers(0, 50, (1000, 8)).tolist()]
    hits = sum(identified_by_edits([guess], [one], pool).any() for guess, one in zip(guesses, own, strict=True))
    assert hits <= 36  # of 1,000 at chance 1/50: more has a probability of 1e-3; ties, which are misses, make it fewer


@given(TOKENS, TOKENS)
def test_token_f1_and_rouge_l_follow_their_definitions(guess: tuple[int, ...], truth: tuple[int, ...]) -> None:
    shared = sum(min(guess.count(token), truth.count(token)) for token in set(truth))
    longest = max(len(one) for one in subsequences(guess) & subsequences(truth))
    total = len(guess) + len(truth)
    assert token_f1(guess, truth) == pytest.approx(2 * shared / total)
    assert rouge_l(guess, truth) == pytest.approx(2 * longest / total)


def test_a_secret_is_recalled_at_its_place_alone() -> None:
    assert recalled((1, 2, 3), (1, 2, 3), (False, True, True)) == (2, 2)
    assert recalled((2, 1), (1, 2, 3), (False, True, True)) == (0, 2)
