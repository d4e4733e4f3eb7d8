"""The rank test against its definition in loops, its exactness, its power, and the traps it must not fall into."""

import math
from statistics import fmean, stdev
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from unlearning.verification.rank import oracles_needed, rank_test
from unlearning.verification.scores import Array

Rows = list[list[float]]


def draw(seed: int, oracles: int = 19, originals: int = 8, examples: int = 12, trace: float = 0.0) -> tuple[Array, ...]:
    """Return a delivered model that is one more oracle, oracles, and originals that `trace` moves."""
    rng = np.random.default_rng(seed)
    moved = trace * (np.arange(examples) % 2)
    return (
        rng.normal(size=examples),
        rng.normal(size=(oracles, examples)),
        rng.normal(size=(originals, examples)) + moved,
    )


def slow_z(models: Rows, population: Rows) -> Rows:
    """Return the scores of `models`, standardised example by example over `population`."""
    columns = list(zip(*population, strict=True))
    return [[(s - fmean(c)) / stdev(c) for s, c in zip(row, columns, strict=True)] for row in models]


def slow_weights(z_of_originals: Rows) -> list[float]:
    return [min(max(fmean(column), -5.0), 5.0) for column in zip(*z_of_originals, strict=True)]


def dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def slow_statistics(candidate: list[float], oracles: Rows, originals: Rows) -> list[float]:
    """Return T of every oracle and, last, of the candidate."""
    models = [*oracles, candidate]
    z, weights = slow_z(models, models), slow_weights(slow_z(originals, models))
    a = [abs(fmean(row)) for row in z]
    b = [fmean(s * s for s in row) for row in z]
    c = [abs(dot(row, weights)) / math.sqrt(dot(weights, weights)) for row in z]
    standard = [[(s - fmean(each)) / stdev(each) for s in each] for each in (a, b, c)]
    return [max(three) for three in zip(*standard, strict=True)]


def slow_p(candidate: list[float], oracles: Rows, originals: Rows) -> float:
    *others, mine = slow_statistics(candidate, oracles, originals)
    return (1 + sum(each >= mine for each in others)) / (len(oracles) + 1)


def slow_share(candidate: list[float], oracles: Rows, originals: Rows) -> float | None:
    """Return rho of any model: the mean over both halves, by the oracles' moments."""
    [mine], z = slow_z([candidate], oracles), slow_z(originals, oracles)
    parts = []
    for judged, others in ((z[0::2], z[1::2]), (z[1::2], z[0::2])):
        weights = slow_weights(others)
        scale = fmean(dot(row, weights) for row in judged)
        if scale <= 0:
            return None
        parts.append(dot(mine, weights) / scale)
    return fmean(parts)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), oracles=st.integers(3, 9), originals=st.integers(2, 6), trace=st.floats(0, 9))
def test_every_number_is_that_of_the_definition(seed: int, oracles: int, originals: int, trace: float) -> None:
    arrays = draw(seed, oracles, originals, 5, trace)
    found = rank_test(*arrays, level=0.25)
    delivered, retrained, trained = (array.tolist() for array in arrays)
    statistics = slow_statistics(delivered, retrained, trained)
    assert found.statistic == pytest.approx(statistics[-1])
    np.testing.assert_allclose(found.oracles.statistic, statistics[:-1])
    assert found.p_value == slow_p(delivered, retrained, trained)
    rejected = [slow_p(o, retrained, trained[1 - i % 2 :: 2]) <= 0.25 for i, o in enumerate(trained)]
    assert found.power == fmean(rejected)
    share = slow_share(delivered, retrained, trained)
    if share is None or found.residual is None:
        assert share is found.residual
        return
    of_oracles = [slow_share(each, retrained, trained) for each in retrained]
    half_width = 1.96 * stdev([each for each in of_oracles if each is not None])
    assert found.residual_share == pytest.approx(share)
    assert found.interval is not None
    assert (found.interval.low, found.interval.high) == pytest.approx((share - half_width, share + half_width))
    np.testing.assert_allclose(found.residual.oracles, of_oracles, rtol=1e-6, atol=1e-9)


def test_the_largest_of_ninety_nine_has_one_in_a_hundred() -> None:
    delivered, oracles, originals = draw(1, oracles=99)
    assert rank_test(delivered + 9.0, oracles, originals, level=0.01).p_value == 1 / 100
    assert rank_test(delivered + 9.0, oracles, originals, level=0.01).rejected


