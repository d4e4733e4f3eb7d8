"""Planted updates: what left a client, the model it was computed at, and the planted records behind it.

Three files that the owner names become one `Update`, checked against one another: tensors by name against the model,
records against the declared shape, labels against the classes. What cannot be used is left out and named; what does
not fit is an error that names the file.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from reports.artifacts import read_npz, read_tensors
from reports.errors import SystemFileError
from reports.model import Artifact, System
from reports.model import Update as DeclaredUpdate
from unlearning.models import load_model, match_parameters

Kind = Literal["gradient", "delta", "aggregate"]
KINDS: tuple[Kind, ...] = ("gradient", "delta", "aggregate")
NO_LABEL = -1
"""Stands where public records come without labels; equals no planted label."""


@dataclass(frozen=True, eq=False)
class Truth:
    """Records and their labels, in the owner's units before normalisation."""

    x: Tensor
    """float32, shape (B, *input_shape)."""
    y: Tensor
    """int64 labels, shape (B,); float32 targets of a regression, shape (B,)."""

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True, eq=False)
class Update:
    """One recorded gradient, delta or sum, with what it was computed at and the truth behind it."""

    index: int
    """Position in `[[updates]]`."""
    path: str
    """Its file, as declared."""
    kind: Kind
    """What it is."""
    of: Literal["gradient", "delta"]
    """What it is made of: its own kind, or what an aggregate sums."""
    client: str | None
    """Whose it is."""
    round: int | None
    """The round it was sent in."""
    clients: int
    """Clients summed; 1 unless it is an aggregate."""
    divided_by: float
    """What the sum was divided by."""
    batch_size: int | None
    """Records in a local batch."""
    local_steps: int
    """Steps of local training behind it."""
    learning_rate: float | None
    """Of those steps."""
    tensors: dict[str, Tensor]
    """By the checkpoint's names, in the checkpoint's order and number format."""
    base: nn.Module
    """The model it was computed at, in evaluation mode; shared between updates of one base."""
    truth: Truth | None
    """The planted records behind it, if they are declared."""


@dataclass(frozen=True)
class Excluded:
    """An update that is left out."""

    path: str
    """Its file."""
    why: str
    """What is wrong with it."""


@dataclass(frozen=True)
class PlantedUpdates:
    """The updates that can be used, and those that cannot."""

    updates: tuple[Update, ...]
    """In the order of `[[updates]]`."""
    excluded: tuple[Excluded, ...]
    """In the same order."""


def planted_updates(system: System, folder: Path, *, trust_code: bool = False) -> PlantedUpdates:
    """Return the recorded gradients, deltas and aggregates of a system, each joined with its base and its truth.

    Other kinds of updates (embeddings, logits, estimates) are not touched. An update or truth with NaN or infinity is
    left out and named. Half-precision tensors become the model's number format.

    Args:
        system: The system under review; `[model]` says how to build the bases.
        folder: The folder that its paths are relative to.
        trust_code: Whether `[model].definition` may run.

    Raises:
        SystemFileError: a truth does not fit the declared shape or classes, or a tensor holds integers.
        unlearning.errors.ModelError: a base cannot be built; ModelMismatch: an update's tensors do not fit it.
        reports.errors.FileError: a file is refused or broken.
    """
    bases: dict[str, nn.Module] = {}
    updates: list[Update] = []
    excluded: list[Excluded] = []
    for index, declared in enumerate(system.updates):
        if declared.kind not in KINDS:
            continue
        base = _base(system, declared.base, folder, bases, trust_code)
        tensors = _tensors(declared, folder, base, index)
        truth = None if declared.truth is None else read_records(system, declared.truth, folder, f"updates[{index}]")
        if why := _unusable(tensors, truth):
            excluded.append(Excluded(declared.path.path, why))
        else:
            updates.append(_joined(system, declared, index, tensors, base, truth))
    return PlantedUpdates(tuple(updates), tuple(excluded))


def reference_records(system: System, folder: Path) -> Truth | None:
    """Return the declared public records (`role = "reference"`, npz), or None where there are none.

    Labels may be missing; they are `NO_LABEL` then.

    Raises:
        SystemFileError: the records do not fit `[model].input_shape`, or hold NaN or infinity.
    """
    parts = [
        read_records(system, entry.path, folder, f"data[{index}]", labelled=False)
        for index, entry in enumerate(system.data)
        if entry.role == "reference" and entry.path.path.lower().endswith(".npz")
    ]
    for part in parts:
        if not torch.isfinite(part.x).all():
            raise SystemFileError(
                "data.reference", "system.toml: data: a reference record holds NaN or infinity", "Leave it out."
            )
    return Truth(torch.cat([part.x for part in parts]), torch.cat([part.y for part in parts])) if parts else None


def read_records(system: System, artifact: Artifact, folder: Path, key: str, *, labelled: bool = True) -> Truth:
    """Return the records `x` and labels `y` of an npz, checked against `[model]`.

    Args:
        system: Gives input_shape, classes and task.
        artifact: The npz.
        folder: The folder that its path is relative to.
        key: The entry of system.toml that names it, for errors.
        labelled: Whether `y` must be there.

    Raises:
        SystemFileError: a shape, a number of labels or a label does not fit.
        reports.errors.FileError: the file is refused, broken, or lacks an array.
    """
    arrays = read_npz(folder / artifact.path, required=("x", "y") if labelled else ("x",))
    records, labels = arrays["x"], arrays.get("y")
    shape = system.model.input_shape if system.model else None
    if records.dtype.kind not in "fiub" or records.ndim < 2 or not len(records):
        raise _unfit(key, artifact, f"'x' is {records.dtype} of shape {records.shape}", "Give numbers, (B, *shape).")
    if shape is not None and records.shape[1:] != shape:
        raise _unfit(
            key, artifact, f"'x' has shape {records.shape}", f"[model].input_shape asks for (B, {_listed(shape)})."
        )
    if labels is None:
        labels = np.full(len(records), NO_LABEL)
    if labels.shape != (len(records),):
        raise _unfit(
            key, artifact, f"'y' has shape {labels.shape} for {len(records)} records", "Give one label a record."
        )
    x = torch.from_numpy(np.asarray(records, dtype=np.float32))
    if system.model is not None and system.model.task == "regression":
        return Truth(x, torch.from_numpy(np.asarray(labels, dtype=np.float32)))
    lowest = 0 if labelled else NO_LABEL
    return Truth(x, torch.from_numpy(_labels(system, artifact, key, labels, lowest)))


