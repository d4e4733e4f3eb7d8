"""The same sum without any secrecy, in plain numpy: what the unmasked one is compared with.

Each survivor's update is quantised again with the client's own dice, before masks, and added up. Nothing of the
protocol takes part, so that agreement shows that every mask is gone and every survivor is in.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secagg.masking import in_ring
from secagg.quantize import dequantize_mean
from secagg.setting import RoundConfig

Updates = NDArray[np.floating[Any]] | Callable[[int], NDArray[np.floating[Any]]]
"""All updates, shape (clients, length), or a function from the row to one, which gives the same whenever asked."""


@dataclass(frozen=True)
class SeededUpdates:
    """Updates that are drawn when they are asked for: standard normal, float32, each row from its own seed."""

    seed: int
    length: int

    def __call__(self, row: int) -> NDArray[np.float32]:
        """Return one update, shape (length,)."""
        return np.random.default_rng((self.seed, row)).standard_normal(self.length, dtype=np.float32)


def update_of(updates: Updates, row: int) -> NDArray[np.floating[Any]]:
    """Return one client's update."""
    return updates(row) if callable(updates) else updates[row]


def dice_of(seed: int, row: int) -> np.random.Generator:
    """Return what one client rounds with."""
    return np.random.default_rng((seed, row, 1))


class PlainSum:
    """Sums of updates, in the ring and as real numbers."""

    def __init__(self, config: RoundConfig, updates: Updates, seed: int) -> None:
        self._config, self._updates, self._seed = config, updates, seed
        integer = config.quantization.weighting == "integer"
        words = np.uint32 if config.modulus_bits == 32 else np.uint64
        self._ring: NDArray[Any] = np.zeros(config.length + integer, words)
        self._real: NDArray[np.float64] = np.zeros(config.length)
        self._weight = 0

    def add(self, row: int) -> None:
        """Add one client's update."""
        config = self._config
        update = update_of(self._updates, row)
        weight = 1 if config.weights is None else config.weights[row]
        rule, bits = config.quantization, config.modulus_bits
        self._ring += in_ring(update, rule, bits, dice_of(self._seed, row), weight).vector
        self._real += update if weight == 1 else np.multiply(update, weight, dtype=np.float64)
        self._weight += weight

    def equals(self, total: NDArray[Any]) -> bool:
        """Tell whether `total` is the ring sum, bit for bit."""
        return bool(np.array_equal(self._ring, total))

    def error_of(self, total: NDArray[Any], survivors: int) -> float:
        """Return the largest difference between the mean that `total` gives and that of the updates themselves."""
        mean = dequantize_mean(total, self._config.quantization, survivors)
        return float(np.abs(mean - self._real / self._weight).max())
