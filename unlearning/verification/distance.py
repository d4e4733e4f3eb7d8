"""V6 and V7: how far a model's answers lie from retrained ones, over how far those lie from one another.

    ratio = mean distance(model, oracle) / mean distance(oracle, oracle)

Two trainings never agree, so a distance alone says nothing; the floor is what retraining differs from retraining. Near
1 is as near as a retrained model would be, which a model that hides its memory can be as well: screening, no proof.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from reports.statistics import Interval
from unlearning.federated.divergences import divergence

Array = npt.NDArray[np.float64]
Distances = Callable[[Array, Array], Array]
"""Mean distance over the examples between one model, (n, C), and each of several, (K, n, C): shape (K,)."""

LEAST_ORACLES = 3
"""Two have one distance between them, and leaving one of them out leaves none."""

ROUNDING = 1e-12
"""A floor below this share of all distances is what sums leave over, and none; below its square, too."""


@dataclass(frozen=True)
class FloorRatio:
    """A model's distance to retrained models in units of their distance to one another."""

    value: float
    """`distance` / `floor`; at or below 1 the model is at the floor."""
    interval: Interval
    """By jackknife of the logarithm over the oracles: it holds for this model, whose own luck no oracle tells."""
    distance: float
    """Mean over oracles and examples between the model and an oracle."""
    floor: float
    """Mean over pairs and examples between two oracles."""
    oracles: int
    """How many there were."""


def js_ratio(logits: npt.ArrayLike, oracles: npt.ArrayLike, confidence: float = 0.95) -> FloorRatio:
    """Return the Jensen-Shannon divergence (nats) of the answers to those of the oracles, over the oracles' own.

    Args:
        logits: The model's, shape (n, C).
        oracles: The retrained models', shape (N, n, C), three at least.
        confidence: Of the interval.

    Raises:
        ValueError: shapes disagree, too few oracles, a logit that is not finite, or oracles that all answer alike.
    """
    measure = divergence("js")

    def distances(one: Array, others: Array) -> Array:
        return np.asarray(measure.value(torch.from_numpy(one), torch.from_numpy(others)).mean(-1).numpy())

    return _ratio(*_checked(logits, oracles), distances, confidence)


def activation_ratio(logits: npt.ArrayLike, oracles: npt.ArrayLike, confidence: float = 0.95) -> FloorRatio:
    """Return the Euclidean distance of the softmax answers to those of the oracles, over the oracles' own.

    Arguments and errors as in `js_ratio`. Source: Chundawat et al. 2023 (arXiv:2201.05629) for the distance.
    """

    def distances(one: Array, others: Array) -> Array:
        return np.asarray(np.linalg.norm(_softmax(others) - _softmax(one), axis=-1).mean(axis=-1))

    return _ratio(*_checked(logits, oracles), distances, confidence)


def _ratio(model: Array, oracles: Array, distances: Distances, confidence: float) -> FloorRatio:
    """Return the ratio from mean distances; the jackknife leaves out an oracle with every distance that it has."""
    count = len(oracles)
    to_oracles = distances(model, oracles)
    between = np.zeros((count, count))
    for row in range(count - 1):
        between[row, row + 1 :] = between[row + 1 :, row] = distances(oracles[row], oracles[row + 1 :])
    total, pairs = float(between.sum()), count * (count - 1)
    without = (total - 2 * between.sum(axis=1)) / (pairs - 2 * (count - 1))
    if not without.min() > ROUNDING * (total + ROUNDING):
        raise ValueError("two oracles or more answer alike, so there is no floor to compare with")
    value = float(to_oracles.mean()) / (total / pairs)
    left_out = (to_oracles.sum() - to_oracles) / (count - 1) / without
    # of logarithms: on trained digits models it covers as often, and sees more (0.26 against 0.19 with four oracles)
    half = _jackknife_half_width(np.log(left_out), confidence)
    interval = Interval(low=value * math.exp(-half), high=value * math.exp(half), confidence=confidence)
    return FloorRatio(value, interval, float(to_oracles.mean()), total / pairs, count)


def _jackknife_half_width(left_out: Array, confidence: float) -> float:
    """Return half of Tukey's jackknife interval, Student's t on one degree less than units: few units stay honest.

    Source: Efron and Tibshirani 1993, section 11.2; Tukey, Ann. Math. Stat. 29 (1958) 614.
    """
    from scipy.special import stdtrit

    count = len(left_out)
    error = math.sqrt((count - 1) / count * float(((left_out - left_out.mean()) ** 2).sum()))
    return float(stdtrit(count - 1, 0.5 + confidence / 2)) * error


def _checked(logits: npt.ArrayLike, oracles: npt.ArrayLike) -> tuple[Array, Array]:
    """Return both as float64."""
    one, others = np.array(logits, dtype=np.float64), np.array(oracles, dtype=np.float64)
    if one.ndim != 2 or others.shape[1:] != one.shape or not one.size:
        raise ValueError(f"logits have shape {one.shape}, the oracles' {others.shape}; need (n, C) and (N, n, C)")
    if len(others) < LEAST_ORACLES:
        raise ValueError(f"{len(others)} oracles; a floor with an interval needs {LEAST_ORACLES}")
    if not (np.isfinite(one).all() and np.isfinite(others).all()):
        raise ValueError("a logit is not finite")
    return one, others


def _softmax(logits: Array) -> Array:
    """Return probabilities over the last dimension."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))
