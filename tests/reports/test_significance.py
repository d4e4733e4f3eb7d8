"""Tests of significance against enumeration, vectors and simulated levels."""

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import bootstrap as scipy_bootstrap

from reports.statistics import bootstrap, holm, mcnemar_exact, permutation, two_sample_ks

VECTORS = json.loads((Path(__file__).parents[1] / "vectors/attacks/known-answers.json").read_text("utf-8"))


@pytest.mark.parametrize("row", VECTORS["mcnemar_exact"], ids=lambda row: f"{row['only_system']}-{row['only_null']}")
def test_mcnemar_matches_the_published_vectors(row: dict[str, float]) -> None:
    assert mcnemar_exact(int(row["only_system"]), int(row["only_null"])) == pytest.approx(row["p"], rel=1e-12)


@given(a=st.integers(0, 9), b=st.integers(0, 9))
def test_mcnemar_counts_the_coin_flips(a: int, b: int) -> None:
    flips = itertools.product((0, 1), repeat=a + b)
    assert mcnemar_exact(a, b) == pytest.approx(sum(sum(f) >= a for f in flips) / 2 ** (a + b)) if a + b < 13 else True


def test_mcnemar_refuses_negative_counts() -> None:
    with pytest.raises(ValueError, match="negative"):
        mcnemar_exact(-1, 2)


@given(p=st.lists(st.floats(0, 1), max_size=8))
def test_holm_rejects_what_the_step_down_procedure_rejects(p: list[float]) -> None:
    adjusted = holm(p)
    for alpha in (0.01, 0.05, 0.3):
        rejected: set[int] = set()
        for step, index in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
            if p[index] * (len(p) - step) > alpha:
                break
            rejected.add(index)
        assert {i for i in range(len(p)) if adjusted[i] <= alpha} == rejected


def test_holm_refuses_what_is_no_probability() -> None:
    for bad in ([1.2], [math.nan], [-0.1]):
        with pytest.raises(ValueError, match="p-values"):
            holm(bad)


def test_the_ks_distance_and_its_p_value_are_those_of_the_definition() -> None:
    a, b = [0.1, 0.4, 0.7, 0.9], [0.2, 0.3, 0.5, 1.1, 1.2]

    def distance(first: tuple[float, ...], second: tuple[float, ...]) -> float:
        return max(
            abs(sum(x <= t for x in first) / len(first) - sum(x <= t for x in second) / len(second))
            for t in (*first, *second)
        )

    observed = distance(tuple(a), tuple(b))
    pooled = [*a, *b]
    splits = [
        distance(tuple(pooled[i] for i in chosen), tuple(pooled[i] for i in range(9) if i not in chosen))
        for chosen in itertools.combinations(range(9), 4)
    ]
    result = two_sample_ks(a, b)
    assert result.statistic == pytest.approx(observed)
    assert result.p_value == pytest.approx(np.mean([d >= observed - 1e-12 for d in splits]))


@pytest.mark.parametrize(("a", "b", "problem"), [([], [1.0], "at least one"), ([1.0], [math.inf], "finite")])
def test_ks_refuses_empty_and_infinite_samples(a: list[float], b: list[float], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        two_sample_ks(a, b)


def test_the_bootstrap_agrees_with_scipy() -> None:
    units = np.random.default_rng(5).exponential(size=40)
    ours = bootstrap(lambda u: float(u.mean()), units, np.random.default_rng(0), 4000)
    theirs = scipy_bootstrap((units,), np.mean, n_resamples=4000, method="BCa", rng=np.random.default_rng(1))
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.02)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.02)


def test_the_bootstrap_covers_the_mean_of_skewed_units_and_misses_a_wrong_one() -> None:
    rng = np.random.default_rng(8)
    draws = [bootstrap(lambda u: float(u.mean()), rng.exponential(size=40), rng, 300) for _ in range(150)]
    assert 0.87 <= np.mean([d.low <= 1.0 <= d.high for d in draws]) <= 0.99
    assert np.mean([d.low <= 1.8 <= d.high for d in draws]) < 0.1  # negative control


def test_units_are_drawn_whole() -> None:
    rows = np.stack([np.arange(30.0), np.arange(30.0)], axis=1)  # both columns of a unit stay together
    interval = bootstrap(lambda u: float(np.abs(u[:, 0] - u[:, 1]).max()), rows, np.random.default_rng(0), 50)
    assert (interval.low, interval.high) == (0.0, 0.0)


def test_the_bootstrap_refuses_what_it_cannot_resample() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="two units"):
        bootstrap(lambda u: float(u.mean()), np.ones(1), rng, 10)
    with pytest.raises(ValueError, match="finite"):
        bootstrap(lambda u: math.nan, np.ones(5), rng, 10)


def test_the_permutation_p_value_nears_the_one_over_all_labellings() -> None:
    values = np.array([0.3, 1.9, 1.1, 2.2, 0.1, 0.8, 1.4])
    labels = np.array([False, True, True, True, False, False, False])

    def difference(order: np.ndarray) -> float:
        return float(values[order].mean() - values[~order].mean())

    every = [np.isin(np.arange(7), chosen) for chosen in itertools.combinations(range(7), 3)]
    exact = np.mean([difference(order) >= difference(labels) - 1e-12 for order in every])
    assert permutation(difference, labels, np.random.default_rng(2), 4000) == pytest.approx(exact, abs=0.015)


def test_the_permutation_test_holds_its_level_and_has_power() -> None:
    rng, labels = np.random.default_rng(4), np.arange(24) < 12

    def p(shift: float) -> float:
        values = rng.normal(labels * shift, 1.0)
        return permutation(lambda order: float(values[order].sum()), labels, rng, 99)

    assert np.mean([p(0.0) <= 0.05 for _ in range(300)]) <= 0.09
    assert np.mean([p(3.0) <= 0.05 for _ in range(30)]) >= 0.9  # positive control


def test_the_permutation_p_value_is_never_zero() -> None:
    labels = np.arange(200) < 100
    assert permutation(lambda order: float(order[:100].sum()), labels, np.random.default_rng(0), 20) == 1 / 21
