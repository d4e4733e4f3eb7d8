"""Whether the noise and the clipping of recorded rounds are those that are declared.

For a round with contributions D_c and released sum A, R = A - sum of D_c is the noise. Its size is tested as a whole,
by round, by tensor and by tensor of a round; its independence between rounds; and every contribution's length.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from audit.dp.noise import (
    LEVEL,
    Noise,
    halved,
    noise_by_part,
    noise_by_round,
    noise_by_tensor,
    noise_of,
    noise_of_all,
)
from audit.dp.residuals import Array, Residuals, Round, residuals

CORRELATION_LEVEL = 1e-4
"""Of all pairs of rounds together."""
AUDIBLE = 0.01
"""Share of the declared noise below which a residual is rounding, which may well look alike in two rounds."""
CLIPPING_TOLERANCE = 1e-4
"""By which a contribution may exceed the clipping norm at least; more where its number format is coarser."""
SLOPE_TOLERANCE, SLOPE_ERRORS = 1e-3, 4.0
"""By how much the slope of the released sum on the sum of the contributions may miss one, and in standard errors."""


@dataclass(frozen=True)
class Correlation:
    """The most alike that the noise of two rounds is."""

    value: float
    """Coefficient of correlation, in magnitude."""
    deviations: float
    """How far from zero that is, in standard deviations under independence."""
    limit: float
    """Beyond this many the noise was not drawn anew."""
    rounds: tuple[int, int]
    """Positions of the two rounds."""

    @property
    def reused(self) -> bool:
        """Whether noise was reused."""
        return self.deviations > self.limit


@dataclass(frozen=True)
class ResidualTest:
    """What recorded rounds say of the mechanism."""

    noise_multiplier: Noise | None
    """Over all rounds that could be used; None where none could."""
    per_tensor: Mapping[str, Noise]
    """By tensor, over those rounds; intervals hold together."""
    per_round: Mapping[int, Noise]
    """By position of the round; intervals hold together."""
    per_part: Mapping[tuple[int, str], Noise]
    """By round and tensor; intervals hold together."""
    correlation: Correlation | None
    """None where fewer than two rounds could be used."""
    clip_exceeded: int
    """Contributions longer than the clipping norm."""
    contributions: int
    """Contributions whose length was compared."""
    longest: float
    """Length of the longest contribution, over the clipping norm; 0 where none was compared."""
    not_the_sum: tuple[int, ...]
    """Rounds whose released sum is not the sum of the recorded contributions, whatever the noise."""
    after_noise: tuple[int, ...]
    """Rounds whose contributions may hold the noise already, so that nothing can be said of it."""
    broken: tuple[int, ...]
    """Rounds with NaN or infinity."""
    untouched: tuple[str, ...]
    """Tensors that are zero throughout, and so neither trained nor noised."""
    normality: float | None
    """p-value that the noise is normal (Kolmogorov-Smirnov on sampled coordinates); None where there is no noise."""
    control_caught: bool
    """Whether the same test notices when half of the declared noise is left."""
    declared: float
    """The noise multiplier that was tested."""

    @property
    def short(self) -> bool:
        """Whether noise is missing somewhere."""
        parts = [*self.per_tensor.values(), *self.per_round.values(), *self.per_part.values()]
        whole = [] if self.noise_multiplier is None else [self.noise_multiplier]
        return any(noise.falls_short(self.declared) for noise in (*whole, *parts))

    @property
    def reused(self) -> bool:
        """Whether noise was reused between rounds."""
        return self.correlation is not None and self.correlation.reused


def residual_test(
    rounds: Sequence[Round],
    noise_multiplier: float,
    clipping_norm: float,
    *,
    noise_may_be_recorded: bool = False,
    rounding: float = 0.0,
) -> ResidualTest:
    """Return what recorded rounds say of a Gaussian mechanism.

    Args:
        rounds: For each the released sum, multiplied by what it was divided by, and the contributions before noise;
            {name: array}, the same names and shapes throughout. Arrays may be views of files; they are read once.
        noise_multiplier: As declared, above zero.
        clipping_norm: Likewise.
        noise_may_be_recorded: Whether contributions were perhaps recorded with noise of their own. A round without
            noise whose contributions are all long enough to hold it then decides nothing.
        rounding: Relative error of the number format that contributions were stored in.

    Raises:
        ValueError: there is no round, a round has no contribution, names or shapes differ, or a parameter is not
            positive.
    """
    if not (noise_multiplier > 0 and clipping_norm > 0):
        raise ValueError(f"noise multiplier and clipping norm are above 0, not {noise_multiplier} and {clipping_norm}")
    sums = residuals(rounds)
    coordinates = float(sums.sizes.sum())
    broken = [number for number in range(len(rounds)) if not _finite(sums, number)]
    sound = [number for number in range(len(rounds)) if number not in broken]
    with_sum = [number for number in sound if _is_the_sum(sums, number, coordinates, len(sound))]
    after_noise = []
    if noise_may_be_recorded:
        deviation = noise_multiplier * clipping_norm
        for number in with_sum:
            alone = noise_of(sums.energy[number].sum(), coordinates, clipping_norm, LEVEL / len(with_sum))
            if alone.falls_short(noise_multiplier) and _may_hold(sums.norms[number], deviation, coordinates):
                after_noise.append(number)
    used = [number for number in with_sum if number not in after_noise] if coordinates else []
    lengths = [sums.norms[number] / clipping_norm for number in sound if number not in after_noise]
    relative = np.concatenate(lengths) if lengths else np.zeros(0)
    whole = noise_of_all(sums, used, clipping_norm)
    return ResidualTest(
        noise_multiplier=whole,
        per_tensor=noise_by_tensor(sums, used, clipping_norm),
        per_round=noise_by_round(sums, used, clipping_norm),
        per_part=noise_by_part(sums, used, clipping_norm),
        correlation=_correlation(sums, used, AUDIBLE * noise_multiplier * clipping_norm),
        clip_exceeded=int((relative > 1 + max(CLIPPING_TOLERANCE, rounding)).sum()),
        contributions=len(relative),
        longest=float(relative.max(initial=0.0)),
        not_the_sum=tuple(number for number in sound if number not in with_sum),
        after_noise=tuple(after_noise),
        broken=tuple(broken),
        untouched=sums.untouched,
        normality=_normality(sums.sample),
        control_caught=whole is not None and halved(whole, noise_multiplier).falls_short(noise_multiplier),
        declared=noise_multiplier,
    )


def _finite(sums: Residuals, number: int) -> bool:
    return bool(np.isfinite(sums.energy[number]).all() and np.isfinite(sums.norms[number]).all())


def _is_the_sum(sums: Residuals, number: int, coordinates: float, rounds: int) -> bool:
    """Tell whether R leans neither on the sum of the contributions nor on any one of them.

    The first is the slope of A on the sum, less one; the second would show weights that are one on average.
    """
    from scipy.special import ndtri

    if not coordinates:
        return True
    deviation = math.sqrt(sums.energy[number].sum() / coordinates)
    norms, leaning = sums.norms[number], sums.leaning[number]
    errors = float(ndtri(1 - CORRELATION_LEVEL / (2 * rounds * len(norms))))
    leans = [_leans(sums.along[number], sums.length[number], deviation, SLOPE_ERRORS)]
    leans.extend(_leans(inner, norm**2, deviation, errors) for inner, norm in zip(leaning, norms, strict=True))
    return not any(leans)


def _leans(inner: float, length: float, deviation: float, errors: float) -> bool:
    if length <= 0:
        return False
    return abs(inner) / length > max(SLOPE_TOLERANCE, errors * deviation / math.sqrt(length))


def _may_hold(norms: Array, deviation: float, coordinates: float) -> bool:
    """Tell whether every contribution is long enough to hold its share of the noise, with half of it to spare."""
    share = deviation**2 * coordinates / len(norms)
    return bool((norms**2 >= share / 2).all())


def _correlation(sums: Residuals, used: Sequence[int], least: float) -> Correlation | None:
    """Return the most correlated pair of the rounds whose noise is at least `least`.

    Each tensor is weighed by its own noise, so that more noise on one of them makes no false alarm; with equal noise
    it is |<R_r, R_s>| / (|R_r| |R_s|) sqrt(d).
    """
    from scipy.special import ndtri

    loud = [number for number in used if sums.energy[number].sum() > least**2 * sums.sizes.sum()]
    if len(loud) < 2:
        return None
    inner = sums.products[np.ix_(loud, loud)]
    energy = sums.energy[loud]
    variance = np.einsum("rt,st,t->rs", energy, energy, 1 / sums.sizes)
    deviations = np.abs(inner) / np.sqrt(np.where(variance > 0, variance, 1.0))
    np.fill_diagonal(deviations, -1.0)
    first, second = (int(at) for at in np.unravel_index(deviations.argmax(), deviations.shape))
    pairs = len(loud) * (len(loud) - 1) / 2
    whole = energy.sum(axis=1)
    return Correlation(
        value=float(abs(inner[first, second]) / math.sqrt(whole[first] * whole[second])),
        deviations=float(deviations[first, second]),
        limit=float(ndtri(1 - CORRELATION_LEVEL / pairs)),
        rounds=(loud[min(first, second)], loud[max(first, second)]),
    )


def _normality(sample: Array) -> float | None:
    from scipy.stats import kstest

    return float(kstest(sample, "norm").pvalue) if len(sample) else None