def input_scale(system: System) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return mean and deviation that normalise a record, each shaped to broadcast against (B, *input_shape).

    One number applies to all; as many as channels (the first dimension of input_shape) apply to each channel.

    Raises:
        SystemFileError: `[model].normalisation` has another number of entries.
    """
    normalisation = system.model.normalisation if system.model else None
    if normalisation is None:
        return np.zeros(1), np.ones(1)
    shape = (system.model.input_shape if system.model else None) or (1,)
    found = []
    for name, values in (("mean", normalisation.mean), ("std", normalisation.std)):
        if len(values) not in (1, shape[0]):
            raise SystemFileError(
                "model.normalisation",
                f"system.toml: model.normalisation.{name}: has {len(values)} entries for records of {_listed(shape)}",
                f"Give one number, or {shape[0]}.",
            )
        array = np.asarray(values, dtype=np.float64)
        found.append(array if len(values) == 1 else array.reshape(-1, *[1] * (len(shape) - 1)))
    return found[0], found[1]


def _base(
    system: System, declared: Artifact | None, folder: Path, bases: dict[str, nn.Module], trust_code: bool
) -> nn.Module:
    """Return the model an update was computed at, loading each checkpoint once."""
    if system.model is None:
        raise SystemFileError("system.model", "system.toml: model: is missing", "Declare the model of the updates.")
    model = system.model if declared is None else system.model.model_copy(update={"checkpoint": declared})
    key = model.checkpoint.sha256 if model.checkpoint else ""
    if key not in bases:
        bases[key] = load_model(model, folder, trust_code=trust_code)
    return bases[key]


def _tensors(declared: DeclaredUpdate, folder: Path, base: nn.Module, index: int) -> dict[str, Tensor]:
    tensors = read_tensors(folder / declared.path.path)
    floating = {name for name, tensor in base.state_dict().items() if tensor.is_floating_point()}
    for name in floating & set(tensors):
        if not tensors[name].is_floating_point():  # codes of a quantiser: their scale is not in the file
            raise SystemFileError(
                "updates.integers",
                f"system.toml: updates[{index}].path: {declared.path.path}: {name!r} holds {tensors[name].dtype}",
                "Store the numbers that the server computes with, as floats.",
            )
    return match_parameters(base, tensors, source=declared.path.path)


def _unusable(tensors: dict[str, Tensor], truth: Truth | None) -> str:
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            return f"{name!r} holds NaN or infinity"
    if truth is not None and not torch.isfinite(truth.x).all():
        return "its truth holds NaN or infinity"
    return ""


def _joined(
    system: System, declared: DeclaredUpdate, index: int, tensors: dict[str, Tensor], base: nn.Module,
    truth: Truth | None,
) -> Update:  # fmt: skip
    """Return the update; what its entry leaves out is taken from `[federation]`."""
    federation = system.federation
    steps = declared.local_steps or (federation.local_steps if federation else None) or 1
    kind: Kind = declared.kind  # type: ignore[assignment]  # one of KINDS
    of = declared.kind if declared.kind in ("gradient", "delta") else declared.of or "delta"
    return Update(
        index=index,
        path=declared.path.path,
        kind=kind,
        of=of,
        client=declared.client,
        round=declared.round,
        clients=declared.clients or 1,
        divided_by=declared.divided_by or 1.0,
        batch_size=declared.batch_size or (federation.batch_size if federation else None),
        local_steps=steps,
        learning_rate=declared.learning_rate or (federation.learning_rate if federation else None),
        tensors=tensors,
        base=base,
        truth=truth,
    )


def _labels(
    system: System, artifact: Artifact, key: str, labels: npt.NDArray[np.generic], lowest: int
) -> npt.NDArray[np.int64]:
    """Return labels as int64, refused where one is no whole number or lies outside the classes."""
    mend = "Give labels as integers from 0."
    if labels.dtype.kind not in "fiub":
        raise _unfit(key, artifact, f"'y' is {labels.dtype}", mend)
    numbers = labels.astype(np.float64)
    if not (np.isfinite(numbers).all() and np.array_equal(np.floor(numbers), numbers)):
        raise _unfit(key, artifact, "'y' holds a label that is no whole number", mend)
    whole = numbers.astype(np.int64)
    classes = system.model.classes if system.model else None
    highest = np.inf if classes is None else max(classes, 2) - 1  # one output of a binary model has two labels
    if wrong := [int(label) for label in whole if not lowest <= label <= highest]:
        raise _unfit(key, artifact, f"'y' holds the label {wrong[0]}", f"{mend} [model].classes is {classes}.")
    return whole


def _unfit(key: str, artifact: Artifact, problem: str, mend: str) -> SystemFileError:
    return SystemFileError("system.records", f"system.toml: {key}: {artifact.path}: {problem}", mend)


def _listed(shape: Sequence[int]) -> str:
    return ", ".join(map(str, shape))
