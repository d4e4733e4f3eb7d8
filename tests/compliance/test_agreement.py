"""Agreement: the published figures, other people's libraries, and what is undefined."""

import json
import math
from pathlib import Path
from typing import Any

import krippendorff
import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score, f1_score, mean_absolute_error

from compliance.agreement import agreement, bootstrap_kappa, krippendorff_alpha, quadratic_weighted_kappa, spearman
from compliance.label_tables import kappa_of_tables, mean_of_tables, percentile_interval, resampled_tables
from reports.statistics import wilson

ROOT = Path(__file__).parents[2]
ITEMS = json.loads((ROOT / "compliance/data/aireg_scores.json").read_bytes())["items"]
EXPECTED = json.loads((ROOT / "tests/vectors/compliance/aireg_expected.json").read_bytes())
REFERENCE = np.array([item["median"] for item in ITEMS])
MODELS = sorted(EXPECTED["models"])

pairs = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=2, max_size=60)


def scores_of(model: str) -> np.ndarray[Any, Any]:
    return np.array([item["scores"][model] for item in ITEMS])


@pytest.mark.parametrize("model", MODELS)
def test_it_equals_the_figures_computed_from_the_published_answers(model: str) -> None:
    wanted, found = EXPECTED["models"][model], agreement(scores_of(model), REFERENCE)
    for name in ("kappa_qw", "spearman", "bias", "mae", "exact", "over", "under"):
        assert getattr(found, name) == pytest.approx(wanted[name], abs=1e-9), name
    assert found.f1 == pytest.approx(wanted["f1_ge4"], abs=1e-9)
    false = wanted["false"]
    assert (found.false_compliant.count, found.false_compliant.of) == (false["false_compliant_n"], false["median_le2"])
    noncompliant = found.false_noncompliant
    assert (noncompliant.count, noncompliant.of) == (false["false_noncompliant_n"], false["median_ge4"])
    assert found.undefined == {}


@pytest.mark.parametrize("model", MODELS)
def test_its_bootstrap_intervals_equal_the_published_ones(model: str) -> None:
    tables = resampled_tables([scores_of(model), REFERENCE], np.random.default_rng(0), 2000)
    for name, values in (
        ("kappa_ci95", kappa_of_tables(tables)),
        ("bias_ci95", mean_of_tables(tables)),
        ("mae_ci95", mean_of_tables(tables, absolute=True)),
    ):
        interval = percentile_interval(values)
        assert interval is not None
        assert [interval.low, interval.high] == pytest.approx(EXPECTED["models"][model][name], abs=1e-9), name


@pytest.mark.parametrize("model", MODELS)
def test_by_article_and_within_violations_it_equals_the_figures(model: str) -> None:
    wanted, scores = EXPECTED["models"][model], scores_of(model)
    for article in (9, 10, 12, 14, 15):
        chosen = np.array([item["article"] == article for item in ITEMS])
        found = agreement(scores[chosen], REFERENCE[chosen])
        assert found.kappa_qw == pytest.approx(wanted["by_article_kappa"][str(article)], abs=1e-9)
        assert found.mae == pytest.approx(wanted["by_article_mae"][str(article)], abs=1e-9)
    violation = np.array([item["profile"] == "violation" for item in ITEMS])
    found = agreement(scores[violation], REFERENCE[violation])
    assert found.kappa_qw == pytest.approx(wanted["within_violation"]["kappa_qw"], abs=1e-9)
    assert found.mae == pytest.approx(wanted["within_violation"]["mae"], abs=1e-9)


def test_a_reader_who_always_says_3_has_kappa_0_and_no_correlation() -> None:
    found, wanted = agreement(np.full(120, 3), REFERENCE), EXPECTED["baselines"]["always_3"]
    assert found.kappa_qw == wanted["kappa_qw"] == 0.0
    assert found.spearman is wanted["spearman"] is None
    assert (found.mae, found.f1) == (wanted["mae"], wanted["f1_ge4"])
    assert "throughout" in found.undefined["spearman"]


@given(pairs)
@settings(max_examples=25)
def test_kappa_equals_scikit_learn(labels: list[tuple[int, int]]) -> None:
    a, b = zip(*labels, strict=True)
    found = quadratic_weighted_kappa(a, b)
    if len({*a, *b}) == 1:
        assert found is None
    else:
        assert found == pytest.approx(cohen_kappa_score(a, b, weights="quadratic", labels=[1, 2, 3, 4, 5]), abs=1e-9)


@given(pairs)
@settings(max_examples=25)
def test_spearman_equals_scipy(labels: list[tuple[int, int]]) -> None:
    a, b = zip(*labels, strict=True)
    found = spearman(a, b)
    if len(set(a)) == 1 or len(set(b)) == 1:
        assert found is None
    else:
        assert found == pytest.approx(scipy.stats.spearmanr(a, b).statistic, abs=1e-9)


@given(pairs)
@settings(max_examples=25)
def test_the_other_figures_equal_their_definition(labels: list[tuple[int, int]]) -> None:
    a, b = (np.array(side) for side in zip(*labels, strict=True))
    found = agreement(a, b)
    assert found.mae == pytest.approx(mean_absolute_error(b, a))
    assert found.bias == pytest.approx(np.mean(a - b))
    assert (found.exact, found.over, found.under) == pytest.approx((np.mean(a == b), np.mean(a > b), np.mean(a < b)))
    if (a >= 4).any() or (b >= 4).any():
        assert found.f1 == pytest.approx(f1_score(b >= 4, a >= 4))
    else:
        assert found.f1 is None
    assert found.false_compliant.count == sum(x >= 4 for x, y in labels if y <= 2)
    assert found.false_compliant.of == sum(y <= 2 for _, y in labels)
    assert found.false_noncompliant.count == sum(x <= 2 for x, y in labels if y >= 4)


