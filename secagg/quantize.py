"""Updates as ring elements and back: clip, scale, round, and the mean that follows from the exact ring sum.

y = (clip(x, -c, c) + c) * L / (2c), rounded to 0..L either to the nearest (floor(y + 1/2)) or stochastically (floor(y +
r), r uniform in [0, 1)), which is right on average. All of it in float64: at 2^22 levels float32 loses the fraction.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from secagg.prg import require_ring

MOST_LEVELS = 2**52
"""Beyond it float64 has no digit left for the fraction that rounding decides on."""
ROUNDINGS = ("stochastic", "nearest")
WEIGHTINGS = ("uniform", "integer")
_CHUNK = 32_768


class Quantized(NamedTuple):
    """A ring vector, and how many elements of the update the clipping changed (a number that stays with the client)."""

    vector: NDArray[Any]
    saturated: int


@dataclass(frozen=True)
class Quantization:
    """How updates become ring elements."""

    clipping_range: float
    """c: an element is kept within [-c, c]; positive and finite."""
    levels: int
    """L: steps between -c and c."""
    weighting: str = "uniform"
    """`uniform` gives the mean; `integer` puts a weight in front and multiplies the rest by it."""
    max_weight: int = 1
    """Largest weight a client may bring."""
    rounding: str = "stochastic"
    """`stochastic` or `nearest`; each client's own choice."""

    def __post_init__(self) -> None:
        if not 0 < self.clipping_range < np.inf:
            raise ValueError(f"clipping_range is {self.clipping_range!r}; allowed is a positive number")
        if not 1 <= self.levels <= MOST_LEVELS:
            raise ValueError(f"levels is {self.levels!r}; allowed is 1 to 2^52")
        if self.weighting not in WEIGHTINGS:
            raise ValueError(f"weighting is {self.weighting!r}; allowed is uniform or integer")
        if self.max_weight < 1 or (self.weighting == "uniform" and self.max_weight != 1):
            raise ValueError(f"max_weight is {self.max_weight!r}; allowed is 1, and more with integer weighting")
        if self.rounding not in ROUNDINGS:
            raise ValueError(f"rounding is {self.rounding!r}; allowed is stochastic or nearest")


def quantize(x: NDArray[Any], q: Quantization, modulus_bits: int, rng: np.random.Generator) -> Quantized:
    """Return an update as ring elements 0..levels.

    Args:
        x: one-dimensional, floating point.
        q: clipping range, levels and rounding.
        modulus_bits: 32 or 64.
        rng: draws the stochastic rounding; unused by nearest.

    Raises:
        ValueError: NaN or infinity (the first bad index is named), another shape or dtype, or levels beyond the ring.
    """
    vector = np.empty(len(_require_update(x)), require_ring(modulus_bits))
    return Quantized(vector, _fill(vector, x, q, rng))


def weighted(x: NDArray[Any], q: Quantization, modulus_bits: int, rng: np.random.Generator, weight: int) -> Quantized:
    """Return `[w, w*q_1, .., w*q_d]`, one element longer than the update: its share of the exact weighted sum.

    Raises:
        ValueError: as for `quantize`, or a weight outside 1..max_weight.
    """
    if not 1 <= weight <= q.max_weight:
        raise ValueError(f"weight is {weight!r}; allowed is 1 to {q.max_weight}")
    vector = np.empty(1 + len(_require_update(x)), require_ring(modulus_bits))
    vector[0] = weight
    saturated = _fill(vector[1:], x, q, rng)
    if weight > 1:
        np.multiply(vector[1:], vector.dtype.type(weight), out=vector[1:])
    return Quantized(vector, saturated)


def dequantize_mean(total: NDArray[Any], q: Quantization, survivors: int) -> NDArray[np.float64]:
    """Return the mean of the survivors' updates from their ring sum.

    Args:
        total: the exact sum, uint32 or uint64; with integer weighting its first element is the sum of weights.
        q: what the clients quantised with.
        survivors: clients in the sum; with integer weighting only a lower bound of the weights' sum.

    Raises:
        ValueError: no survivor, or a sum of weights that `survivors` of them cannot have.
    """
    weight, summed = survivors, total
    if q.weighting == "integer":
        weight, summed = int(total[0]), total[1:]
    if survivors < 1 or not survivors <= weight <= survivors * q.max_weight:
        raise ValueError(f"a weight of {weight} for {survivors} survivors")
    mean = summed * (2 * q.clipping_range / q.levels)
    mean /= weight
    mean -= q.clipping_range
    return np.asarray(mean, np.float64)


def largest_levels(clients: int, modulus_bits: int, max_weight: int = 1) -> int:
    """Return the most levels at which no sum of the cohort wraps: clients * levels * max_weight < 2^modulus_bits.

    0 where even one level is too many.
    """
    return min(MOST_LEVELS, ((1 << modulus_bits) - 1) // (clients * max_weight))


def headroom_bits(clients: int, q: Quantization, modulus_bits: int) -> float:
    """Return how many times the largest possible sum of the cohort could still double; negative once it can wrap."""
    return modulus_bits - float(np.log2(float(clients * q.levels * q.max_weight)))


def _fill(vector: NDArray[Any], x: NDArray[Any], q: Quantization, rng: np.random.Generator) -> int:
    """Write the rounded levels of `x` into `vector`, chunk by chunk; return how many elements were clipped."""
    if q.levels > np.iinfo(vector.dtype).max:
        raise ValueError(f"levels is {q.levels!r}; one client alone would leave the ring")
    c, scale = q.clipping_range, q.levels / (2 * q.clipping_range)
    words = vector.view(np.int32) if vector.itemsize == 4 and q.levels < 2**31 else vector  # a cast three times as fast
    saturated = 0
    offset = np.full(min(_CHUNK, len(x)), 0.5)
    for start, y in _float64_chunks(x):
        low, high = y.min(), y.max()
        if not (np.isfinite(low) and np.isfinite(high)):
            bad = start + int(np.flatnonzero(~np.isfinite(y))[0])
            raise ValueError(f"element {bad} of the update is not a finite number")
        if low < -c or high > c:
            saturated += int(np.count_nonzero(np.abs(y) > c))
            np.clip(y, -c, c, out=y)
        y += c
        y *= scale
        r = offset[: len(y)]
        if q.rounding == "stochastic":
            rng.random(out=r)
        y += r
        if (high + c) * scale > q.levels - 1:
            np.minimum(y, q.levels, out=y)  # L + r can round up to L + 1
        words[start : start + len(y)] = y  # the cast cuts the fraction off: floor, as y >= 0
    return saturated


def _float64_chunks(x: NDArray[Any]) -> Iterator[tuple[int, NDArray[np.float64]]]:
    for start in range(0, len(x), _CHUNK):
        yield start, x[start : start + _CHUNK].astype(np.float64)


def _require_update(x: NDArray[Any]) -> NDArray[Any]:
    if x.ndim != 1 or x.dtype.kind != "f":
        raise ValueError(f"an update is a vector of real numbers, not {x.dtype} of shape {x.shape}")
    return x
