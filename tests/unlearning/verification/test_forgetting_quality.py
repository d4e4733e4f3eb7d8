"""Epsilon, F and KLoM against their definitions in loops, examples counted by hand, and a public scorer's slip."""

import math
from fractions import Fraction
from statistics import fmean, median, stdev
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.statistics import clopper_pearson
from unlearning.verification.forgetting_quality import epsilon_per_example, forgetting_quality, klom
from unlearning.verification.scores import Array

scores = st.lists(st.integers(-3, 3).map(float), min_size=2, max_size=7)  # integers: ties are what goes wrong


def slow_attacks(u: list[float], r: list[float]) -> list[tuple[int, int]]:
    """Return (false positives, false negatives) of every attack on one example, unlearned being positive."""
    errors = []
    for threshold in [-math.inf, *u, *r]:
        errors.append((sum(x > threshold for x in r), sum(x <= threshold for x in u)))
        errors.append((sum(x <= threshold for x in r), sum(x > threshold for x in u)))
    if len(set(u + r)) > 1:
        least = 1e-6 * math.sqrt(fmean((x - fmean(u + r)) ** 2 for x in u + r))
        fits = [(fmean(side), max(stdev(side), least)) for side in (u, r)]

        def unlearned(x: float) -> bool:
            (a, s), (b, t) = fits
            return -math.log(s) - ((x - a) / s) ** 2 / 2 + math.log(t) + ((x - b) / t) ** 2 / 2 > 1e-9

        errors.append((sum(unlearned(x) for x in r), sum(not unlearned(x) for x in u)))
    return errors


def slow_epsilon(rates: list[tuple[float, float]], delta: float) -> float:
    best = 0.0
    for false_positive, false_negative in rates:
        if false_positive == 0 and false_negative == 0:
            return math.inf
        if false_positive == 0 or false_negative == 0:
            continue
        for one, other in ((false_positive, false_negative), (false_negative, false_positive)):
            if 1 - delta - one > 0:
                best = max(best, math.log(1 - delta - one) - math.log(other))
    return best


def columns(*examples: list[float]) -> Array:
    return np.array(examples, dtype=np.float64).T


@settings(max_examples=50, deadline=None)
@given(u=scores, r=scores, delta=st.sampled_from([0.0, 0.01, 0.3]))
def test_epsilon_is_that_of_the_best_attack(u: list[float], r: list[float], delta: float) -> None:
    rates = [(p / len(r), n / len(u)) for p, n in slow_attacks(u, r)]
    expected = slow_epsilon(rates, delta)
    assert epsilon_per_example(columns(u, u), columns(r, r), delta) == pytest.approx([expected, expected])


@settings(max_examples=50, deadline=None)
@given(u=scores, r=scores)
def test_the_conservative_score_takes_upper_bounds_of_both_rates(u: list[float], r: list[float]) -> None:
    attacks = slow_attacks(u, r)
    rates = [(clopper_pearson(p, len(r)).high, clopper_pearson(n, len(u)).high) for p, n in attacks]
    bin_of = sum(slow_epsilon(rates, 0.01) >= edge / 2 for edge in range(13))
    assert forgetting_quality(columns(u), columns(r)).conservative_score == 2 / 2**bin_of


@settings(max_examples=50, deadline=None)
@given(u=st.lists(st.tuples(*[st.integers(-3, 3).map(float)] * 4), min_size=2, max_size=6), seed=st.integers(0, 99))
def test_points_are_halved_with_each_bin(u: list[tuple[float, ...]], seed: int) -> None:
    unlearned, retrained = np.array(u), np.random.default_rng(seed).integers(-3, 3, (5, 4)).astype(float)
    found = forgetting_quality(unlearned, retrained)
    epsilons = epsilon_per_example(unlearned, retrained, 0.01).tolist()
    assert found.score == pytest.approx(fmean(2 / 2 ** sum(e >= edge / 2 for edge in range(13)) for e in epsilons))
    assert found.infinite_share == fmean(math.isinf(e) for e in epsilons)
    assert found.median_epsilon == pytest.approx(median(epsilons))
    assert found.epsilons.tolist() == epsilons


def test_identical_arrays_have_the_best_score() -> None:
    same = np.random.default_rng(0).normal(size=(64, 30))
    found = forgetting_quality(same, same)
    assert (found.score, found.median_epsilon, found.infinite_share, found.conservative_score) == (1.0, 0.0, 0.0, 1.0)


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_separable_arrays_have_the_worst_score(side: float) -> None:
    rng = np.random.default_rng(1)
    found = forgetting_quality(side * (rng.random((8, 5)) + 2), side * rng.random((8, 5)))
    assert np.isinf(found.epsilons).all()
    assert (found.score, found.infinite_share, found.median_epsilon) == (2 / 2**13, 1.0, math.inf)
    assert found.conservative_score > found.score  # eight models cannot show an epsilon of six


def test_four_against_four_by_hand() -> None:
    # 1 2 3 [4] 5 [6 7 8], retrained in brackets. The one cut that errs on both sides lies between 4 and 5: one of four
    # each way, so epsilon = ln(1 - .01 - 1/4) - ln(1/4) = ln 2.96 = 1.085, which is bin 3 of [1, 1.5): F = 2/2^3.
    # Both Gaussians have variance 8.75/3 and means 2.75 and 6.25: they cut at 4.5, with the same two errors.
    found = forgetting_quality([[1.0], [2.0], [3.0], [5.0]], [[4.0], [6.0], [7.0], [8.0]])
    assert found.epsilons == pytest.approx([math.log(2.96)])
    assert found.score == 0.25


