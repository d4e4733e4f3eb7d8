"""The word-counting baseline: its published kappa, and scikit-learn's isotonic fit as the oracle."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from compliance.agreement import quadratic_weighted_kappa
from compliance.lexical import fit_isotonic, hedge_density, leave_one_group_out, to_scores

ROOT = Path(__file__).parents[2]
LINES = (ROOT / "compliance/data/aireg_excerpts.jsonl").read_text().splitlines()
EXPECTED = json.loads((ROOT / "tests/vectors/compliance/aireg_expected.json").read_bytes())["lexical"]

points = st.lists(st.tuples(st.integers(0, 8), st.integers(1, 5)), min_size=1, max_size=40)


def test_it_equals_the_published_kappa_on_the_shipped_excerpts() -> None:
    items = [json.loads(line) for line in LINES]
    density = [hedge_density(item["text"]) for item in items]
    reference = [item["median"] for item in items]
    scores = to_scores(leave_one_group_out(density, reference, [item["use"] for item in items]))
    kappa = quadratic_weighted_kappa(scores, reference)
    assert kappa == pytest.approx(EXPECTED["kappa_on_uses_1_to_4_only"], abs=1e-9)


@pytest.mark.parametrize(
    ("text", "density"),
    [
        ("", 0.0),
        ("The system is tested.", 0.0),
        ("Not tested, however planned.", 75.0),
        ("It does not run.", 25.0),  # "does not" is two words and one hit
        ("The notary relies on a lackey", 100 / 3),  # whole words, save where the list says otherwise
    ],
)
def test_words_of_reservation_are_counted_per_hundred_words(text: str, density: float) -> None:
    assert hedge_density(text) == pytest.approx(density)


@given(points)
@settings(max_examples=25)
def test_the_fit_equals_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    x, y = (np.array(side, dtype=float) for side in zip(*pairs, strict=True))
    theirs = IsotonicRegression(increasing=False, out_of_bounds="clip").fit(x, y)
    at = np.linspace(-1, 9, 41)
    np.testing.assert_allclose(fit_isotonic(x, y)(at), theirs.predict(at), atol=1e-9)


@given(points)
@settings(max_examples=25)
def test_the_fit_never_rises_and_keeps_the_mean(pairs: list[tuple[int, int]]) -> None:
    x, y = (np.array(side, dtype=float) for side in zip(*pairs, strict=True))
    fitted = fit_isotonic(x, y)
    assert (np.diff(fitted.values) <= 1e-12).all()
    assert fitted(x).mean() == pytest.approx(y.mean())


def test_a_group_is_never_judged_by_itself() -> None:
    """Two groups that contradict each other: each is told what the other says."""
    x, y, groups = [0.0, 1.0, 0.0, 1.0], [5, 5, 1, 1], [1, 1, 2, 2]
    np.testing.assert_array_equal(leave_one_group_out(x, y, groups), [1, 1, 5, 5])


def test_scores_are_rounded_halves_to_even_and_kept_on_the_scale() -> None:
    np.testing.assert_array_equal(to_scores([-3.0, 2.5, 3.5, 4.51, 9.0]), [1, 2, 4, 5, 5])


def test_points_that_cannot_be_fitted_are_refused() -> None:
    with pytest.raises(ValueError, match="points of equal number"):
        fit_isotonic([], [])
    with pytest.raises(ValueError, match="not finite"):
        fit_isotonic([float("nan")], [1.0])
    with pytest.raises(ValueError, match="at least two groups"):
        leave_one_group_out([1.0, 2.0], [1.0, 2.0], [1, 1])