def test_the_oracles_against_themselves_give_uniform_ranks() -> None:
    _, models, originals = draw(2, oracles=40, trace=1.0)
    p_values = [rank_test(models[i], np.delete(models, i, 0), originals, level=0.05).p_value for i in range(40)]
    np.testing.assert_allclose(sorted(p_values), np.arange(1, 41) / 40)


def heavy(rng: np.random.Generator, models: int, examples: int) -> Array:
    """Return scores with Student's t of two degrees of freedom, strongly correlated within each model."""
    return np.asarray(rng.standard_t(2, size=(models, examples)) + 3 * rng.standard_t(2, size=(models, 1)))


def normal(rng: np.random.Generator, models: int, examples: int) -> Array:
    return np.asarray(rng.normal(size=(models, examples)))


def naive_p(delivered: Array, oracles: Array) -> float:
    """Return the p-value of mean z^2 by the oracles' own moments, which the delivered model had no part in."""
    square = (((np.vstack([oracles, delivered]) - oracles.mean(0)) / oracles.std(0, ddof=1)) ** 2).mean(1)
    return float((1 + (square[:-1] >= square[-1]).sum()) / len(square))


@pytest.mark.parametrize(("scores", "models", "level"), [(normal, 20, 0.1), (heavy, 20, 0.1), (normal, 65, 1 / 65)])
def test_the_level_is_held_over_two_hundred_null_data_sets(scores: Any, models: int, level: float) -> None:
    rng, rejected = np.random.default_rng(11), 0
    for _ in range(200):
        drawn, originals = scores(rng, models, 60), scores(rng, 4, 60) + 1.0
        rejected += rank_test(drawn[0], drawn[1:], originals, level=level).rejected
    low, high = binom.interval(0.99, 200, level)
    assert low <= rejected <= high


def test_two_hundred_data_sets_notice_a_test_that_is_not_exact() -> None:
    rng = np.random.default_rng(11)
    rejected = sum(naive_p(drawn[0], drawn[1:]) <= 0.1 for drawn in (normal(rng, 20, 60) for _ in range(200)))
    assert rejected > binom.interval(0.99, 200, 0.1)[1]


def test_a_planted_trace_is_found_and_measured() -> None:
    delivered, oracles, originals = draw(4, oracles=64, originals=64, examples=100, trace=1.5)
    trace = 1.5 * (np.arange(100) % 2)
    for kept in (0.0, 0.5, 1.0):
        found = rank_test(delivered + kept * trace, oracles, originals, level=0.02)
        assert found.interval is not None
        assert found.interval.low <= kept <= found.interval.high
        assert found.interval.high - found.interval.low < 0.5
        assert found.rejected == (kept > 0)
        assert (found.power, found.power_interval.low) == (1.0, pytest.approx(0.944, abs=1e-3))


@pytest.mark.parametrize("mixed", [False, True])
def test_too_much_forgetting_is_as_conspicuous_as_too_little(mixed: bool) -> None:
    delivered, oracles, originals = draw(5, oracles=64, originals=16, examples=60)
    trace = 1.5 * np.where(np.arange(60) % 2, 1.0, -1.0 if mixed else 1.0)  # mixed: the mean of z shows nothing
    found = rank_test(delivered - trace, oracles, originals + trace, level=0.02)
    assert found.p_value == 1 / 65
    assert found.residual_share == pytest.approx(-1.0, abs=0.2)
    assert found.delivered.projection[0] < 0 < found.originals.projection.min()
    if not mixed:
        assert found.mean_shift < 0
        assert found.mean_p_value == 1 / 65
    else:
        assert found.mean_p_value > 0.02


def test_without_influence_there_is_no_power() -> None:
    found = rank_test(*draw(6, oracles=64, originals=64, examples=60), level=0.02)
    assert found.power <= 0.1
    assert found.power_interval.high < 0.8


def test_originals_that_contradict_one_another_leave_no_share() -> None:
    delivered, oracles, originals = draw(7)
    found = rank_test(delivered, oracles, originals + 3.0 * (-1.0) ** np.arange(8)[:, None], level=0.05)
    assert (found.residual, found.residual_share, found.interval) == (None, None, None)


def test_below_one_in_n_plus_one_nothing_can_be_rejected() -> None:
    delivered, oracles, originals = draw(8, trace=9.0)
    found = rank_test(delivered + 99.0, oracles, originals, level=0.049)
    assert (found.p_value, found.rejected, found.power) == (1 / 20, False, 0.0)


@pytest.mark.parametrize(("level", "needed"), [(0.05, 19), (0.02, 49), (0.01, 99), (0.5, 1), (0.9, 1), (1 / 65, 64)])
def test_an_exact_test_needs_so_many_oracles(level: float, needed: int) -> None:
    assert oracles_needed(level) == needed
    assert 1 / (needed + 1) <= level
    assert needed == 1 or 1 / needed > level


