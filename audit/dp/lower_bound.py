"""What the scores of canaries prove of epsilon from below, and what they could have proved.

Two routes, each at half of the level: guesses in one run, which hold for any mechanism, and the distance of two normal
groups, which holds where no test says that they are not normal. The larger bound counts.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audit.dp.canaries import LARGEST_EPSILON, GaussianBounds, gaussian_bounds, normality_p_value
from audit.dp.gaussian import gdp_mu
from audit.dp.onerun import least_right, refuted_epsilon, right_guesses

ALPHA = 0.025
"""Level of each route; both together refute a true epsilon in at most twice as many runs."""
NOT_NORMAL = 0.001
"""Below this p-value of either group its scores are not normal."""
POWER = 0.8
"""Share of runs in which half of the claimed noise must be noticed, for a pass."""
LEAST_CANARIES = 20
"""Fewer scores decide nothing and are refused."""


@dataclass(frozen=True)
class LowerBound:
    """The largest epsilon that the scores refute."""

    one_run: float
    """By the guesses of one run."""
    gaussian: GaussianBounds | None
    """By the distance of the groups; None where their scores are not normal."""
    normality: float
    """The smaller of the two groups' p-values."""
    canaries: int
    """Scores behind it."""
    guesses: int
    """Canaries guessed."""
    right: int
    """Guesses that were right."""

    @property
    def low(self) -> float:
        """Epsilon is at least this, with 95 % confidence."""
        return self.one_run if self.gaussian is None else max(self.one_run, self.gaussian.low)

    @property
    def high(self) -> float:
        """The upper end of the Gaussian estimate; `LARGEST_EPSILON` where there is none."""
        return max(self.low, LARGEST_EPSILON if self.gaussian is None else self.gaussian.high)

    @property
    def route(self) -> str:
        """Which of the two gives the larger bound."""
        by_distance = self.gaussian is not None and self.gaussian.low >= self.one_run
        return "distance of two normal groups (arXiv:2302.03098)" if by_distance else "one run (arXiv:2305.08846)"


def lower_bound(scores: npt.ArrayLike, included: npt.ArrayLike, *, delta: float) -> LowerBound:
    """Return what canaries' scores prove of epsilon from below, with 95 % confidence.

    Args:
        scores: Larger means more likely to have taken part, shape (m,), finite.
        included: Whether each canary did, by a fair coin, shape (m,), truth values; both occur.
        delta: Of the claim.
    """
    values, truth = np.asarray(scores, dtype=np.float64), np.asarray(included, dtype=np.bool_)
    guesses, right = right_guesses(values, truth)
    normality = min(normality_p_value(values[truth]), normality_p_value(values[~truth]))
    gaussian = gaussian_bounds(values, truth, delta=delta, alpha=ALPHA) if normality >= NOT_NORMAL else None
    one_run = refuted_epsilon(len(values), guesses, right, delta=delta, alpha=ALPHA)
    return LowerBound(one_run, gaussian, normality, len(values), guesses, right)


def gaussian_power(m: int, epsilon: float, delta: float) -> float:
    """Return how often `m` canaries would refute `epsilon` if half of its noise were missing, by the normal route.

    With half the noise the groups lie 2 mu apart; the estimate of that has variance 4/m + (2 mu)^2 / 2m.
    """
    from scipy.special import ndtr, ndtri

    mu = gdp_mu(epsilon, delta)
    error = math.sqrt(4 / m + (2 * mu) ** 2 / (2 * m))
    return float(ndtr(mu / error - ndtri(1 - ALPHA)))


def canaries_needed(epsilon: float, delta: float) -> int:
    """Return the fewest canaries with which `gaussian_power` reaches `POWER`."""
    from scipy.special import ndtri

    mu = gdp_mu(epsilon, delta)
    errors = float(ndtri(1 - ALPHA) + ndtri(POWER))
    return max(LEAST_CANARIES, math.ceil(errors**2 * (4 / mu**2 + 2)))


def one_run_power(
    m: int, epsilon: float, delta: float, rng: np.random.Generator, runs: int, *, apart: float | None = None
) -> float:
    """Return how often the one-run route would refute `epsilon` if half of its noise were missing, simulated.

    The mechanism of the simulation is Gaussian: of others nobody knows what half of their noise is. Guesses prove so
    much less than distance that the figure is near zero for most claims.

    Args:
        m: Canaries.
        epsilon: As claimed.
        delta: Likewise.
        rng: Draws coins and scores.
        runs: How many.
        apart: Distance of the groups in standard deviations; that of half the noise where None.
    """
    needed = least_right(m, 2 * (m // 4), epsilon, delta=delta, alpha=ALPHA)
    if needed is None:
        return 0.0
    distance = 2 * gdp_mu(epsilon, delta) if apart is None else apart
    refuted = 0
    for _ in range(runs):
        included = rng.random(m) < 0.5
        _, right = right_guesses(rng.standard_normal(m) + distance * included, included)
        refuted += right >= needed
    return refuted / runs
