"""The costly half of a client's masked input, apart from the client: a function of keys, update and dice alone.

A simulation of thousands of clients hands it to other processes; `secagg.client` runs it where it stands.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secagg.prg import accumulate_masks
from secagg.quantize import Quantization, Quantized, quantize, weighted


@dataclass(frozen=True)
class Masking:
    """What one update still has to go through. Holds the keys of the masks: secret, and of no use after the round."""

    keys: tuple[tuple[bytes, int], ...] = field(repr=False)
    """Key and sign of each mask."""
    rule: Quantization
    modulus_bits: int
    weight: int = 1
    """Used with integer weighting."""

    def apply(self, update: NDArray[np.floating[Any]], rng: np.random.Generator) -> Quantized:
        """Return the masked vector, and how many elements of the update clipping changed.

        Raises:
            ValueError: The update holds NaN or infinity, or the weight is out of range.
        """
        quantized = in_ring(update, self.rule, self.modulus_bits, rng, self.weight)
        accumulate_masks(quantized.vector, self.keys)
        return quantized


def in_ring(
    update: NDArray[np.floating[Any]], rule: Quantization, modulus_bits: int, rng: np.random.Generator, weight: int = 1
) -> Quantized:
    """Return an update as the ring vector that its weighting asks for: `quantize` or `weighted`."""
    if rule.weighting == "integer":
        return weighted(update, rule, modulus_bits, rng, weight)
    return quantize(update, rule, modulus_bits, rng)
