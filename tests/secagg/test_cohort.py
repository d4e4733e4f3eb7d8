"""Against the definitions, in fractions, one client and one pair at a time."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from secagg.cohort import isolated_clients, smallest_difference
from secagg.modular import PRIME, eliminate, multiply
from secagg.rational import read_fractions

Matrix = NDArray[Any]
participation = st.tuples(st.integers(0, 7), st.integers(0, 7)).flatmap(
    lambda shape: arrays(np.int64, shape, elements=st.integers(0, 1))
)


def rank(matrix: Matrix) -> int:
    rows = [[Fraction(int(value)) for value in row] for row in matrix]
    found = 0
    for column in range(matrix.shape[1]):
        pivot = next((i for i in range(found, len(rows)) if rows[i][column]), None)
        if pivot is None:
            continue
        rows[found], rows[pivot] = rows[pivot], rows[found]
        for i in range(found + 1, len(rows)):
            factor = rows[i][column] / rows[found][column]
            rows[i] = [a - factor * b for a, b in zip(rows[i], rows[found], strict=True)]
        found += 1
    return found


def isolated_by_definition(matrix: Matrix) -> tuple[int, ...]:
    clients = matrix.shape[1]
    units = np.eye(clients, dtype=np.int64)
    return tuple(i for i in range(clients) if rank(np.vstack([matrix, units[i]])) == rank(matrix))


def smallest_by_definition(matrix: Matrix) -> int | None:
    cohorts = {frozenset(np.flatnonzero(row).tolist()) for row in matrix}
    return min((len(one ^ other) for one in cohorts for other in cohorts if one != other), default=None)


@given(participation)
def test_isolated_are_those_whose_unit_vector_adds_no_rank(matrix: Matrix) -> None:
    assert isolated_clients(matrix) == isolated_by_definition(matrix)


@given(participation)
def test_the_smallest_difference_is_that_of_some_pair_of_cohorts(matrix: Matrix) -> None:
    assert smallest_difference(matrix) == smallest_by_definition(matrix)


@pytest.mark.parametrize(
    ("rounds", "isolated"),
    [
        ([[1, 1, 1, 1], [1, 1, 1, 0]], (3,)),  # one stayed away once
        ([[1, 1, 1, 1], [1, 1, 0, 0]], ()),  # two that are never told apart
        ([[1, 1, 0], [0, 1, 1], [1, 0, 1]], (0, 1, 2)),  # halves of sums: fractions, not differences
        ([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1], [1, 0, 0, 1]], ()),  # an even cycle says less than an odd one
        ([[1, 1, 1, 1]] * 5, ()),  # the same cohort again and again
        ([[0, 0, 1]], (2,)),  # a sum of one
    ],
)
def test_small_designs_come_out_as_by_hand(rounds: list[list[int]], isolated: tuple[int, ...]) -> None:
    assert isolated_clients(rounds) == isolated


@pytest.mark.parametrize("hidden", [1, 5, 12, 40])
def test_one_is_found_whose_combination_has_large_fractions(hidden: int) -> None:
    """A random block isolates its clients; a column of others in its rows is taken back by rows of its own."""
    rng = np.random.default_rng(hidden)
    block = rng.integers(0, 2, (hidden, hidden))
    others = rng.integers(0, 2, (hidden, 2 * hidden + 2))
    design = np.block([[block, others], [np.zeros_like(block), others]])
    expected = tuple(range(hidden)) if rank(block) == hidden else isolated_by_definition(design)
    assert isolated_clients(design) == expected


def test_fractions_beyond_one_digit_are_still_confirmed() -> None:
    """Seventy clients, two or three a round, told apart by fractions of 38 bits; three others hide none of them."""
    size = 70
    chain = np.eye(size, dtype=np.int64) + np.eye(size, k=1, dtype=np.int64) + np.eye(size, k=-2, dtype=np.int64)
    assert rank(chain) == size
    design = np.zeros((size + 1, size + 3), np.int64)
    design[:size, :size], design[0, size:], design[size, size:] = chain, 1, 1
    assert isolated_clients(design) == tuple(range(size))


def test_many_rounds_are_told_apart_from_too_few() -> None:
    rng = np.random.default_rng(3)
    rounds = rng.integers(0, 2, (120, 60))
    assert isolated_clients(rounds) == tuple(range(60))
    assert isolated_clients(rounds[:40]) == ()
    twice = np.vstack([rounds[:40], rounds[:40]])
    twice[40:, 7] ^= 1
    assert isolated_clients(twice) == (7,)
    assert smallest_difference(twice) == 1


def test_order_and_repetition_of_rounds_do_not_matter() -> None:
    rng = np.random.default_rng(4)
    rounds = rng.integers(0, 2, (9, 12))
    again = rounds[[*rng.permutation(9).tolist(), 3, 3]]
    assert isolated_clients(again) == isolated_clients(rounds)


@pytest.mark.parametrize("wrong", [[1, 0], [[0, 2]], [[0.5]], [[[1]]]])
def test_what_is_no_participation_is_refused(wrong: Any) -> None:
    for ask in (isolated_clients, smallest_difference):
        with pytest.raises(ValueError, match="participation"):
            ask(wrong)


@given(st.lists(st.tuples(st.integers(0, PRIME - 1), st.integers(0, PRIME - 1)), min_size=1))
def test_products_are_those_of_whole_numbers(pairs: list[tuple[int, int]]) -> None:
    left, right = (np.array(column, np.uint64) for column in zip(*pairs, strict=True))
    assert multiply(left, right).tolist() == [a * b % PRIME for a, b in pairs]


def test_products_at_the_edges_do_not_overflow() -> None:
    edges = [0, 1, 2**30, 2**31 - 1, 2**31, 2**60, PRIME - 1]
    left, right = np.array(edges, np.uint64)[:, None], np.array(edges, np.uint64)[None]
    assert multiply(left, right).tolist() == [[a * b % PRIME for b in edges] for a in edges]


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32))
def test_the_factors_are_those_of_the_square_where_the_bases_meet(rounds: int, clients: int, seed: int) -> None:
    matrix = np.random.default_rng(seed).integers(0, 2, (rounds, clients), dtype=np.uint8)
    echelon = eliminate(matrix)
    assert len(echelon.rows) == len(echelon.columns) == rank(matrix)
    square = matrix[np.ix_(echelon.rows, echelon.columns)].astype(object)
    right = np.arange(1, len(square) + 1, dtype=np.uint64)[:, None]
    assert (square @ echelon.solve(right).astype(object) % PRIME == right).all()
    assert (square.T @ echelon.solve_transposed(right).astype(object) % PRIME == right).all()


@given(st.lists(st.fractions(-(2**29), 2**29, max_denominator=2**9), min_size=1, max_size=2))
def test_fractions_are_read_back_from_their_residues(fractions: list[Fraction]) -> None:
    modulus = PRIME**3
    residues = [one.numerator * pow(one.denominator, -1, modulus) % modulus for one in fractions]
    assert read_fractions(residues, modulus) == tuple(fractions)
