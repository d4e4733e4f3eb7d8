"""The law in log space against counting, and against SciPy's own tails."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import hypergeom

from secagg.probability import IMPOSSIBLE, bits, log_at_least


@st.composite
def laws(draw: st.DrawFn, most: int) -> tuple[int, int, int, int]:
    """A population, its marked members, a draw, and a count that may lie outside the support."""
    population = draw(st.integers(1, most))
    marked, drawn = draw(st.integers(0, population)), draw(st.integers(0, population))
    return population, marked, drawn, draw(st.integers(-1, drawn + 2))


def counted(population: int, marked: int, drawn: int, count: int) -> Fraction:
    """The definition: favourable draws over all draws, in whole numbers."""
    favourable = sum(
        math.comb(marked, i) * math.comb(population - marked, drawn - i) for i in range(max(count, 0), drawn + 1)
    )
    return Fraction(favourable, math.comb(population, drawn))


@given(laws(most=60))
def test_a_tail_is_the_share_of_draws_that_hold_so_many(law: tuple[int, int, int, int]) -> None:
    exact = counted(*law)
    assert (log_at_least(*law) == IMPOSSIBLE) == (exact == 0)
    assert math.isclose(math.exp(log_at_least(*law)), float(exact), rel_tol=1e-12)


@given(laws(most=400))
def test_tails_far_below_the_smallest_float_keep_their_logarithm(law: tuple[int, int, int, int]) -> None:
    exact = counted(*law)
    if exact:
        expected = math.log(exact.numerator) - math.log(exact.denominator)
        assert math.isclose(log_at_least(*law), expected, rel_tol=1e-11, abs_tol=1e-11)


@pytest.mark.parametrize("population", [10**4, 10**6])
@pytest.mark.parametrize("share", [0.01, 0.33, 0.9])
@pytest.mark.parametrize("drawn", [50, 3000])
def test_large_populations_agree_with_scipy(population: int, share: float, drawn: int) -> None:
    marked = int(share * population)
    law = hypergeom(population, marked, drawn)
    for deviations in (-3, 0, 2, 6, 15):
        count = round(float(law.mean() + deviations * law.std()))
        expected = float(law.logsf(count - 1))
        if count in range(1, min(marked, drawn) + 1) and expected > -600:  # SciPy's sum underflows below
            assert math.isclose(log_at_least(population, marked, drawn, count), expected, rel_tol=1e-6, abs_tol=1e-7)


@given(laws(most=10**6))
def test_both_tails_make_one(law: tuple[int, int, int, int]) -> None:
    population, marked, drawn, count = law
    below = log_at_least(population, population - marked, drawn, drawn - count + 1)
    assert math.isclose(math.exp(log_at_least(*law)) + math.exp(below), 1.0, rel_tol=1e-6)


def test_bits_are_minus_the_binary_logarithm_between_nothing_and_certainty() -> None:
    assert bits(-40 * math.log(2)) == pytest.approx(40)
    assert bits(0.0) == bits(3.0) == 0.0
    assert math.copysign(1, bits(0.0)) == 1  # never "-0 bits"
    assert bits(IMPOSSIBLE) == math.inf
