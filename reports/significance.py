"""Tests of significance and resampling; offered to the rest of the house by `reports.statistics`.

Source of each in its docstring. Generators are handed in: a resample is part of the report's random numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from reports.model import Interval

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class KolmogorovSmirnov:
    """The largest distance of two empirical distributions, and how surprising it is."""

    statistic: float
    """In [0, 1]."""
    p_value: float
    """Probability of a distance at least as large if both samples come from one continuous distribution."""


def mcnemar_exact(only_a: int, only_b: int) -> float:
    """Return the one-sided exact p-value that A succeeds oftener than B on the same records.

    Args:
        only_a: Records on which A alone succeeds.
        only_b: Records on which B alone succeeds; records where both or neither do say nothing.

    Source: McNemar, Psychometrika 12 (1947) 153-157, with binomial(only_a + only_b, 1/2) in place of its normal limit.

    Raises:
        ValueError: a count is negative.
    """
    from scipy.special import bdtrc

    if only_a < 0 or only_b < 0:
        raise ValueError(f"counts cannot be negative: {only_a}, {only_b}")
    return 1.0 if only_a == 0 else float(bdtrc(only_a - 1, only_a + only_b, 0.5))


def holm(p: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return p-values adjusted for their number, shape (k,) in the order given: reject those at or below alpha.

    Source: Holm, Scand. J. Stat. 6 (1979) 65-70 (step-down; needs no independence).

    Raises:
        ValueError: a value is not in [0, 1].
    """
    values = np.asarray(p, dtype=np.float64).reshape(-1)
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError("p-values lie in [0, 1]")
    order = np.argsort(values, kind="stable")
    factors = np.arange(len(values), 0, -1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(np.maximum.accumulate(values[order] * factors), 1.0) if len(values) else values
    return adjusted


def two_sample_ks(a: npt.ArrayLike, b: npt.ArrayLike) -> KolmogorovSmirnov:
    """Return the two-sided two-sample Kolmogorov-Smirnov test, exact for small samples.

    Args:
        a: Sample, shape (m,).
        b: Sample, shape (n,). With ties the p-value is conservative.

    Source: Hodges, Ark. Mat. 3 (1958) 469-486, as `scipy.stats.ks_2samp`.

    Raises:
        ValueError: a sample is empty or holds a number that is not finite.
    """
    from scipy.stats import ks_2samp

    first, second = np.asarray(a, dtype=np.float64).reshape(-1), np.asarray(b, dtype=np.float64).reshape(-1)
    if not first.size or not second.size:
        raise ValueError("both samples need at least one value")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ValueError("a value is not finite")
    result = ks_2samp(first, second)
    return KolmogorovSmirnov(statistic=float(result.statistic), p_value=float(result.pvalue))


def bootstrap(
    statistic: Callable[[Array], float],
    units: Array,
    rng: np.random.Generator,
    resamples: int,
    confidence: float = 0.95,
) -> Interval:
    """Return the bias-corrected and accelerated bootstrap interval of `statistic`.

    Args:
        statistic: Takes as many units as there are, returns one number.
        units: What is independent of one another (records, groups, models) along the first axis, at least two.
        rng: Draws the resamples.
        resamples: How many; 2,000 make the ends of a 95 % interval steady.
        confidence: Of the interval.

    Source: Efron, JASA 82 (1987) 171-185; Efron and Tibshirani 1993, section 14.3.

    Raises:
        ValueError: fewer than two units, no resample, or the statistic is not finite.
    """
    from scipy.special import ndtr, ndtri

    count = len(units)
    if count < 2 or resamples < 1:
        raise ValueError(f"need at least two units and one resample, got {count} and {resamples}")
    observed = float(statistic(units))
    drawn = np.array([statistic(units[rng.integers(0, count, count)]) for _ in range(resamples)], dtype=np.float64)
    left_out = np.array([statistic(np.delete(units, i, axis=0)) for i in range(count)], dtype=np.float64)
    if not (np.isfinite(observed) and np.isfinite(drawn).all() and np.isfinite(left_out).all()):
        raise ValueError("the statistic is not finite on every resample")
    below = ((drawn < observed).mean() + (drawn <= observed).mean()) / 2  # ties half: discrete statistics keep a centre
    bias = ndtri(np.clip(below, 0.5 / resamples, 1 - 0.5 / resamples))
    spread = left_out.mean() - left_out
    scale = float((spread**2).sum() ** 1.5)
    acceleration = float((spread**3).sum()) / (6 * scale) if scale > 0 else 0.0
    tails = ndtri(np.array([(1 - confidence) / 2, (1 + confidence) / 2]))
    levels = ndtr(bias + (bias + tails) / (1 - acceleration * (bias + tails)))
    low, high = np.quantile(drawn, levels)
    return Interval(low=float(min(low, high)), high=float(max(low, high)), confidence=confidence)


def permutation(statistic: Callable[[Array], float], labels: Array, rng: np.random.Generator, exchanges: int) -> float:
    """Return the p-value that `statistic` is as large by chance, labels being exchangeable.

    Counts the observed labelling among the draws, so the p-value is never zero and holds its level for any number.

    Args:
        statistic: Takes labels in a given order, returns one number; larger means more surprising.
        labels: What is exchanged, along the first axis.
        rng: Draws the exchanges.
        exchanges: How many.

    Source: Phipson and Smyth, Stat. Appl. Genet. Mol. Biol. 9 (2010) article 39.

    Raises:
        ValueError: no exchange, or the statistic is not finite.
    """
    if exchanges < 1:
        raise ValueError("need at least one exchange")
    observed = float(statistic(labels))
    drawn = np.array([statistic(labels[rng.permutation(len(labels))]) for _ in range(exchanges)], dtype=np.float64)
    if not (np.isfinite(observed) and np.isfinite(drawn).all()):
        raise ValueError("the statistic is not finite on every exchange")
    tolerance = 1e-12 * abs(observed)  # sums in another order differ in the last bit; a tie must count as one
    return float((1 + (drawn >= observed - tolerance).sum()) / (exchanges + 1))
