"""Scores against their definitions in exact arithmetic, and at the ends where softmax rounds."""

import math
from typing import Any

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unlearning.verification.scores import alike, logit_confidence, moments, per_example_loss, score_matrix, two_sides

rows = st.lists(st.floats(-700, 700), min_size=2, max_size=6)


@settings(deadline=None)
@given(logits=rows, data=st.data())
def test_scores_are_those_of_the_definition_in_fifty_digits(logits: list[float], data: st.DataObject) -> None:
    label = data.draw(st.integers(0, len(logits) - 1))
    with mpmath.workdps(400):  # 1 - p of a probability 1 - e^-700
        weights = [mpmath.exp(z) for z in logits]
        p = weights[label] / sum(weights)
        confidence, loss = float(mpmath.log(p) - mpmath.log(1 - p)), float(-mpmath.log(p))
    found = logit_confidence([logits], [label])
    assert found == pytest.approx([min(max(confidence, -50.0), 50.0)], rel=1e-12, abs=1e-12)
    assert per_example_loss([logits], [label]) == pytest.approx([loss], rel=1e-12, abs=1e-12)


def test_a_loss_is_torchs_cross_entropy_for_any_leading_dimensions() -> None:
    logits, y = (
        torch.randn(3, 2, 5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)),
        [0, 3, 1, 1, 2],
    )
    expected = torch.nn.functional.cross_entropy(
        logits.reshape(-1, 4), torch.tensor(y).repeat(6), reduction="none"
    ).reshape(3, 2, 5)
    np.testing.assert_allclose(per_example_loss(logits, y), expected, rtol=1e-12)
    probability = torch.exp(-expected)
    np.testing.assert_allclose(logit_confidence(logits, y), torch.logit(probability), rtol=1e-9, atol=1e-9)


def test_a_score_keeps_to_its_range_and_the_arrays_handed_in_keep_their_numbers() -> None:
    logits = np.array([[700.0, 0.0], [-700.0, 0.0]], dtype=np.float32)
    kept = logits.copy()
    assert logit_confidence(logits, [0, 0]).tolist() == [50.0, -50.0]
    assert logit_confidence(logits, np.array([0, 0], dtype=np.uint8)).dtype == np.float64
    np.testing.assert_array_equal(logits, kept)


WRONG: list[tuple[Any, Any, str]] = [
    ([[1.0], [2.0]], [0, 0], "shape"),
    ([1.0, 2.0], 0, "shape"),
    ([[1.0, 2.0]], [0, 1], "shape"),
    ([[1.0, 2.0]], [[0]], "shape"),
    ([[1.0, math.nan]], [0], "finite"),
    ([[1.0, math.inf]], [0], "finite"),
    ([[1.0, 2.0]], [2], "0?2..2, with 2 classes"),
    ([[1.0, 2.0]], [-1], "with 2 classes"),
    ([[1.0, 2.0]], [0.0], "not integers"),
]


@pytest.mark.parametrize(("logits", "y", "problem"), WRONG)
@pytest.mark.parametrize("score", [logit_confidence, per_example_loss])
def test_logits_that_mean_nothing_are_refused(score: Any, logits: Any, y: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        score(logits, y)


@pytest.mark.parametrize(
    ("scores", "problem"),
    [
        ([1.0, 2.0], "shape"),
        (np.empty((3, 0)), "shape"),
        ([[1.0, 2.0]], "1 models; need two"),
        ([[1.0], [math.nan]], "oracles: a score is not finite"),
        ([[1.0], [-math.inf]], "oracles: a score is not finite"),
    ],
)
def test_arrays_that_are_no_scores_are_refused(scores: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        score_matrix(scores, "oracles")


def test_both_sides_score_the_same_examples() -> None:
    with pytest.raises(ValueError, match="score 1 examples, references 2"):
        two_sides([[1.0], [2.0]], [[1.0, 2.0], [3.0, 4.0]])


def test_rounding_is_no_spread_and_a_small_spread_is_one() -> None:
    scores = np.array([[0.1 + 0.2, 0.0, 1e-9, 50.0], [0.3, 0.0, 2e-9, 50.0 - 1e-9]])
    assert alike(scores).tolist() == [True, True, False, False]
    center, deviation = moments(scores)
    assert (((scores - center) / deviation)[:, :2] == 0).all()
    assert deviation[2] == pytest.approx(1e-9 / math.sqrt(2))
