"""Canaries: orthogonal directions of length one, and a bound that is exact where scores are normal."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import anderson, nct

from audit.dp.canaries import (
    LARGEST_EFFECT,
    LARGEST_EPSILON,
    canary_updates,
    gaussian_bounds,
    gaussian_lower_bound,
    noncentral_t_lower,
    normality_p_value,
    score,
    standardised_difference,
)
from audit.dp.gaussian import gdp_epsilon, gdp_mu


def drawn(rng: np.random.Generator, m: int, mu: float) -> tuple[Any, Any]:
    included = rng.random(m) < 0.5
    return rng.normal(3.0, 2.0, m) + 2.0 * mu * included, included  # location and scale are the system's own


@given(
    effect=st.floats(-4, 8), n1=st.integers(5, 400), n0=st.integers(5, 400), alpha=st.sampled_from([0.025, 0.05, 0.3])
)
@settings(max_examples=40)
def test_the_bound_solves_the_noncentral_t_distribution(effect: float, n1: int, n0: int, alpha: float) -> None:
    found = noncentral_t_lower(effect, n1, n0, alpha)
    size = math.sqrt(n1 * n0 / (n1 + n0))
    assert found < effect or alpha == 0.3
    assert nct.sf(effect * size, n1 + n0 - 2, found * size) == pytest.approx(alpha, rel=1e-4)  # oracle: scipy's


def test_an_effect_beyond_all_measure_is_taken_for_the_largest() -> None:
    assert noncentral_t_lower(math.inf, 500, 500, 0.025) == noncentral_t_lower(LARGEST_EFFECT, 500, 500, 0.025)
    assert 0.9 * LARGEST_EFFECT < noncentral_t_lower(math.inf, 500, 500, 0.025) < LARGEST_EFFECT
    perfect = np.arange(1000) % 2 == 0
    bounds = gaussian_bounds(perfect.astype(float), perfect, delta=1e-5, alpha=0.025)
    assert (bounds.effect, bounds.low, bounds.high) == (math.inf, LARGEST_EPSILON, LARGEST_EPSILON)


def test_equal_groups_prove_nothing() -> None:
    included = np.arange(100) % 2 == 0
    assert gaussian_lower_bound(np.zeros(100), included, delta=1e-5, alpha=0.025) == 0
    assert gaussian_lower_bound(-included.astype(float), included, delta=1e-5, alpha=0.025) == 0  # reversed
    assert standardised_difference(np.zeros(3), np.zeros(4)) == 0


def test_the_bound_stays_below_the_truth_as_often_as_it_says_and_comes_close() -> None:
    rng, delta = np.random.default_rng(11), 1e-5
    for mu, least in ((2.0, 0.85), (1.0, 0.84)):
        true = gdp_epsilon(mu, delta)
        bounds = [gaussian_bounds(*drawn(rng, 1000, mu), delta=delta, alpha=0.025) for _ in range(60)]
        above = sum(one.low > true for one in bounds)
        below = sum(one.high < true for one in bounds)
        assert above <= 7  # P[Bin(60, 0.025) > 7] is 0.02 %
        assert below <= 7
        assert np.mean([one.low for one in bounds]) >= least * true


@pytest.mark.slow
def test_mean_bounds_reach_85_percent_and_err_in_one_of_forty_runs() -> None:
    rng, delta = np.random.default_rng(12), 1e-5
    for epsilon in (9.997, 4.377):
        mu = gdp_mu(epsilon, delta)
        bounds = np.array([gaussian_lower_bound(*drawn(rng, 1000, mu), delta=delta, alpha=0.025) for _ in range(4000)])
        assert bounds.mean() >= 0.85 * epsilon
        assert 70 <= (bounds > epsilon).sum() <= 135  # 100 expected, 3.5 standard deviations either way


def test_normality_is_judged_as_in_the_published_table() -> None:
    rng = np.random.default_rng(5)
    for draw in (rng.normal(size=300), rng.standard_t(4, size=300), rng.exponential(size=60), rng.random(200)):
        with pytest.warns(FutureWarning, match="method"):
            published = anderson(draw, "norm")  # critical values at 15, 10, 5, 2.5 and 1 %
        for critical, percent in zip(published.critical_values, published.significance_level, strict=True):
            if abs(published.statistic / critical - 1) > 0.02:
                assert (normality_p_value(draw) < percent / 100) == (published.statistic > critical)


def test_normal_scores_are_seldom_called_otherwise_and_heavy_tails_are() -> None:
    rng = np.random.default_rng(6)
    p_values = np.array([normality_p_value(rng.normal(7, 3, 100)) for _ in range(2000)])
    for level, most in ((0.5, 1090), (0.05, 134), (0.001, 8)):
        assert (p_values < level).sum() <= most  # 4 standard deviations
    assert (p_values < 0.05).sum() >= 66
    assert all(normality_p_value(rng.standard_t(3, 500)) < 0.001 for _ in range(20))
    assert normality_p_value(np.ones(50)) == normality_p_value(np.arange(7.0)) == 0


@pytest.mark.parametrize(("m", "width"), [(5, 200), (30, 8), (45, 8)])
def test_canaries_have_length_one_and_do_not_answer_for_one_another(m: int, width: int) -> None:
    shapes = {"weight": (10, width // 2), "bias": (width // 2,), "scale": ()}
    canaries = canary_updates(m, shapes, np.random.default_rng(1))
    flat = np.array([np.concatenate([part.reshape(-1) for part in one.values()]) for one in canaries])
    assert [part.shape for part in canaries[0].values()] == [(10, width // 2), (width // 2,), ()]
    gram = flat @ flat.T
    np.testing.assert_allclose(np.diag(gram), 1.0)
    largest = np.abs(gram - np.eye(m)).max()
    assert largest < (1e-12 if flat.shape[1] < 20 * m else 0.2)


def test_more_canaries_than_coordinates_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        canary_updates(5, {"bias": (4,)}, np.random.default_rng(1))


def test_a_canary_scores_its_length_in_every_round_it_took_part_in() -> None:
    canaries = canary_updates(4, {"a": (30,), "b": (2, 5)}, np.random.default_rng(2))
    rounds = [{name: canaries[0][name] + canaries[2][name] for name in ("a", "b")}] * 3
    np.testing.assert_allclose(score(rounds, canaries), [3, 0, 3, 0], atol=1e-12)


def test_scored_canaries_of_a_noised_sum_tell_its_epsilon() -> None:
    rng, m, rounds, z = np.random.default_rng(9), 400, 4, 2.0
    shapes = {"weight": (40, 50), "bias": (40,)}
    canaries = canary_updates(m, shapes, rng)
    included = rng.random(m) < 0.5
    clear = {name: sum(one[name] for one, into in zip(canaries, included, strict=True) if into) for name in shapes}
    released = [{n: clear[n] + z * rng.normal(size=shape) for n, shape in shapes.items()} for _ in range(rounds)]
    bounds = gaussian_bounds(score(released, canaries), included, delta=1e-5, alpha=0.025)
    assert bounds.low < gdp_epsilon(math.sqrt(rounds) / z, 1e-5) < bounds.high


@pytest.mark.parametrize(("n1", "n0", "alpha"), [(1, 5, 0.1), (5, 1, 0.1), (5, 5, 0.0), (5, 5, 1.0)])
def test_what_gives_no_bound_is_refused(n1: int, n0: int, alpha: float) -> None:
    with pytest.raises(ValueError, match="each group needs two scores"):
        noncentral_t_lower(1.0, n1, n0, alpha)
    with pytest.raises(ValueError, match="each group needs two scores"):
        standardised_difference(np.zeros(1), np.zeros(4))
