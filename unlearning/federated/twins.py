"""What a forget set is compared with: held-out examples of the same labels, and whether the rest still holds it.

Two traps stand behind these few lines. A twin of other labels makes honest retraining look like memory (membership AUC
.42 to .47), and a duplicate among the retained data makes forgetting impossible to see.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from unlearning.errors import UnlearningError

if TYPE_CHECKING:
    from unlearning.federated.data import ClientData

LARGEST_DISTANCE = 0.02
"""Total variation between the labels of a twin and of its forget set that is still a match."""
NEAR = 0.02
"""Root mean square of the differences, images in [0, 1], up to which two count as near duplicates: of 1,797 handwritten
digits (8 x 8) the nearest two are .041 apart, of 1,000 MNIST images none has another of 9,000 within .1."""
_ROWS = 1024
"""Examples compared at a time, on either side: a block of distances takes 8 MiB."""
_PAIRS = 1024
"""Pairs compared coordinate by coordinate at a time."""


def twin_set(forget: "ClientData", holdout: "ClientData", rng: np.random.Generator) -> "ClientData":
    """Return held-out examples, each at most once, with the labels of `forget` in its order.

    Whatever else was done to the forget set (a trigger, wrong labels) is for its owner to do to the twin as well.

    Raises:
        UnlearningError: `unlearning.twin`, the holdout has too few examples of a class.
    """
    wanted, held = forget.y.numpy(), holdout.y.numpy()
    places = np.zeros(len(wanted), dtype=np.int64)
    for label in np.unique(wanted):
        asked, there = np.flatnonzero(wanted == label), np.flatnonzero(held == label)
        if len(there) < len(asked):
            told = f"the forget set holds {len(asked)} examples of class {label}, the holdout {len(there)}"
            raise UnlearningError("unlearning.twin", told, "Hold out more examples of that class, or declare a twin.")
        places[asked] = rng.permutation(there)[: len(asked)]
    return holdout.take(places)


def label_distance(a: "ClientData", b: "ClientData") -> float:
    """Return the total variation between the label histograms of two sets, from 0 to 1.

    Raises:
        ValueError: One of them is empty, and has no histogram.
    """
    first, second = _shares(a, b)
    return float(np.abs(first - second).sum() / 2)


def label_matched(forget: "ClientData", twin: "ClientData") -> bool:
    """Tell whether a twin has the labels of the forget set: to `LARGEST_DISTANCE`, or to one example a class.

    Raises:
        ValueError: One of them is empty, and has no histogram.
    """
    wanted, held = _shares(forget, twin)
    one_each = bool((np.abs(wanted - held) * len(twin) <= 1 + 1e-9).all())
    return one_each or label_distance(forget, twin) <= LARGEST_DISTANCE + 1e-9


def near_duplicates(forget: "ClientData", retain: "ClientData", tolerance: float) -> int:
    """Return how many forget examples have a retained one within `tolerance`, whatever their labels.

    Blocks of both sides are compared, so memory grows with neither; an example that was found is not looked for again.

    Args:
        forget: Examples, x of shape (n, *input_shape).
        retain: Examples of the same shape.
        tolerance: Root mean square of the coordinates' differences, in the units of x; 0 for equal ones alone.

    Raises:
        ValueError: The shapes differ, or the tolerance is negative or not finite.
    """
    if forget.x.shape[1:] != retain.x.shape[1:]:
        shapes = f"{tuple(forget.x.shape[1:])} and {tuple(retain.x.shape[1:])}"
        raise ValueError(f"examples of shapes {shapes} cannot be compared")
    if not 0 <= tolerance < float("inf"):
        raise ValueError(f"a tolerance is a finite number from 0, not {tolerance}")
    if tolerance == 0:
        kept = set(_rows_as_bytes(retain.x))
        return sum(row in kept for row in _rows_as_bytes(forget.x))
    found = 0
    for asked in _blocks(forget.x.flatten(1), _ROWS):
        missing = asked.double()
        for there in _blocks(retain.x.flatten(1), _ROWS):
            if not len(missing):
                break
            missing = missing[~_near(missing, there.double(), tolerance)]
        found += len(asked) - len(missing)
    return found


def _near(asked: Tensor, there: Tensor, tolerance: float) -> Tensor:
    """Return which rows of `asked` have a row of `there` within `tolerance`, shape (n,)."""
    centre = there.mean(0)
    squares = torch.cdist(asked - centre, there - centre, compute_mode="use_mm_for_euclid_dist").square()
    limit = asked.shape[1] * tolerance**2
    # the product form loses digits where rows are long: whatever could be near is compared coordinate by coordinate
    lost = 1e-12 * ((asked - centre).square().sum(1).max() + (there - centre).square().sum(1).max())
    near = torch.zeros(len(asked), dtype=torch.bool)
    for pairs in _blocks((squares <= limit + lost).nonzero(), _PAIRS):
        of_asked, of_there = pairs.unbind(1)
        gaps = (asked[of_asked] - there[of_there]).square().sum(1)
        near[of_asked[gaps <= limit]] = True
    return near


def _blocks(rows: Tensor, size: int) -> Iterator[Tensor]:
    return (rows[start : start + size] for start in range(0, len(rows), size))


def _rows_as_bytes(x: Tensor) -> Iterator[bytes]:
    """Yield every example as bytes; 0 and -0 are one number."""
    return (row.tobytes() for row in (x.flatten(1) + 0.0).numpy())


def _shares(a: "ClientData", b: "ClientData") -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the shares of every label that either set holds."""
    if not len(a) or not len(b):
        raise ValueError("an empty set has no label histogram")
    labels = np.union1d(a.y.numpy(), b.y.numpy())
    first, second = ((labels == one.y.numpy()[:, None]).mean(0, dtype=np.float64) for one in (a, b))
    return first, second
