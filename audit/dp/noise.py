"""The noise in recorded sums, measured: as a whole, and by every part that somebody may have left without."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from audit.dp.residuals import Residuals

LEVEL = 1e-3
"""Of the interval of the noise, two-sided; of the parts, after Bonferroni."""
SHORTFALL = 0.98
"""Less than this share of the declared noise is too little."""


@dataclass(frozen=True)
class Noise:
    """A standard deviation over the clipping norm."""

    value: float
    """As measured."""
    low: float
    """Lower end of the interval."""
    high: float
    """Upper end of the interval."""
    coordinates: int
    """How many it was measured on."""

    def falls_short(self, noise_multiplier: float) -> bool:
        """Tell whether even the upper end lies below the declared."""
        return self.high < SHORTFALL * noise_multiplier


def noise_of(energy: float, coordinates: float, clipping_norm: float, level: float) -> Noise:
    """Return the deviation behind a sum of squares, with the chi-squared interval for normal noise.

    Args:
        energy: Sum of squares of the residuals.
        coordinates: How many they are.
        clipping_norm: In which the deviation is told.
        level: Probability that the interval misses the truth, half at either end.
    """
    from scipy.special import gammainccinv, gammaincinv

    above, below = (2 * float(inverse(coordinates / 2, level / 2)) for inverse in (gammainccinv, gammaincinv))
    least = energy / above
    most = energy / below if below > 0 else math.inf
    value, smallest, largest = (math.sqrt(one) / clipping_norm for one in (energy / coordinates, least, most))
    return Noise(value, smallest, largest, int(coordinates))


def noise_of_all(sums: Residuals, used: Sequence[int], clipping_norm: float) -> Noise | None:
    """Return the noise of the rounds `used` together; None where there is no round."""
    if not used:
        return None
    return noise_of(float(sums.energy[used].sum()), float(sums.sizes.sum()) * len(used), clipping_norm, LEVEL)


def noise_by_tensor(sums: Residuals, used: Sequence[int], clipping_norm: float) -> dict[str, Noise]:
    """Return the noise of each tensor over the rounds `used`, with intervals that hold together."""
    if not used:
        return {}
    level, energy = LEVEL / len(sums.names), sums.energy[used].sum(axis=0)
    return {
        name: noise_of(float(energy[at]), float(sums.sizes[at]) * len(used), clipping_norm, level)
        for at, name in enumerate(sums.names)
    }


def noise_by_round(sums: Residuals, used: Sequence[int], clipping_norm: float) -> dict[int, Noise]:
    """Return the noise of each round of `used` over all tensors, with intervals that hold together."""
    size = float(sums.sizes.sum())
    return {
        number: noise_of(float(sums.energy[number].sum()), size, clipping_norm, LEVEL / len(used)) for number in used
    }


def noise_by_part(sums: Residuals, used: Sequence[int], clipping_norm: float) -> dict[tuple[int, str], Noise]:
    """Return the noise of each tensor of each round of `used`, with intervals that hold together."""
    level = LEVEL / max(1, len(used) * len(sums.names))
    return {
        (number, name): noise_of(float(sums.energy[number, at]), float(sums.sizes[at]), clipping_norm, level)
        for number in used
        for at, name in enumerate(sums.names)
    }


def halved(noise: Noise, declared: float) -> Noise:
    """Return the noise with half of it taken away; of noise beyond the declared, with half of the declared left."""
    factor = 0.5 * min(1.0, declared / noise.value) if noise.value > 0 else 0.5
    return Noise(noise.value * factor, noise.low * factor, noise.high * factor, noise.coordinates)
