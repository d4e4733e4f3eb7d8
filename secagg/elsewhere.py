"""The part of a simulated round that may run in another process: a function of keys, one row and one seed."""

import hashlib
from dataclasses import dataclass
from time import thread_time
from typing import Any

from numpy.typing import NDArray

from secagg.masking import Masking
from secagg.plain_sum import Updates, dice_of


@dataclass(frozen=True)
class MaskingTrial:
    """One client's masked input, still to be made."""

    masking: Masking
    updates: Updates
    """The client's row alone, or the function that gives it."""
    row: int
    seed: int


@dataclass(frozen=True, eq=False)
class MaskedVector:
    """What comes back of it."""

    vector: NDArray[Any]
    digest: str
    """Hexadecimal SHA-256 of the vector's words."""
    saturated: int
    seconds: float
    """CPU time, without the making of the update."""


def mask_elsewhere(trial: MaskingTrial) -> MaskedVector:
    """Return the masked vector of a trial.

    Raises:
        ValueError: the update holds NaN or infinity; the row is named, and the first bad index.
    """
    update = trial.updates(trial.row) if callable(trial.updates) else trial.updates
    started = thread_time()
    try:
        vector, saturated = trial.masking.apply(update, dice_of(trial.seed, trial.row))
    except ValueError as error:
        raise ValueError(f"row {trial.row} of the updates: {error}") from error
    digest = hashlib.sha256(vector.data).hexdigest()
    return MaskedVector(vector, digest, saturated, thread_time() - started)
