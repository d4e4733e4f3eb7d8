"""Canary clients, and the lower bound on epsilon where their scores are normally distributed.

A canary is a random unit vector, clipped like any client, that took part in a run by a coin flip. Its score is its
inner product with everything that was released; noise moves the scores of both groups alike, so how far the groups lie
apart tells mu of Gaussian differential privacy. The bound on mu is exact for normal scores of equal variance.

Source: Andrew et al. 2023 (arXiv:2302.03098), with coin flips in place of canaries that never took part; the
noncentral t distribution: Johnson and Welch, Biometrika 31 (1940) 362-389.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audit.dp.gaussian import gdp_epsilon

Array = npt.NDArray[np.float64]
SEPARATE = 20
"""Coordinates a canary; with fewer, random directions are made orthogonal so that none answers for another."""
LARGEST_EPSILON = 1000.0
"""Beyond it a figure says no more than that nothing is hidden."""
LARGEST_EFFECT = 60.0
"""Standard deviations apart at which the groups are taken to lie at most; epsilon is above 1,000 there at any delta."""
_NODES, _REACH = 4001, 12.0
"""Of the integral over the pooled deviation: points, and standard deviations to either side."""


@dataclass(frozen=True)
class GaussianBounds:
    """What the distance of two groups of normal scores says of epsilon."""

    low: float
    """Epsilon is at least this; at most `LARGEST_EPSILON`."""
    high: float
    """Epsilon of this attack is at most this, at the same level; at most `LARGEST_EPSILON`."""
    effect: float
    """Difference of the means over the pooled standard deviation; infinite where nothing varies within the groups."""


def gaussian_lower_bound(scores: npt.ArrayLike, included: npt.ArrayLike, *, delta: float, alpha: float) -> float:
    """Return the lower bound of `gaussian_bounds` alone."""
    return gaussian_bounds(scores, included, delta=delta, alpha=alpha).low


def gaussian_bounds(scores: npt.ArrayLike, included: npt.ArrayLike, *, delta: float, alpha: float) -> GaussianBounds:
    """Return bounds on the epsilon of a Gaussian mechanism from the scores of its canaries, each at level `alpha`.

    Whether the scores are normal is for the caller to ask (`normality_p_value`): elsewhere the bound does not hold.

    Args:
        scores: Shape (m,), finite; at least two of each group.
        included: Whether each canary took part, shape (m,), truth values.
        delta: Of the claim.
        alpha: Probability of a lower bound above the truth, and of an upper bound below it.

    Raises:
        ValueError: a group has fewer than two scores.
    """
    values, truth = np.asarray(scores, dtype=np.float64), np.asarray(included, dtype=np.bool_)
    with_it, without = values[truth], values[~truth]
    effect = standardised_difference(with_it, without)
    n1, n0 = len(with_it), len(without)
    low = noncentral_t_lower(effect, n1, n0, alpha)
    high = -noncentral_t_lower(-effect, n1, n0, alpha)
    return GaussianBounds(_epsilon(low, delta), _epsilon(high, delta), effect)


def standardised_difference(first: Array, second: Array) -> float:
    """Return the difference of the means over the pooled standard deviation; infinite where that is zero.

    Raises:
        ValueError: a group has fewer than two scores.
    """
    if min(len(first), len(second)) < 2:
        raise ValueError(f"each group needs two scores, got {len(first)} and {len(second)}")
    freedom = len(first) + len(second) - 2
    pooled = math.sqrt((first.var() * len(first) + second.var() * len(second)) / freedom)
    apart = float(first.mean() - second.mean())
    if apart == 0:
        return 0.0
    return apart / pooled if pooled > 0 else math.copysign(math.inf, apart)


def noncentral_t_lower(effect: float, n1: int, n0: int, alpha: float) -> float:
    """Return the lower bound on a standardised difference of two normal groups, in their common standard deviation.

    Args:
        effect: As measured (`standardised_difference`); beyond `LARGEST_EFFECT` it is taken to be that.
        n1: Scores in the group with the larger mean.
        n0: Scores in the other.
        alpha: Probability that the bound lies above the truth.

    Raises:
        ValueError: a group has fewer than two scores, or `alpha` is not in (0, 1).
    """
    from scipy.optimize import brentq
    from scipy.special import ndtr, ndtri
    from scipy.stats import chi

    if min(n1, n0) < 2 or not 0 < alpha < 1:
        raise ValueError(f"each group needs two scores, and alpha lies in (0, 1); got {n1}, {n0}, {alpha}")
    freedom, size = n1 + n0 - 2, math.sqrt(n1 * n0 / (n1 + n0))
    t = max(-LARGEST_EFFECT, min(LARGEST_EFFECT, effect)) * size
    half = _REACH / math.sqrt(2 * freedom)
    deviation = np.linspace(max(1e-9, 1 - half), 1 + half, _NODES)  # of the pooled deviation over the true one
    weight = chi.pdf(deviation * math.sqrt(freedom), freedom)
    weight /= weight.sum()

    def surplus(noncentrality: float) -> float:
        """Return P[T >= t] - alpha: T is (Z + noncentrality) / deviation."""
        return float((weight * ndtr(noncentrality - t * deviation)).sum()) - alpha

    middle = t + float(ndtri(alpha)) * math.sqrt(1 + t * t / (2 * freedom))
    step = 1.0 + abs(t) / math.sqrt(freedom)
    low, high = middle - step, middle + step
    while surplus(low) > 0:
        low -= step
    while surplus(high) < 0:
        high += step
    return float(brentq(surplus, low, high, xtol=1e-12)) / size


def normality_p_value(values: npt.ArrayLike) -> float:
    """Return the p-value of the Anderson-Darling test that `values` come from some normal distribution.

    Zero where the values do not vary, or are too few to tell (fewer than 8): the bound needs evidence, not its lack.

    Args:
        values: Shape (n,), finite.

    Source: D'Agostino and Stephens, Goodness-of-Fit Techniques (1986), table 4.9, both parameters estimated.
    """
    from scipy.special import log_ndtr

    sample = np.sort(np.asarray(values, dtype=np.float64))
    n = len(sample)
    deviation = float(sample.std(ddof=1)) if n >= 8 else 0.0
    if not deviation > 0:
        return 0.0
    standard = (sample - sample.mean()) / deviation
    odd = 2 * np.arange(1, n + 1) - 1
    statistic = -n - float((odd * (log_ndtr(standard) + log_ndtr(-standard[::-1]))).sum()) / n
    a = statistic * (1 + 0.75 / n + 2.25 / n**2)
    if a >= 13:  # the fit ends there, below 1e-30
        return 0.0
    if a >= 0.6:
        return math.exp(1.2937 - 5.709 * a + 0.0186 * a * a)
    if a >= 0.34:
        return math.exp(0.9177 - 4.279 * a - 1.38 * a * a)
    if a >= 0.2:
        return 1 - math.exp(-8.318 + 42.796 * a - 59.938 * a * a)
    return 1 - math.exp(-13.436 + 101.14 * a - 223.73 * a * a)


def canary_updates(
    m: int, shapes: Mapping[str, Sequence[int]], generator: np.random.Generator
) -> list[dict[str, Array]]:
    """Return `m` random directions of L2 norm 1 over all tensors together, each a client's update.

    Where the model has fewer than `SEPARATE` coordinates a canary they are made orthogonal to one another.

    Args:
        m: How many.
        shapes: Of the tensors, by name.
        generator: Draws them.

    Raises:
        ValueError: more canaries than coordinates cannot be orthogonal.
    """
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    coordinates = sum(sizes.values())
    if m > coordinates:
        raise ValueError(f"{m} canaries do not fit {coordinates} coordinates without answering for one another")
    directions = generator.standard_normal((m, coordinates))
    if coordinates < SEPARATE * m:
        directions = np.linalg.qr(directions.T)[0].T
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    edges = np.cumsum(list(sizes.values()))[:-1]
    return [
        {name: part.reshape(tuple(shapes[name])) for name, part in zip(sizes, np.split(row, edges), strict=True)}
        for row in directions
    ]


def score(aggregates: Iterable[Mapping[str, npt.ArrayLike]], canaries: Sequence[Mapping[str, Array]]) -> Array:
    """Return the inner product of each canary with the sum of everything that was released, shape (m,).

    Args:
        aggregates: The released sums of a run, one a round, tensors by name.
        canaries: Directions, tensors by the same names.
    """
    total: dict[str, Array] = {}
    for released in aggregates:
        for name, values in released.items():
            array = np.asarray(values, dtype=np.float64)
            total[name] = total[name] + array if name in total else array
    scores = np.zeros(len(canaries))
    for name, values in total.items():
        scores += np.array([float(np.vdot(canary[name], values)) for canary in canaries])
    return scores


def _epsilon(mu: float, delta: float) -> float:
    return min(LARGEST_EPSILON, gdp_epsilon(mu, delta)) if mu > 0 else 0.0