def test_a_copy_of_an_oracle_never_stands_alone() -> None:
    _, oracles, originals = draw(9, trace=1.0)
    for copied in oracles:
        assert rank_test(copied, oracles, originals, level=0.05).p_value >= 2 / 20


@given(seed=st.integers(0, 2**32), scale=st.floats(0.01, 100), shift=st.floats(-50, 50))
@settings(max_examples=15, deadline=None)
def test_neither_scale_nor_order_matters(seed: int, scale: float, shift: float) -> None:
    delivered, oracles, originals = draw(seed, trace=2.0)
    plain = rank_test(delivered, oracles, originals, level=0.05)
    order = np.random.default_rng(seed).permutation(len(oracles))
    other = rank_test(*(scale * x + shift for x in (delivered, oracles[order], originals)), level=0.05)
    assert (other.p_value, other.power) == (plain.p_value, plain.power)
    assert other.residual_share == pytest.approx(plain.residual_share, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("constant", [0.0, 50.0, 0.1])
def test_examples_that_all_models_score_alike_say_nothing(constant: float) -> None:
    arrays = draw(10, trace=2.0)
    plain = rank_test(*arrays, level=0.05)
    widened = [np.concatenate([x, np.full((*x.shape[:-1], 7), constant)], axis=-1) for x in arrays]
    widened[2][:, -7:] -= 3.0  # also where the originals differ
    found = rank_test(*widened, level=0.05)
    assert (found.p_value, found.power, found.uninformative) == (plain.p_value, plain.power, 7)
    assert found.residual_share == pytest.approx(plain.residual_share)


def test_models_that_all_agree_reject_nothing() -> None:
    found = rank_test(np.full(4, 0.1), np.full((19, 4), 0.1), np.full((6, 4), 0.1), level=0.05)
    assert (found.p_value, found.power, found.residual, found.statistic) == (1.0, 0.0, None, 0.0)


def test_a_model_that_alone_leaves_what_all_oracles_agree_on_is_seen() -> None:
    delivered, oracles, originals = draw(12)
    assert rank_test(delivered, oracles, originals, level=0.05).p_value > 0.05
    oracles[:, :4] = originals[:, :4] = 50.0
    delivered[:4] = 49.0
    assert rank_test(delivered, oracles, originals, level=0.05).p_value == 1 / 20


def test_what_a_plot_draws_is_there() -> None:
    found = rank_test(*draw(13, trace=2.0), level=0.05)
    for models, count in ((found.delivered, 1), (found.oracles, 19), (found.originals, 8)):
        for values in (models.statistic, models.mean, models.square, models.projection):
            assert values.shape == (count,)
            assert np.isfinite(values).all()
    assert found.residual is not None
    assert found.residual.oracles.mean() == pytest.approx(0.0, abs=1e-12)
    assert found.residual.originals[::2].mean() == pytest.approx(1.0)
    assert found.residual.originals[1::2].mean() == pytest.approx(1.0)


delivered, oracles, originals = draw(14)
WRONG: list[tuple[Any, Any, Any, float, str]] = [
    (delivered[:-1], oracles, originals, 0.05, "shape"),
    (delivered[None], oracles, originals, 0.05, "shape"),
    (delivered, oracles[:, :-1], originals, 0.05, "shape"),
    (delivered, oracles, originals[:, :-1], 0.05, "shape"),
    (delivered, oracles[0], originals, 0.05, "oracles: scores have shape"),
    (delivered, oracles[:1], originals, 0.05, "oracles: 1 models"),
    (delivered, oracles, originals[:1], 0.05, "originals: 1 models"),
    (np.empty(0), np.empty((4, 0)), np.empty((4, 0)), 0.05, "oracles: scores have shape"),
    (delivered * math.nan, oracles, originals, 0.05, "delivered: a score is not finite"),
    (delivered, oracles * math.inf, originals, 0.05, "oracles: a score is not finite"),
    (delivered, oracles, originals * math.nan, 0.05, "originals: a score is not finite"),
    (delivered, oracles, originals, 0.0, "level"),
    (delivered, oracles, originals, 1.0, "level"),
    (delivered, oracles, originals, math.nan, "level"),
]


@pytest.mark.parametrize(("delivered", "oracles", "originals", "level", "problem"), WRONG)
def test_scores_that_mean_nothing_are_refused(
    delivered: Array, oracles: Array, originals: Array, level: float, problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        rank_test(delivered, oracles, originals, level=level)
