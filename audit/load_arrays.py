"""Planted arrays: embeddings, shared logits and a server's own estimates, with the planted records behind them.

What a party of a vertical federation sends is an embedding, what a client of a distilling one sends is logits, and
what a server that inverts stale updates holds are estimates. All three are npz files, one row a record.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from audit.load import Excluded, Truth, read_records, reference_records
from reports.artifacts import read_npz
from reports.errors import SystemFileError
from reports.model import Artifact, System

Array = npt.NDArray[np.float64]
ArrayKind = Literal["embedding", "logits", "estimate"]
ARRAY_NAMES: dict[ArrayKind, str] = {"embedding": "embedding", "logits": "logits", "estimate": "x"}
"""The array that a file of each kind holds."""


@dataclass(frozen=True, eq=False)
class PlantedArray:
    """One recorded embedding, table of logits or estimate, with the truth behind it."""

    index: int
    """Position in `[[updates]]`."""
    path: str
    """Its file, as declared."""
    kind: ArrayKind
    """What it is."""
    client: str | None
    """Whose it is."""
    round: int | None
    """The round it was sent in."""
    values: Array
    """float64, shape (rows, ...): a row for each record of `truth`; of logits a row for each public record."""
    truth: Truth | None
    """The planted records: what an embedding or estimate is of, what the client behind logits was trained on."""


def planted_arrays(
    system: System, folder: Path, kind: ArrayKind
) -> tuple[tuple[PlantedArray, ...], tuple[Excluded, ...]]:
    """Return the recorded arrays of one kind, each joined with its truth, and those that cannot be used.

    An array or truth with NaN or infinity is left out and named. Whole numbers and truth values become float64.

    Args:
        system: The system under review.
        folder: The folder that its paths are relative to.
        kind: What is wanted.

    Raises:
        SystemFileError: an array holds no numbers, or does not fit its truth, the public records or the declared model.
        reports.errors.FileError: a file is refused, broken, or lacks its array.
    """
    public = reference_records(system, folder) if kind == "logits" else None
    found: list[PlantedArray] = []
    excluded: list[Excluded] = []
    for index, declared in enumerate(system.updates):
        if declared.kind != kind:
            continue
        key = f"updates[{index}]"
        name = ARRAY_NAMES[kind]
        values = numbers(read_npz(folder / declared.path.path, required=(name,))[name], key, declared.path, name)
        truth = None if declared.truth is None else read_records(system, declared.truth, folder, key)
        _check_shape(system, kind, values, truth, public, key, declared.path)
        if why := _unusable(values, truth, name):
            excluded.append(Excluded(declared.path.path, why))
        else:
            found.append(
                PlantedArray(index, declared.path.path, kind, declared.client, declared.round, values, truth)
            )  # fmt: skip
    return tuple(found), tuple(excluded)


def reference_embeddings(system: System, folder: Path) -> Array | None:
    """Return the embeddings of the public records, a row for each record of `audit.load.reference_records`.

    None where there are no public records, or a file of them holds no array `embedding`.

    Raises:
        SystemFileError: the array holds no finite numbers, not one row a record, or rows of two shapes.
        reports.errors.FileError: a file is refused or broken.
    """
    parts: list[Array] = []
    for index, entry in enumerate(system.data):
        if entry.role != "reference" or not entry.path.path.lower().endswith(".npz"):
            continue
        arrays, key = read_npz(folder / entry.path.path, required=("x",)), f"data[{index}]"
        if "embedding" not in arrays:
            return None
        values = numbers(arrays["embedding"], key, entry.path, "embedding")
        if len(values) != len(arrays["x"]):
            raise _unfit(key, entry.path, f"'embedding' has {len(values)} rows for {len(arrays['x'])} records")
        if parts and values.shape[1:] != parts[0].shape[1:]:
            raise _unfit(key, entry.path, f"'embedding' has rows of shape {values.shape[1:]}, not {parts[0].shape[1:]}")
        if not np.isfinite(values).all():
            raise _unfit(key, entry.path, "'embedding' holds NaN or infinity")
        parts.append(values)
    return np.concatenate(parts) if parts else None


def numbers(array: npt.NDArray[Any], key: str, artifact: Artifact, name: str) -> Array:
    """Return an array of at least one row as float64.

    Raises:
        SystemFileError: it holds something else than numbers, has no rows, or has one dimension.
    """
    if array.dtype.kind not in "fiub" or array.ndim < 2 or not array.size:
        problem = f"{name!r} is {array.dtype} of shape {array.shape}"
        raise _unfit(key, artifact, problem, "Give numbers, one row a record.")
    return np.asarray(array, dtype=np.float64)


def _check_shape(
    system: System, kind: ArrayKind, values: Array, truth: Truth | None, public: Truth | None, key: str, file: Artifact
) -> None:  # fmt: skip
    """Raise unless the rows are as many as their records, and each has the shape that the model declares."""
    name, rows = ARRAY_NAMES[kind], len(values)
    behind = public if kind == "logits" else truth
    if behind is not None and rows != len(behind):
        of = "records of role reference" if kind == "logits" else "records of its truth"
        raise _unfit(key, file, f"{name!r} has {rows} rows for {len(behind)} {of}", "Give one row a record.")
    model = system.model
    if kind == "estimate" and model is not None and model.input_shape and values.shape[1:] != model.input_shape:
        asked = f"[model].input_shape asks for (B, {_listed(model.input_shape)})."
        raise _unfit(key, file, f"{name!r} has shape {values.shape}", asked)
    if kind != "logits":
        return
    if values.ndim != 2:
        raise _unfit(key, file, f"{name!r} has shape {values.shape}", "Give (records, classes).")
    if model is not None and model.classes and values.shape[1] != model.classes:
        raise _unfit(key, file, f"{name!r} has {values.shape[1]} columns", f"[model].classes is {model.classes}.")
    if truth is not None and not truth.y.is_floating_point() and int(truth.y.max()) >= values.shape[1]:
        raise _unfit(key, file, f"its truth has the label {int(truth.y.max())}, {name!r} {values.shape[1]} columns")


def _unusable(values: Array, truth: Truth | None, name: str) -> str:
    if not np.isfinite(values).all():
        return f"{name!r} holds NaN or infinity"
    if truth is not None and not bool(truth.x.isfinite().all()):
        return "its truth holds NaN or infinity"
    return ""


def _unfit(key: str, artifact: Artifact, problem: str, mend: str = "Give one row a record.") -> SystemFileError:
    return SystemFileError("system.records", f"system.toml: {key}: {artifact.path}: {problem}", mend)


def _listed(shape: Sequence[int]) -> str:
    return ", ".join(map(str, shape))
