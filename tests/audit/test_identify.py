"""Identification against its definition, on ties, duplicates, public neighbours and chance."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.stats import binom

from audit.identify import PUBLIC_TOLERANCE, Metric, identified, nearest_distance, psnr, ssim

Array = npt.NDArray[np.float64]
SHAPES = st.tuples(st.integers(1, 6), st.integers(1, 12), st.integers(1, 4))


def by_definition(guesses: Array, owners: list[set[int]], candidates: Array, metric: Metric) -> npt.NDArray[np.bool_]:
    """One guess, one candidate, one coordinate at a time."""
    hit = np.zeros(len(candidates), dtype=bool)
    for guess, own in zip(guesses, owners, strict=True):
        known = ~np.isnan(guess)
        if not known.any():
            continue
        if metric == "hamming":
            distances = [float((np.sign(guess[known]) != np.sign(c[known])).sum()) for c in candidates]
        elif metric == "cosine":
            if not guess.any():
                continue
            unit = guess / np.linalg.norm(guess)
            distances = [float(((unit - c / (np.linalg.norm(c) or 1)) ** 2).sum()) for c in candidates]
        else:
            distances = [float(((guess[known] - c[known]) ** 2).sum()) for c in candidates]
        nearest = [i for i, d in enumerate(distances) if d <= min(distances) + 1e-11]
        if len(nearest) == 1 and nearest[0] in own:
            hit[nearest[0]] = True
    return hit


@given(shape=SHAPES, data=st.data(), metric=st.sampled_from(["l2", "hamming", "cosine"]))
def test_it_agrees_with_the_definition(shape: tuple[int, int, int], data: st.DataObject, metric: Metric) -> None:
    guesses_count, candidate_count, dimension = shape
    whole = st.integers(-2, 2).map(float)  # few values, so that ties and duplicates are common
    candidates = data.draw(arrays.arrays(np.float64, (candidate_count, dimension), elements=whole))
    entries = whole if metric == "cosine" else st.one_of(whole, st.just(np.nan))
    guesses = data.draw(arrays.arrays(np.float64, (guesses_count, dimension), elements=entries)) + 0.25
    indices = st.sets(st.integers(0, candidate_count - 1), max_size=3)
    owners = data.draw(st.lists(indices, min_size=guesses_count, max_size=guesses_count))
    found = identified(guesses, [sorted(own) for own in owners], candidates, metric=metric, block=5)
    np.testing.assert_array_equal(found, by_definition(guesses, owners, candidates, metric))


@pytest.mark.parametrize("block", [3, 64, 4096])
def test_blocks_change_nothing(block: int) -> None:
    rng = np.random.default_rng(1)
    candidates = rng.normal(size=(300, 7))
    guesses = candidates[:40] + rng.normal(scale=0.8, size=(40, 7))
    whole = identified(guesses, np.arange(40), candidates, block=10_000)
    np.testing.assert_array_equal(identified(guesses, np.arange(40), candidates, block=block), whole)
    assert 0 < whole.sum() < 40


def test_a_planted_record_that_occurs_twice_is_never_found() -> None:
    candidates = np.array([[0.0, 1.0], [0.0, 1.0], [5.0, 5.0]])
    assert not identified([[0.0, 1.0]], [0], candidates).any()


def test_a_public_record_handed_back_identifies_nobody() -> None:
    planted, public = np.array([0.5, 0.5]), np.array([0.5, 0.5 + PUBLIC_TOLERANCE / 2])
    handed_back = (planted * 3 + public) / 4  # nearer to the planted record, yet the public one within the tolerance
    assert not identified([handed_back], [0], [planted, public]).any()
    assert identified([handed_back], [0], [planted, public + 0.1])[0]


def test_a_sampled_pool_would_have_accused_where_the_whole_one_does_not() -> None:
    rng = np.random.default_rng(3)
    planted, public = rng.normal(size=(1, 4)), rng.normal(size=(50, 4))
    guess = public[7:8]
    assert identified(guess, [0], np.concatenate([planted, public[10:12] + 100]))[0]
    assert not identified(guess, [0], np.concatenate([planted, public])).any()


def test_random_guesses_hit_at_chance() -> None:
    rng = np.random.default_rng(11)
    candidates = rng.normal(size=(200, 3))
    trials, hits = 400, 0
    for _ in range(trials):
        owner = int(rng.integers(200))
        guess = candidates[rng.integers(200)] + 1e-3 * rng.normal(size=3)  # nearest is uniform over the candidates
        hits += bool(identified([guess], [owner], candidates).any())
    low, high = binom.ppf([0.001, 0.999], trials, 1 / 200)
    assert low <= hits <= high


def test_an_unknown_or_infinite_guess_is_a_miss() -> None:
    candidates = np.array([[0.0, 1.0], [1.0, 0.0]])
    assert not identified([[np.nan, np.nan], [np.inf, 0.0]], [0, 0], candidates).any()


def test_bad_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="must be"):
        identified(np.zeros((1, 2)), [0], np.zeros((1, 3)))
    with pytest.raises(ValueError, match="owners"):
        identified(np.zeros((2, 3)), [0], np.zeros((1, 3)))
    with pytest.raises(ValueError, match="not finite"):
        identified(np.zeros((1, 2)), [0], [[np.nan, 0.0]])
    with pytest.raises(ValueError, match="angle"):
        identified([[np.nan, 0.0]], [0], [[1.0, 0.0]], metric="cosine")


def test_nearest_distance_is_the_smallest_of_all() -> None:
    rng = np.random.default_rng(5)
    records, others = rng.normal(size=(9, 4)), rng.normal(size=(31, 4))
    slow = [min(float(np.linalg.norm(r - o)) for o in others) for r in records]
    np.testing.assert_allclose(nearest_distance(records, others, block=7), slow, rtol=1e-9)


def test_psnr_of_a_tenth_of_the_range_is_twenty_decibels() -> None:
    assert psnr(np.full(5, 0.1), np.zeros(5), data_range=1.0) == pytest.approx(20.0)
    assert psnr(np.ones(3), np.ones(3), data_range=2.0) == float("inf")
    with pytest.raises(ValueError, match="range"):
        psnr([1.0], [1.0], data_range=0.0)


def test_ssim_agrees_with_its_formula_window_by_window() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.random((2, 9, 10))
    values = []
    for top in range(9 - 7 + 1):
        for left in range(10 - 7 + 1):
            x, y = a[top : top + 7, left : left + 7].ravel(), b[top : top + 7, left : left + 7].ravel()
            (xx, xy), (_, yy) = np.cov(x, y)
            values.append(
                (2 * x.mean() * y.mean() + 1e-4) * (2 * xy + 9e-4)
                / ((x.mean() ** 2 + y.mean() ** 2 + 1e-4) * (xx + yy + 9e-4))
            )  # fmt: skip
    assert ssim(a, b, data_range=1.0) == pytest.approx(np.mean(values))
    assert ssim(a, a, data_range=1.0) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="shape"):
        ssim(np.zeros(4), np.zeros(4), data_range=1.0)
