"""Both routes: few false accusations, weak noise found, heavy tails kept from the normal one, honest power."""

from typing import Any

import numpy as np
import pytest

from audit.dp.gaussian import gdp_epsilon, gdp_mu
from audit.dp.lower_bound import (
    LEAST_CANARIES,
    POWER,
    canaries_needed,
    gaussian_power,
    lower_bound,
    one_run_power,
)

DELTA = 1e-5


def run_of(rng: np.random.Generator, m: int, mu: float, *, tails: int | None = None) -> tuple[Any, Any]:
    included = rng.random(m) < 0.5
    noise = rng.normal(size=m) if tails is None else rng.standard_t(tails, m)
    return noise + mu * included, included


def accusations(runs: int, seed: int, *, weaker: float = 1.0) -> int:
    """Return how often a claim of the true epsilon is refuted; with noise `weaker` than claimed it is not true."""
    rng, refuted = np.random.default_rng(seed), 0
    for number in range(runs):
        claimed = (9.997, 4.377, 0.926)[number % 3]
        scores, included = run_of(rng, 1000, gdp_mu(claimed, DELTA) / weaker)
        refuted += lower_bound(scores, included, delta=DELTA).low > claimed
    return refuted


def test_correct_mechanisms_are_seldom_accused_and_a_quarter_of_the_noise_is_found() -> None:
    assert accusations(90, 1) <= 9  # P[Bin(90, 0.025) > 9] is 0.01 %
    assert accusations(30, 2, weaker=0.25) == 30  # positive control


@pytest.mark.slow
def test_of_a_thousand_correct_mechanisms_at_most_five_percent_are_accused() -> None:
    assert accusations(1000, 3) <= 50
    assert accusations(1000, 4, weaker=0.25) >= 990


def test_scores_with_heavy_tails_never_go_by_distance() -> None:
    rng = np.random.default_rng(5)
    for _ in range(15):
        found = lower_bound(*run_of(rng, 1000, 3.0, tails=3), delta=DELTA)
        assert found.gaussian is None
        assert found.low == found.one_run > 0
        assert found.high == 1000
        assert "one run" in found.route


def test_normal_scores_go_by_whichever_proves_more() -> None:
    found = lower_bound(*run_of(np.random.default_rng(6), 1000, 2.0), delta=DELTA)
    assert found.gaussian is not None
    assert found.low == found.gaussian.low > found.one_run > 0
    assert found.gaussian.low < gdp_epsilon(2.0, DELTA) < found.high == found.gaussian.high
    assert "distance" in found.route
    assert (found.canaries, found.guesses) == (1000, 500)


def test_scores_that_say_nothing_prove_nothing() -> None:
    found = lower_bound(*run_of(np.random.default_rng(7), 400, 0.0), delta=DELTA)
    assert found.low < 0.3
    assert lower_bound(np.zeros(40), np.arange(40) < 20, delta=DELTA).low == 0


@pytest.mark.parametrize("epsilon", [pytest.param(1.0, marks=pytest.mark.slow), 4.377])
def test_the_power_that_is_told_is_the_share_that_is_caught(epsilon: float) -> None:
    m, rng = canaries_needed(epsilon, DELTA), np.random.default_rng(8)
    told = gaussian_power(m, epsilon, DELTA)
    assert told >= POWER > gaussian_power(m - 1, epsilon, DELTA)
    mu, runs = gdp_mu(epsilon, DELTA), 120
    caught = sum(lower_bound(*run_of(rng, m, 2 * mu), delta=DELTA).low > epsilon for _ in range(runs))
    assert caught / runs == pytest.approx(told, abs=0.16)  # 4 standard deviations, and the formula's own error


def test_a_bold_claim_needs_no_fewer_canaries_than_a_file_must_hold() -> None:
    assert canaries_needed(500.0, DELTA) == LEAST_CANARIES


def test_the_power_of_guesses_is_simulated_and_nothing_above_their_ceiling() -> None:
    rng = np.random.default_rng(9)
    assert one_run_power(1000, 10.0, DELTA, rng, 50) == 0  # the ceiling is 4.87
    assert one_run_power(1000, 1.0, DELTA, rng, 50) == 0  # at half of its noise guesses prove less than 1
    assert one_run_power(1000, 1.0, DELTA, rng, 50, apart=4.0) == 1
    told = one_run_power(1000, 1.0, DELTA, rng, 100, apart=1.2)
    caught = sum(lower_bound(*run_of(rng, 1000, 1.2), delta=DELTA).one_run >= 1.0 for _ in range(100))
    assert told == pytest.approx(caught / 100, abs=0.28)  # 4 standard deviations of two shares