@given(
    st.integers(2, 4).flatmap(
        lambda raters: st.lists(
            st.lists(st.one_of(st.none(), st.integers(1, 5)), min_size=raters, max_size=raters), min_size=2, max_size=15
        )
    ),
    st.sampled_from(["nominal", "ordinal", "interval"]),
)
@settings(max_examples=30)
def test_alpha_equals_the_krippendorff_package(units: list[list[int | None]], level: str) -> None:
    ratings = np.array([[math.nan if label is None else label for label in unit] for unit in units]).T
    found = krippendorff_alpha(ratings, level)
    paired = ratings[:, np.isfinite(ratings).sum(axis=0) >= 2]
    if len(np.unique(paired[np.isfinite(paired)])) < 2:
        assert found is None
    else:
        assert found == pytest.approx(krippendorff.alpha(paired, level_of_measurement=level), abs=1e-9)


def test_alpha_equals_krippendorffs_worked_example() -> None:
    """Computing Krippendorff's Alpha-Reliability (2011), sections C to E: 4 observers, 12 units, missing ratings."""
    n = math.nan
    ratings = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, n, n, n],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, n, 3],
        [n, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, n],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, n],
    ]
    for level, alpha in (("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)):
        assert krippendorff_alpha(ratings, level) == pytest.approx(alpha, abs=5e-4)


@pytest.mark.parametrize(("left_out", "alpha"), [((), 0.6513664530983281), (("YIQ", "TJ3"), 0.786)])
def test_the_experts_alpha_is_the_published_one(left_out: tuple[str, ...], alpha: float) -> None:
    names = sorted({name for item in ITEMS for name in item["annotators"]} - {*left_out})
    ratings = np.full((len(names), len(ITEMS)), np.nan)
    for column, item in enumerate(ITEMS):
        for name, label in zip(item["annotators"], item["human"], strict=True):
            if name in names:
                ratings[names.index(name), column] = label
    assert krippendorff_alpha(ratings) == pytest.approx(alpha, abs=1e-9 if not left_out else 5e-4)


@given(pairs, st.integers(0, 2**32), st.integers(1, 30))
def test_a_resampled_table_counts_the_drawn_items(labels: list[tuple[int, int]], seed: int, resamples: int) -> None:
    a, b = (np.array(side) for side in zip(*labels, strict=True))
    tables = resampled_tables([a, b], np.random.default_rng(seed), resamples)
    drawn = np.random.default_rng(seed).integers(0, len(a), (resamples, len(a)))
    for table, rows in zip(tables, drawn, strict=True):
        slow = np.zeros((5, 5), dtype=int)
        for row in rows:
            slow[a[row] - 1, b[row] - 1] += 1
        np.testing.assert_array_equal(table, slow)


def test_many_items_are_drawn_in_chunks_as_in_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = bootstrap_kappa(scores_of("GPT-4o"), REFERENCE, np.random.default_rng(3), 50)
    monkeypatch.setattr("compliance.label_tables._CHUNK", 7 * 120)
    np.testing.assert_array_equal(bootstrap_kappa(scores_of("GPT-4o"), REFERENCE, np.random.default_rng(3), 50), whole)


def test_resampled_readers_are_paired() -> None:
    """A reader against itself differs by nothing in every draw; against another, in some."""
    scores, other = scores_of("GPT-4o"), scores_of("Gemma 3")
    for second, same in ((scores, True), (other, False)):
        tables = resampled_tables([scores, second, REFERENCE], np.random.default_rng(1), 200)
        difference = kappa_of_tables(tables.sum(axis=2)) - kappa_of_tables(tables.sum(axis=1))
        assert bool((difference == 0).all()) is same


def test_an_interval_of_draws_that_are_mostly_undefined_is_none() -> None:
    assert percentile_interval(np.array([0.5] * 10 + [math.nan])) is None
    assert percentile_interval(np.array([])) is None
    assert percentile_interval(np.array([0.5] * 19 + [math.nan])) is not None


def test_no_item_and_one_item_have_reasons_instead_of_figures() -> None:
    nothing, one = agreement([], []), agreement([3], [3])
    assert nothing.mae is None
    assert set(nothing.undefined.values()) == {"there is no item"}
    assert one.mae == 0.0
    assert set(one.undefined) == {"kappa_qw", "spearman", "f1"}
    assert nothing.false_compliant.rate is None
    assert nothing.false_compliant.upper == 1.0


def test_the_wilson_bound_of_5_in_44_is_0_240() -> None:
    assert agreement(scores_of("GPT-4o"), REFERENCE).false_compliant.upper == pytest.approx(0.240, abs=5e-4)
    assert wilson(0, 24).high < 0.20 < wilson(1, 24).high == pytest.approx(0.202, abs=5e-4)


@pytest.mark.parametrize("labels", [[0], [6], [2.5], ["3"], [True], [math.nan], [[1, 2]]])
def test_what_is_no_label_is_refused(labels: list[Any]) -> None:
    with pytest.raises(ValueError, match="label"):
        quadratic_weighted_kappa(labels, [3])


def test_unequal_lengths_and_unknown_levels_are_refused() -> None:
    with pytest.raises(ValueError, match="same items"):
        agreement([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="equal length"):
        resampled_tables([[1, 2], [1]], np.random.default_rng(0), 10)
    with pytest.raises(ValueError, match="known are nominal"):
        krippendorff_alpha([[1.0, 2.0]], "ratio")
    with pytest.raises(ValueError, match=r"\(raters, units\)"):
        krippendorff_alpha([1.0, 2.0])
