"""V1: what forgetting cost, as accuracy against retrained models, and one figure for it all.

Necessary only: a model can answer as often right as a retrained one and still remember.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reports.statistics import Interval


@dataclass(frozen=True)
class AccuracyGap:
    """A model's accuracy minus the mean of the models it is compared with, on the same examples."""

    value: float
    """`accuracy` - `reference`; negative where the model is worse."""
    interval: Interval
    """Over examples and over reference models."""
    accuracy: float
    """Of the model."""
    reference: float
    """Mean of the reference models'."""
    examples: int
    """How many were asked."""
    models: int
    """How many reference models."""
    excused: float
    """Upper end where the model's own training had its luck too: hardly one more reference model would lie below."""


def accuracy_gap(correct: npt.ArrayLike, reference: npt.ArrayLike, confidence: float = 0.95) -> AccuracyGap:
    """Return how much oftener the model is right than the reference models are on average.

    Both sides answer the same examples, so the interval is of the differences; the luck of few reference models is
    added to it (Welch and Satterthwaite's degrees of freedom); one alone shows none, and the gap is to that very model.
    Where no example differs, or there is only one, such an interval would have no width: there Hoeffding's bound is
    given, which always holds. The interval is of this very model, against the mean of all that could be trained;
    `excused` is where a prediction of one more of them would end, and what a model may be accused by.

    Args:
        correct: Whether the model is right, truth values, shape (n,).
        reference: Whether each reference model is, truth values, shape (N, n); one (the model before) is enough.
        confidence: Of the interval.

    Source: Welch, Biometrika 34 (1947) 28-35; Hoeffding, JASA 58 (1963) 13-30, theorem 2.

    Raises:
        ValueError: shapes disagree, an array is empty or does not hold truth values.
    """
    one, others = np.asarray(correct), np.asarray(reference)
    if one.ndim != 1 or others.ndim != 2 or others.shape[1:] != one.shape or not others.size:
        raise ValueError(f"correct has shape {one.shape}, reference {others.shape}; need (n,) and (N, n)")
    if one.dtype != np.bool_ or others.dtype != np.bool_:
        raise ValueError(f"need truth values, not {one.dtype} and {others.dtype}")
    differences = one - others.mean(axis=0)
    accuracies = others.mean(axis=1)
    value = float(differences.mean())
    samples = [(sample, 1 / len(sample)) for sample in (differences, accuracies)]
    half = _half(samples, one.size, confidence)
    lucky = _half([samples[0], (accuracies, 1 + 1 / len(accuracies))], one.size, confidence)
    interval = Interval(low=max(-1.0, value - half), high=min(1.0, value + half), confidence=confidence)
    told = (float(one.mean()), float(accuracies.mean()), one.size, len(others))
    return AccuracyGap(value, interval, *told, excused=min(1.0, value + lucky))


def _half(samples: Sequence[tuple[npt.NDArray[np.float64], float]], examples: int, confidence: float) -> float:
    """Return half of an interval whose variance is that of each sample times its weight (Welch and Satterthwaite)."""
    from scipy.special import stdtrit

    variance, freedom = 0.0, 0.0
    for sample, weight in samples:
        if len(sample) > 1:
            part = float(sample.var(ddof=1)) * weight
            variance, freedom = variance + part, freedom + part**2 / (len(sample) - 1)
    if examples > 1 and variance > 0:
        return float(stdtrit(variance**2 / freedom, 0.5 + confidence / 2)) * math.sqrt(variance)
    return math.sqrt(2 * math.log(2 / (1 - confidence)) / examples)  # differences lie in [-1, 1]


def tug_of_war(*, retain: float, forget: float, test: float) -> float:
    """Return ToW, the product of 1 - |gap| over the three sets: 1 where all accuracies are those of retraining.

    Args:
        retain: Gap in accuracy to retrained models on the retained set, in [-1, 1].
        forget: The same on the forget set; too low costs as much as too high.
        test: The same on unseen examples.

    Source: Zhao et al. 2024, "What makes unlearning hard and what to do about it" (arXiv:2406.01257).

    Raises:
        ValueError: a gap lies outside [-1, 1].
    """
    gaps = (retain, forget, test)
    if not all(-1 <= gap <= 1 for gap in gaps):
        raise ValueError(f"gaps in accuracy lie in [-1, 1], not {gaps}")
    return math.prod(1 - abs(gap) for gap in gaps)
