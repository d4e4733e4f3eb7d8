"""The Gaussian conversions against published vectors, the integral that defines them, and a sampled attacker."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.stats import norm

from audit.dp.gaussian import gdp_delta, gdp_epsilon, gdp_mu, one_step_epsilon

VECTORS = json.loads((Path(__file__).parents[2] / "vectors/attacks/known-answers.json").read_text("utf-8"))
mus, deltas = st.floats(0.02, 30), st.floats(1e-12, 0.4)


@pytest.mark.parametrize("row", VECTORS["gdp"], ids=lambda row: f"mu={row['mu']:.3g}-delta={row['delta']}")
def test_conversions_match_the_published_vectors(row: dict[str, float]) -> None:
    assert gdp_epsilon(row["mu"], row["delta"]) == pytest.approx(row["epsilon"], rel=1e-9)
    assert gdp_mu(row["epsilon"], row["delta"]) == pytest.approx(row["mu"], rel=1e-9)
    assert gdp_delta(row["epsilon"], row["mu"]) == pytest.approx(row["delta"], rel=1e-7)


def defined_delta(epsilon: float, mu: float) -> float:
    """The hockey-stick divergence of N(mu, 1) from N(0, 1), integrated where the first density is e^epsilon larger."""
    cut = epsilon / mu + mu / 2
    peak = max(mu, cut)
    excess = [
        quad(
            lambda x: norm.pdf(x - mu) * -math.expm1(epsilon - mu * x + mu * mu / 2), low, high, epsabs=0, epsrel=1e-9
        )[0]
        for low, high in ((cut, peak), (peak, peak + 2), (peak + 2, peak + 12))
    ]
    return sum(excess)


@settings(max_examples=60, deadline=None)
@given(mu=mus, share=st.floats(0, 1.5))
def test_delta_is_that_of_the_definition(mu: float, share: float) -> None:
    epsilon = share * (mu * mu / 2 + 5 * mu)
    assert gdp_delta(epsilon, mu) == pytest.approx(defined_delta(epsilon, mu), rel=1e-6, abs=1e-14)


@settings(max_examples=60, deadline=None)
@given(mu=mus, delta=deltas)
def test_epsilon_is_the_smallest_that_keeps_delta(mu: float, delta: float) -> None:
    epsilon = gdp_epsilon(mu, delta)
    assert gdp_delta(epsilon, mu) <= delta * (1 + 1e-7)
    if epsilon > 1e-6:
        assert gdp_delta(epsilon * (1 - 1e-4), mu) > delta


@settings(max_examples=60, deadline=None)
@given(mu=mus, delta=deltas)
def test_mu_inverts_epsilon(mu: float, delta: float) -> None:
    epsilon = gdp_epsilon(mu, delta)
    if epsilon > 1e-6:
        assert gdp_mu(epsilon, delta) == pytest.approx(mu, rel=1e-6)


def test_large_epsilons_are_finite() -> None:
    for mu in (1e3, 1e6, 1e85):  # Phi(-t) alone counts there: epsilon = mu^2 / 2 + mu t
        assert gdp_epsilon(mu, 1e-9) == pytest.approx(mu * mu / 2 + mu * norm.isf(1e-9), rel=1e-5)
    assert 0 < gdp_delta(5000.0, 100.0) < 1
    assert gdp_delta(3.0, 0.0) == 0.0


def test_the_best_test_of_an_attacker_earns_exactly_delta() -> None:
    # the likelihood-ratio test at e^epsilon attains P[reject | in] - e^epsilon P[reject | out] = delta
    rng, mu, epsilon = np.random.default_rng(0), 1.3, 0.8
    cut = epsilon / mu + mu / 2
    draws = rng.normal(size=400_000)
    earned = (draws + mu > cut).mean() - math.exp(epsilon) * (draws > cut).mean()
    assert earned == pytest.approx(gdp_delta(epsilon, mu), abs=0.006)
    assert earned != pytest.approx(gdp_delta(epsilon, 1.1 * mu), abs=0.006)  # negative control


@pytest.mark.parametrize(("z", "q", "delta"), [(1.0, 0.1, 1e-5), (0.6, 0.5, 1e-3), (2.0, 1.0, 1e-5), (0.3, 0.01, 1e-4)])
def test_one_sampled_step_matches_the_integral_of_its_densities(z: float, q: float, delta: float) -> None:
    def with_unit(x: float) -> float:
        return float((1 - q) * norm.pdf(x, 0, z) + q * norm.pdf(x, 1, z))

    def divergence(epsilon: float) -> float:
        at = z * z * math.log1p(math.expm1(epsilon) / q) + 0.5  # where the densities' ratio reaches e^epsilon
        return quad(lambda x: with_unit(x) - math.exp(epsilon) * norm.pdf(x, 0, z), at, at + 40 * z, epsabs=1e-13)[0]

    expected = brentq(lambda epsilon: divergence(epsilon) - delta, 1e-6, 60)
    assert one_step_epsilon(z, q, delta) == pytest.approx(expected, rel=1e-5)


def test_a_unit_that_hardly_ever_takes_part_costs_nothing() -> None:
    assert one_step_epsilon(1.0, 1e-6, 1e-5) == 0.0


@pytest.mark.parametrize(
    "call",
    [
        lambda: gdp_epsilon(1.0, 0.0),
        lambda: gdp_epsilon(1.0, 1.0),
        lambda: gdp_epsilon(-1.0, 0.1),
        lambda: gdp_epsilon(math.inf, 0.1),
        lambda: gdp_mu(math.nan, 0.1),
        lambda: gdp_mu(1.0, 2.0),
        lambda: gdp_delta(-1.0, 1.0),
        lambda: one_step_epsilon(0.0, 0.5, 1e-5),
        lambda: one_step_epsilon(1.0, 0.0, 1e-5),
    ],
)
def test_what_is_no_privacy_parameter_is_refused(call) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=r"delta|epsilon|sampling"):
        call()
