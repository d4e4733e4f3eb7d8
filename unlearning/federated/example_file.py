"""Labelled examples in an npz file, and whose each of them is: read for whoever says what to call them in an error."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from reports.artifacts import read_npz
from reports.errors import FileError
from unlearning.errors import FederationFileError

__all__ = ["MOST_CLIENTS", "ExampleFile", "read_examples"]

MOST_CLIENTS = MOST_CLASSES = 10**6
"""That a file may count: more than any federation that is simulated."""
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ExampleFile:
    """What an npz file of examples holds."""

    x: Tensor
    """Shape (n, *input_shape), float32; n is 1 at least."""
    y: Tensor
    """Labels, shape (n,), int64."""
    client: Integers | None = None
    """Whose each example is, shape (n,); None where the file does not say."""


def read_examples(
    path: Path,
    where: str,
    name: str,
    *,
    classes: int = MOST_CLASSES,
    shape: Sequence[int] | None = None,
    clients: Literal["required", "where-there", "ignored"] = "ignored",
) -> ExampleFile:
    """Return the examples of an npz file.

    Args:
        path: The file.
        where: The file that names it, and the key, for an error: `federation.toml: data.train`.
        name: What it is called there.
        classes: Number of labels, which are 0 to `classes` - 1.
        shape: Of one example, without the batch; None for any.
        clients: Whether the array `client` must be there, is read where it is, or is passed over.

    Raises:
        FederationFileError: It cannot be read, lacks an array, or holds something else; names file, key and mend.
    """

    def refuse(told: str, mend: str) -> NoReturn:
        raise FederationFileError("federation.data", f"{where}: {told}", mend)

    def whole(array: str, values: npt.NDArray[Any], below: int) -> Integers:
        mend = f"Write {array} as int64 of shape (n,), from 0 to {below - 1}."
        if values.ndim != 1 or not np.issubdtype(values.dtype, np.integer):
            refuse(f"{array} of {name!r} has shape {values.shape} and type {values.dtype}", mend)
        if len(values) and not (values.min() >= 0 and values.max() < below):
            refuse(f"{array} of {name!r} reaches from {values.min()} to {values.max()}", mend)
        return values.astype(np.int64)

    try:
        arrays = read_npz(path, required=("x", "y", "client") if clients == "required" else ("x", "y"))
    except FileError as error:
        raise FederationFileError(error.code, f"{where}: {error.message}", error.hint) from error
    x, y = arrays["x"], whole("y", arrays["y"], classes)
    if x.ndim < 2 or not len(x) or not np.issubdtype(x.dtype, np.floating):
        told = f"x of {name!r} has shape {x.shape} and type {x.dtype}"
        refuse(told, "Write float32 of shape (n, ...), n at least 1.")
    with np.errstate(over="ignore"):  # a number beyond float32 becomes infinite, which is told below
        x = x.astype(np.float32)
    if not np.isfinite(x).all():
        refuse(f"x of {name!r} holds NaN or infinity", "Leave those examples out.")
    client = whole("client", arrays["client"], MOST_CLIENTS) if "client" in arrays and clients != "ignored" else None
    owners = len(x) if client is None else len(client)
    if not len(x) == len(y) == owners:
        told = f"{name!r} has {len(x)} examples, {len(y)} labels and {owners} clients"
        refuse(told, "Give one label, and one client, for each example.")
    if shape is not None and x.shape[1:] != tuple(shape):
        refuse(f"the examples of {name!r} have shape {x.shape[1:]}, not {tuple(shape)}", "Give examples of one shape.")
    return ExampleFile(torch.from_numpy(x), torch.from_numpy(y), client)
