"""Neighbours of a forget set: the retained examples nearest to it, whom forgetting may expose (arXiv:2206.10469)."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from unlearning.federated.data import ClientData

__all__ = ["nearest_retained", "without_copies"]

FEWEST = 30
"""Neighbours, where that is at most `LARGEST_SHARE` of the retained: fewer give an interval of no use."""
MOST = 1_000
"""Neighbours, and forgotten examples, evenly spaced, that distances are taken to."""
LARGEST_SHARE = 0.25
"""Of the retained examples: who is near is not everybody."""
_ROWS = 1024
"""Retained examples compared at a time: a block of distances takes 8 MiB."""


def nearest_retained(forget: ClientData, retain: ClientData) -> ClientData:
    """Return the retained examples nearest to forgotten ones, in their order: about as many as were forgotten.

    Near is by Euclidean distance of the inputs to the nearest forgotten one, whatever the labels. A copy of a forgotten
    example is none of them: it is the forgotten example.

    Args:
        forget: Examples, x of shape (n, *input_shape), one at least.
        retain: Examples of the same shape.

    Raises:
        ValueError: The shapes differ, or nothing was forgotten.
    """
    others = without_copies(retain, forget)
    count = min(max(len(forget), FEWEST), MOST, max(1, int(LARGEST_SHARE * len(others))))
    nearest = np.argsort(_distances(_spaced(forget), others), kind="stable")[:count]
    return others.take(np.sort(nearest))


def without_copies(examples: ClientData, forget: ClientData) -> ClientData:
    """Return the examples whose inputs stand nowhere in the forget set.

    Raises:
        ValueError: The shapes differ, or nothing was forgotten.
    """
    if examples.x.shape[1:] != forget.x.shape[1:]:
        shapes = f"{tuple(forget.x.shape[1:])} and {tuple(examples.x.shape[1:])}"
        raise ValueError(f"examples of shapes {shapes} cannot be compared")
    if not len(forget):
        raise ValueError("nothing was forgotten, so nothing lies near it")
    forgotten = {row.tobytes() for row in _rows(forget.x)}
    return examples.take([place for place, row in enumerate(_rows(examples.x)) if row.tobytes() not in forgotten])


def _rows(x: Tensor) -> npt.NDArray[np.float32]:
    return np.ascontiguousarray(x.flatten(1).numpy() + 0.0)  # -0 and 0 are one number, and two patterns of bits


def _spaced(data: ClientData) -> ClientData:
    if len(data) <= MOST:
        return data
    return data.take(np.linspace(0, len(data) - 1, MOST).round().astype(np.int64))


def _distances(forget: ClientData, retain: ClientData) -> npt.NDArray[np.float32]:
    """Return each retained example's distance to the nearest forgotten one, shape (n,)."""
    wanted = forget.x.flatten(1)
    centre = wanted.mean(0)  # the product form of a distance loses digits far from the origin
    blocks = [torch.cdist(block - centre, wanted - centre).amin(1) for block in torch.split(retain.x.flatten(1), _ROWS)]
    return np.asarray(torch.cat(blocks).numpy())