def test_an_example_that_one_side_surrounds_is_told_by_the_gaussians() -> None:
    inner, outer = columns([-0.2, -0.1, 0.1, 0.2]), columns([-9.0, -8.0, 8.0, 9.0])
    assert np.isinf(epsilon_per_example(inner, outer)).all()
    assert np.isinf(epsilon_per_example(outer, inner)).all()


def public_epsilon(rates: list[tuple[float, float]], delta: float) -> float:
    """Return what a scorer of the challenge on GitHub makes of rates: two zeros count as 5e-8."""
    kept = [
        5e-8 if p == n == 0 else max(math.log(1 - delta - p) - math.log(n), math.log(1 - delta - n) - math.log(p))
        for p, n in rates
        if (p == 0) == (n == 0)
    ]
    return max(kept)


def test_a_public_scorer_that_praises_separable_models_is_contradicted() -> None:
    u, r = [5.0, 6.0, 7.0, 8.0], [1.0, 2.0, 3.0, 4.0]
    rates = [(sum(x > t for x in r) / 4, sum(x <= t for x in u) / 4) for t in u + r]
    assert 2 / 2 ** int(np.digitize(public_epsilon(rates, 0.01), np.arange(13) / 2)) == 1.0  # perfectly forgotten
    assert forgetting_quality(columns(u), columns(r)).score == 2 / 2**13


def test_a_trace_lowers_the_score_and_few_models_do_too() -> None:
    rng = np.random.default_rng(2)
    control = forgetting_quality(*rng.normal(size=(2, 64, 50)))
    traced = forgetting_quality(rng.normal(size=(64, 50)) + 1.5, rng.normal(size=(64, 50)))
    assert traced.score < 0.5 * control.score
    assert traced.conservative_score < 0.6 * control.conservative_score
    fewer = forgetting_quality(*rng.normal(size=(2, 16, 50)))
    assert abs(fewer.score - control.score) > 0.02  # why F is read beside a control of as many models


def test_bins_and_their_width_are_parameters() -> None:
    u, r = columns([1.0, 2.0, 3.0, 5.0]), columns([4.0, 6.0, 7.0, 8.0])
    assert forgetting_quality(u, r, width=2.0).score == 1.0
    assert forgetting_quality(u, r, bins=2).score == 0.5
    assert forgetting_quality(u, r, delta=0.2).epsilons == pytest.approx([math.log(2.2)])


def test_constant_examples_are_perfectly_forgotten() -> None:
    found = forgetting_quality(np.full((4, 3), 0.1), np.full((6, 3), 0.1))
    assert (found.score, found.conservative_score, found.median_epsilon) == (1.0, 1.0, 0.0)
    assert klom(np.full((4, 3), 0.1), np.full((6, 3), 0.1)).per_example.tolist() == [0.0, 0.0, 0.0]


@settings(max_examples=50, deadline=None)
@given(u=scores, r=scores, bins=st.integers(1, 20))
def test_klom_is_the_divergence_of_shared_histograms(u: list[float], r: list[float], bins: int) -> None:
    low, span = min(u + r), max(u + r) - min(u + r)

    def share(side: list[float], held: int) -> float:  # scores are whole numbers, so their place is an exact fraction
        places = [min(math.floor(Fraction(x - low) * bins / Fraction(span or 1)), bins - 1) for x in side]
        return sum(place == held for place in places) / len(side)

    pairs = [(share(r, held), max(share(u, held), 1e-5)) for held in range(bins)]
    expected = sum(p * math.log(p / q) for p, q in pairs if p)
    assert klom(columns(u), columns(r), bins=bins).per_example == pytest.approx([max(expected, 0.0)])
    assert klom(columns(u), columns(u), bins=bins).per_example.tolist() == [0.0]


def test_klom_sees_a_trace_and_names_the_worst_of_twenty() -> None:
    rng = np.random.default_rng(3)
    retrained, control = rng.normal(size=(2, 64, 40))
    traced = rng.normal(size=(64, 40)) + 3.0
    assert klom(traced, retrained).percentile_95 > 2 * klom(control, retrained).percentile_95
    found = klom(control, retrained)
    assert (found.per_example <= found.percentile_95).mean() == pytest.approx(0.95)
    assert klom(retrained + 99.0, retrained).percentile_95 == pytest.approx(-math.log(1e-5))


good = np.random.default_rng(4).normal(size=(6, 5))
WRONG: list[tuple[Any, Any, str]] = [
    (good, good[:, :-1], "5 examples, references 4"),
    (good[0], good, "shape"),
    (good[:1], good, "unlearned: 1 models"),
    (good, good[:1], "reference: 1 models"),
    (good * math.nan, good, "not finite"),
    (good, good * math.inf, "not finite"),
    (np.empty((4, 0)), np.empty((4, 0)), "shape"),
]


@pytest.mark.parametrize(("unlearned", "retrained", "problem"), WRONG)
@pytest.mark.parametrize("kernel", [epsilon_per_example, forgetting_quality, klom])
def test_scores_that_mean_nothing_are_refused(kernel: Any, unlearned: Any, retrained: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        kernel(unlearned, retrained)


@pytest.mark.parametrize(
    ("kernel", "wrong", "problem"),
    [
        (epsilon_per_example, {"delta": 1.0}, "delta"),
        (epsilon_per_example, {"delta": -0.1}, "delta"),
        (epsilon_per_example, {"delta": math.nan}, "delta"),
        (forgetting_quality, {"delta": 2.0}, "delta"),
        (forgetting_quality, {"bins": 0}, "bin"),
        (forgetting_quality, {"width": 0.0}, "width"),
        (klom, {"bins": 0}, "bin"),
    ],
)
def test_parameters_out_of_range_are_refused(kernel: Any, wrong: dict[str, float], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        kernel(good, good, **wrong)
