"""Codes of an embedding: whether it is one, and whom it singles out.

HashVFL (Qiu et al., arXiv:2212.00325) sends the signs of an embedding and calls them one-way. A code says as much as it
has bits: long codes are decoded like floats, and a code that nobody else has is a name by itself.
"""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


def two_values(embeddings: Array) -> tuple[float, float] | None:
    """Return the two values that codes consist of, the lower first; None where there are more or fewer than two."""
    low, high = float(embeddings.min()), float(embeddings.max())
    return (low, high) if low < high and bool(((embeddings == low) | (embeddings == high)).all()) else None


def signs(embeddings: Array, values: tuple[float, float]) -> Array:
    """Return codes as -1 and +1: on which side of the middle of the two values a number lies.

    Numbers outside of the two values have not been made codes yet; those are told by their sign.
    """
    low, high = values
    inside = embeddings.min() >= low and embeddings.max() <= high
    return np.where(embeddings > ((low + high) / 2 if inside else 0.0), 1.0, -1.0)


def singled_out(planted: Array, public: Array) -> BoolArray:
    """Tell for each planted embedding, shape (n, k), whether no other candidate has it, shape (n,).

    Args:
        planted: Embeddings of the planted records, each record once.
        public: Embeddings of the other candidates, shape (m, k).
    """
    everybody = np.concatenate([planted, public])
    _, number, count = np.unique(everybody, axis=0, return_inverse=True, return_counts=True)
    return np.asarray(count[number.reshape(-1)[: len(planted)]] == 1)
