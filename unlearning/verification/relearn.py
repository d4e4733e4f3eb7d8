"""V8: how quickly a model learns the forgotten examples again, compared with retrained models.

Memory that was only covered comes back in few steps; a model pushed too far takes longer than one that never knew.
Source: Chundawat et al., "Zero-shot machine unlearning", IEEE TIFS 2023 (arXiv:2201.05629): relearn time, AIN.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from reports.statistics import Interval

TOLERANCE = 0.05
"""A loss is reached when it is within this share of the original's."""
LEAST_STEPS = 10
"""Where retrained models need fewer on average, the steps are too coarse to compare."""

Reason = Literal["", "too-quick", "budget"]


@dataclass(frozen=True)
class Anamnesis:
    """The anamnesis index, or why there is none."""

    value: float | None
    """Steps of the model over the mean of the retrained models'; below 1 it remembers, far above it overshot."""
    interval: Interval | None
    """Where a retrained model's own index would put it, either way: one run of one model, so its luck is in it."""
    steps: int | None
    """Of the model; None where it did not reach the loss, and `value` is what it is at least."""
    oracle_steps: tuple[int | None, ...]
    """Of each retrained model."""
    reason: Reason
    """Empty where there is a value; "too-quick": the oracles need too few steps; "budget": one never got there."""


def relearn_steps(losses: npt.ArrayLike, before_loss: float, tolerance: float = TOLERANCE) -> int | None:
    """Return after how many steps the forget set's loss is first within `tolerance` of the original's.

    Args:
        losses: Mean loss on the forget set before the first step and after each, shape (steps + 1,).
        before_loss: The original model's, not negative.
        tolerance: Share by which the loss may exceed it.

    Returns:
        0 where it was there from the start; None where the curve ends too early.

    Raises:
        ValueError: there is no loss, one is not finite, or `before_loss` or `tolerance` is negative.
    """
    curve = np.asarray(losses, dtype=np.float64)
    if curve.ndim != 1 or not curve.size or not np.isfinite(curve).all():
        raise ValueError(f"need finite losses in one dimension, got shape {curve.shape}")
    if not (0 <= before_loss < math.inf and 0 <= tolerance < math.inf):
        raise ValueError(f"need a loss and a tolerance of zero or more, got {before_loss} and {tolerance}")
    reached = np.flatnonzero(curve <= (1 + tolerance) * before_loss)
    return int(reached[0]) if reached.size else None


def anamnesis_index(
    steps: int | None, oracle_steps: Sequence[int | None], *, budget: int, confidence: float = 0.95
) -> Anamnesis:
    """Return the model's relearn time over the oracles' mean.

    The interval is the index times exp(+-t s sqrt(1 + 1/N)), s the oracles' spread in log steps: for a model that is
    one more oracle it holds 1 about as often as it says.

    Args:
        steps: Of the model; None where it did not get there within `budget`.
        oracle_steps: Of two retrained models at least, the same way.
        budget: Steps that were tried.
        confidence: Of the interval.

    Raises:
        ValueError: fewer than two oracles, or a number of steps outside [0, budget].
    """
    from scipy.special import stdtrit

    counts = tuple(oracle_steps)
    if len(counts) < 2:
        raise ValueError(f"{len(counts)} oracles; an index with an interval needs two")
    if any(count is not None and not 0 <= count <= budget for count in (steps, *counts)):
        raise ValueError(f"steps lie in 0..{budget}, got {steps} and {counts}")
    reached = [count for count in counts if count is not None]
    if len(reached) < len(counts):
        return Anamnesis(None, None, steps, counts, "budget")
    mean = math.fsum(reached) / len(reached)
    if mean < LEAST_STEPS:
        return Anamnesis(None, None, steps, counts, "too-quick")
    value = (budget if steps is None else steps) / mean
    logs = np.log(np.maximum(reached, 0.5))
    spread = math.sqrt(float(logs.var(ddof=1)) + 1 / (12 * mean**2))  # steps are whole: that much is never known
    half = float(stdtrit(len(counts) - 1, 0.5 + confidence / 2)) * spread * math.sqrt(1 + 1 / len(counts))
    most = max(value, 0.5 / mean)  # a model that is there from the start still took less than a step, not none
    interval = Interval(low=value * math.exp(-half), high=most * math.exp(half), confidence=confidence)
    return Anamnesis(value, interval, steps, counts, "")
