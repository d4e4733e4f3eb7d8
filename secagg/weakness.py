"""How masks give themselves away: seeds of too few bits, values that are not uniform, one number for a whole vector.

Each takes samples and returns numbers; what follows from them is for a check to say. What a search over few seed bits
amounts to is shown on simulated clients by `demonstrate_weak_mask`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secagg.mask_search import Demonstration, demonstrate_weak_mask

__all__ = ["Demonstration", "Uniformity", "demonstrate_weak_mask", "mask_uniformity", "scalar_mask_score", "seed_rank"]

FEWEST_PER_CELL = 5
"""Expected counts below which the chi-square law is not to be trusted (Cochran, Biometrics 10 (1954) 417-451)."""


@dataclass(frozen=True)
class Uniformity:
    """The p-values of two chi-square tests; small where the elements are not independent uniform ones."""

    top_byte: float
    """Of the highest bits of the elements."""
    differences: float
    """Of the highest bits of the differences of neighbouring elements, modulo the ring."""


def seed_rank(seeds: Sequence[bytes]) -> int:
    """Return the rank over GF(2) of the differences of seeds: bits in which they vary, at most.

    An upper bound on their entropy where enough seeds are seen, 8 times their width in bits being ample.

    Args:
        seeds: Of one length, two at least.

    Raises:
        ValueError: fewer than two seeds, or of several lengths.
    """
    if len(seeds) < 2 or len({len(seed) for seed in seeds}) > 1:
        raise ValueError("a rank is that of two seeds or more, of one length")
    first = int.from_bytes(seeds[0], "big")
    basis: dict[int, int] = {}  # by its highest bit
    for seed in seeds[1:]:
        rest = int.from_bytes(seed, "big") ^ first
        while rest and (top := rest.bit_length()) in basis:
            rest ^= basis[top]
        if rest:
            basis[rest.bit_length()] = rest
    return len(basis)


def mask_uniformity(vector: NDArray[Any], modulus_bits: int) -> Uniformity:
    """Return how well a masked vector goes with independent uniform elements of Z_2^modulus_bits.

    If the elements are independent and uniform, so are their differences modulo the ring; a mask that repeats, or is
    one number for all elements, shows in the second test where it does not in the first.

    Args:
        vector: One-dimensional, integers of the ring; floats are read as the words that travel.
        modulus_bits: Bits of an element.

    Raises:
        ValueError: no vector of the ring, or one too short for four cells of expected count 5.
    """
    words = _ring_words(vector, modulus_bits)
    cells_bits = min(8, modulus_bits, int(np.log2(max(1, (len(words) - 1) // FEWEST_PER_CELL))))
    if cells_bits < 2:
        raise ValueError(f"{len(words)} elements are too few to tell a uniform vector from another")
    shift = np.uint64(modulus_bits - cells_bits)
    differences = (words[1:] - words[:-1]) & np.uint64((1 << modulus_bits) - 1)
    return Uniformity(
        top_byte=_chi_square(words >> shift, 1 << cells_bits),
        differences=_chi_square(differences >> shift, 1 << cells_bits),
    )


def scalar_mask_score(vector: NDArray[Any], modulus_bits: int) -> float:
    """Return the share of the ring that lies in the largest gap between elements, in (0, 1].

    A mask that is one number for all elements moves the update and leaves it as narrow as it was: near 1 for small
    updates in a large ring. Of n independent uniform elements a gap above x has probability n (1 - x)^(n - 1) at most.

    Args:
        vector: One-dimensional, integers of the ring; floats are read as the words that travel.
        modulus_bits: Bits of an element.

    Raises:
        ValueError: no vector of the ring, or an empty one.
    """
    words = np.sort(_ring_words(vector, modulus_bits))
    if not len(words):
        raise ValueError("an empty vector has no gaps")
    ring = 2.0**modulus_bits
    around = ring - float(words[-1] - words[0])
    return max(around, float(np.diff(words).max(initial=np.uint64(0)))) / ring


def _ring_words(vector: NDArray[Any], modulus_bits: int) -> NDArray[np.uint64]:
    if not 1 <= modulus_bits <= 64:
        raise ValueError(f"modulus_bits is {modulus_bits!r}; allowed is 1 to 64")
    if vector.ndim != 1 or vector.dtype.kind not in "iuf" or vector.dtype.itemsize > 8:
        raise ValueError(f"a masked vector holds numbers in a row, not {vector.dtype} of shape {vector.shape}")
    if vector.dtype.kind == "f":
        vector = np.ascontiguousarray(vector).view(f"u{vector.dtype.itemsize}")
    if len(vector) and (int(vector.min()) < 0 or int(vector.max()) >= 1 << modulus_bits):
        raise ValueError(f"an element lies outside the ring of {modulus_bits} bits")
    return vector.astype(np.uint64)


def _chi_square(values: NDArray[np.uint64], cells: int) -> float:
    """Return Pearson's p-value that `values`, below `cells`, are independent and uniform."""
    from scipy.special import chdtrc

    counts = np.bincount(values.astype(np.intp), minlength=cells)
    expected = len(values) / cells
    return float(chdtrc(cells - 1, float(((counts - expected) ** 2).sum()) / expected))
