"""Guesses in one run: p-values as published, monotone, conservative under ties, and rarely wrong."""

import json
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.dp.gaussian import gdp_epsilon
from audit.dp.onerun import (
    LARGEST_EPSILON,
    least_right,
    one_run_lower_bound,
    one_run_p_value,
    refuted_epsilon,
    right_guesses,
)

VECTORS = json.loads((Path(__file__).parents[2] / "vectors/attacks/known-answers.json").read_text("utf-8"))


@pytest.mark.parametrize("row", VECTORS["one_run"])
def test_p_values_are_those_of_the_definition(row: dict[str, Any]) -> None:
    found = one_run_p_value(row["m"], row["r"], row["v"], row["epsilon"], row["delta"])
    assert found == pytest.approx(row["p"], rel=1e-9)


@pytest.mark.parametrize("row", VECTORS["one_run_ceiling"])
def test_no_number_of_right_guesses_proves_more_than_the_ceiling(row: dict[str, Any]) -> None:
    found = refuted_epsilon(row["m"], row["r"], row["r"], delta=row["delta"], alpha=row["alpha"])
    assert found == pytest.approx(row["epsilon"], abs=1e-8)
    perfect = np.arange(row["m"]) >= row["m"] // 2
    bound = one_run_lower_bound(perfect.astype(float), perfect, delta=row["delta"], alpha=row["alpha"])
    assert bound == pytest.approx(row["epsilon"], abs=1e-8)


def slow_p_value(m: int, r: int, v: int, weight: int, delta: Fraction) -> Fraction:
    """Return the definition in exact fractions, for e^epsilon = weight."""
    odds = Fraction(weight, weight + 1)
    chance = [math.comb(r, k) * odds**k * (1 - odds) ** (r - k) for k in range(r + 1)]
    alpha = max((sum(chance[v - i : v], Fraction(0)) / i for i in range(1, v + 1)), default=Fraction(0))
    return min(Fraction(1), sum(chance[v:], Fraction(0)) + 2 * m * delta * alpha)


@given(m=st.integers(1, 40), data=st.data(), weight=st.integers(1, 9), delta=st.sampled_from([0, 1, 10]))
def test_p_values_equal_exact_fractions(m: int, data: st.DataObject, weight: int, delta: int) -> None:
    r = data.draw(st.integers(0, m))
    v = data.draw(st.integers(0, r))
    found = one_run_p_value(m, r, v, math.log(weight), delta / 1000)
    assert found == pytest.approx(float(slow_p_value(m, r, v, weight, Fraction(delta, 1000))), abs=1e-12)


@given(r=st.integers(1, 60), epsilon=st.floats(0.01, 6))
@settings(max_examples=25)
def test_the_fewest_right_guesses_are_the_fewest(r: int, epsilon: float) -> None:
    needed = least_right(2 * r, r, epsilon, delta=1e-5, alpha=0.025)
    p_values = [one_run_p_value(2 * r, r, v, epsilon, 1e-5) for v in range(r + 1)]
    refuting = [v for v, p in enumerate(p_values) if p <= 0.025]
    assert needed == (min(refuting) if refuting else None)


def test_the_refuted_epsilon_is_the_edge_of_refutation() -> None:
    found = refuted_epsilon(1000, 500, 400, delta=1e-5, alpha=0.025)
    assert (
        one_run_p_value(1000, 500, 400, found * 0.999, 1e-5)
        < 0.025
        < one_run_p_value(1000, 500, 400, found * 1.001, 1e-5)
    )
    assert refuted_epsilon(1000, 500, 250, delta=1e-5, alpha=0.025) == 0  # as many as by luck
    assert refuted_epsilon(4, 2, 2, delta=0.0, alpha=0.5) == pytest.approx(math.log(1 / (1 / math.sqrt(0.5) - 1)))
    assert refuted_epsilon(4, 2, 2, delta=0.0, alpha=1.0 + 1e-9) == LARGEST_EPSILON


def test_a_quarter_is_guessed_in_and_a_quarter_out() -> None:
    included = np.array([True, False, True, False, True, False, True, False])
    assert right_guesses(np.arange(8.0), included) == (4, 2)
    assert right_guesses(included.astype(float) + np.arange(8) / 100, included) == (4, 4)
    assert right_guesses(-included.astype(float) - np.arange(8) / 100, included) == (4, 0)


@pytest.mark.parametrize("first", [True, False])
def test_a_tie_is_a_wrong_guess_however_the_file_is_sorted(first: bool) -> None:
    included = np.repeat([first, not first], 50)
    assert right_guesses(np.zeros(100), included) == (50, 0)


def test_a_true_epsilon_is_rarely_refuted_and_a_false_one_is() -> None:
    rng, mu, refuted, caught = np.random.default_rng(3), 1.0, 0, 0
    true = gdp_epsilon(mu, 1e-5)
    for _ in range(40):
        included = rng.random(1000) < 0.5
        refuted += one_run_lower_bound(rng.normal(size=1000) + mu * included, included, delta=1e-5, alpha=0.025) > true
        caught += one_run_lower_bound(rng.normal(size=1000) + 4 * mu * included, included, delta=1e-5, alpha=0.025) > 3
    assert refuted <= 4  # P[Bin(40, 0.025) > 4] is 0.3 %
    assert caught == 40  # positive control


NONSENSE = [(4, 2, 3, 1.0, 0.0), (4, 5, 3, 1.0, 0.0), (4, 2, -1, 1.0, 0.0)]
NONSENSE += [(4, 2, 1, -1.0, 0.0), (4, 2, 1, 1.0, 2.0), (4, 2, 1, math.nan, 0.0)]


@pytest.mark.parametrize(("m", "r", "v", "epsilon", "delta"), NONSENSE)
def test_what_means_nothing_is_refused(m: int, r: int, v: int, epsilon: float, delta: float) -> None:
    with pytest.raises(ValueError, match="need 0 <= v <= r <= m"):
        one_run_p_value(m, r, v, epsilon, delta)
