"""The planted records of a client, from the function by which the app itself gets its data."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from audit.capture import CaptureError

if TYPE_CHECKING:
    from flwr.app import Context


@dataclass(frozen=True, eq=False)
class Records:
    """Records and their labels, as the app hands them to its model."""

    x: npt.NDArray[np.float32]
    """Shape (B, *input_shape)."""
    y: npt.NDArray[Any]
    """Labels, shape (B,)."""

    def __len__(self) -> int:
        return len(self.x)


def planted(source: "Callable[[Context], Any]", context: "Context") -> Records:
    """Return the records of the client whose context it is, from what the app loads them by.

    torch's dice lie afterwards as they lay before.

    Raises:
        CaptureError: `capture.batch`, the source gives no records with labels.
    """
    with torch.random.fork_rng(devices=[]):  # a loader that shuffles would change the app's next round
        return as_records(source(context))


def reference_records(given: Any) -> Records | None:
    """Return the public records that a capture was given: as they are, by a function, or none.

    Raises:
        CaptureError: `capture.batch`, they are no records with labels.
    """
    if given is None:
        return None
    return as_records(given() if callable(given) else given)


def as_records(given: Any) -> Records:
    """Return (records, labels), or batches of them, as one batch.

    Raises:
        CaptureError: `capture.batch`, they are no records with labels.
    """
    pairs = [given] if _is_pair(given) else list(given) if isinstance(given, Iterable) else []
    if not pairs or not all(_is_pair(pair) for pair in pairs):
        raise CaptureError(
            "capture.batch", "the app's records are no pairs of records and labels",
            "Let `records` return (x, y), or an iterable of such batches.",
        )  # fmt: skip
    try:
        x, y = (np.concatenate([_array(pair[part]) for pair in pairs]) for part in (0, 1))
    except (TypeError, ValueError) as error:  # single records instead of batches, or records of several shapes
        raise CaptureError(
            "capture.batch", f"the app's batches cannot be joined to one: {error}",
            "Let every batch be records (B, *input_shape) and labels (B,), of one shape.",
        ) from error  # fmt: skip
    if x.ndim < 2 or not len(x) or y.shape != (len(x),) or not {x.dtype.kind, y.dtype.kind} <= set("biuf"):
        raise CaptureError(
            "capture.batch", f"a batch of {x.dtype} {x.shape} and {y.dtype} {y.shape} cannot be written",
            "Give records (B, *input_shape) and labels (B,), both numbers.",
        )  # fmt: skip
    if not np.isfinite(x).all():
        raise CaptureError("capture.batch", "a planted record holds NaN or infinity", "Plant finite numbers.")
    return Records(x.astype(np.float32), y)


def _is_pair(given: Any) -> bool:
    return (
        isinstance(given, tuple | list) and len(given) == 2 and all(isinstance(p, Tensor | np.ndarray) for p in given)
    )


def _array(part: Any) -> npt.NDArray[Any]:
    return part.detach().cpu().numpy() if isinstance(part, Tensor) else np.asarray(part)
