"""Recorded rounds as views of their files: each released sum with the contributions that it is the sum of.

Nothing is loaded until a tensor is asked for, and then it is a view of the file where the number format allows: a
federation of many clients and a large model fits no memory.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from audit.dp.residuals import Round
from reports.artifacts import TensorEntry, refuse_unsafe, tensor_entries
from reports.errors import SystemFileError
from reports.formats import opened
from reports.model import System
from reports.model import Update as DeclaredUpdate

Floats = npt.NDArray[np.floating]
_VIEWED = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_BITS = {"F64": 53, "F32": 24, "F16": 11, "BF16": 8}
"""Of the significand; half of its last place is the largest relative error of rounding."""


@dataclass(frozen=True, eq=False)
class TensorFile(Mapping[str, Floats]):
    """The tensors of floating point in a safetensors file; counters (whole numbers) are left out."""

    path: Path
    """The file; its header was checked."""
    entries: Mapping[str, TensorEntry]
    """Where each tensor lies."""
    factor: float = 1.0
    """What its tensors are multiplied by."""

    @property
    def rounding(self) -> float:
        """Relative error of its coarsest number format."""
        return max(2.0 ** -_BITS[entry.dtype] for entry in self.entries.values())

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes by name."""
        return {name: entry.shape for name, entry in self.entries.items()}

    def __getitem__(self, name: str) -> Floats:
        """Return a tensor, as a view of the file where no arithmetic is needed."""
        entry = self.entries[name]
        if entry.begin == entry.end:
            return np.zeros(entry.shape)
        with opened(self.path) as file:
            start = 8 + int.from_bytes(file.read(8), "little") + entry.begin
        stored = np.memmap(self.path, dtype=_VIEWED[entry.dtype], mode="r", offset=start, shape=entry.shape)
        values = (stored.astype("<u4") << 16).view("<f4") if entry.dtype == "BF16" else stored
        return values if self.factor == 1 else np.multiply(values, self.factor, dtype=np.float64)

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)


@dataclass(frozen=True, eq=False)
class RecordedRounds:
    """The rounds that can be tested, and why others cannot."""

    rounds: tuple[Round, ...]
    """Released sums and contributions."""
    labels: tuple[str, ...]
    """What to call each, such as `round 3`."""
    left_out: tuple[str, ...]
    """A sentence for each round that cannot be tested, or on an assumption only."""
    single_examples: bool
    """Whether every contribution is one step on one example."""
    rounding: float
    """Relative error of the coarsest number format of a contribution; 0 without any."""


def recorded_rounds(system: System, folder: Path) -> RecordedRounds:
    """Return the rounds of which both the sum and all contributions are recorded.

    Args:
        system: The system under review; `[model]` is not needed.
        folder: The folder that its paths are relative to.

    Raises:
        SystemFileError: the tensors of a round's files differ in name or shape.
        reports.errors.FileError: a file is refused or broken.
    """
    entries = list(enumerate(system.updates))
    rounds: list[Round] = []
    labels: list[str] = []
    left_out: list[str] = []
    first: tuple[int, dict[str, tuple[int, ...]]] | None = None
    single, rounding = True, 0.0
    for number in dict.fromkeys(one.round for _, one in entries if one.kind in ("aggregate", "delta", "gradient")):
        own = [(index, one) for index, one in entries if one.round == number]
        sums = [(index, one) for index, one in own if one.kind == "aggregate"]
        label = "the only round" if number is None else f"round {number}"
        if len(sums) != 1:
            left_out.append(f"Left out: {label}, of which {len(sums) or 'no'} sums are recorded, not one.")
            continue
        [(index, released)] = sums
        deltas = [(at, one) for at, one in own if one.kind == (released.of or "delta")]
        if not deltas or (released.clients is not None and released.clients != len(deltas)):
            whole = "" if released.clients is None else f" of {released.clients}"
            left_out.append(f"Left out: {label}, of which {len(deltas)}{whole} contributions are recorded.")
            continue
        if released.clients is None:
            left_out.append(
                f"How many contributions the sum of {label} holds is not declared; the recorded were taken."
            )
        files = [_opened(folder, index, released), *(_opened(folder, at, one) for at, one in deltas)]
        for at, file in zip([index, *(at for at, _ in deltas)], files, strict=True):
            first = first or (at, file.shapes)
            _check_alike(system, at, file.shapes, first)
        rounds.append((files[0], files[1:]))
        labels.append(label)
        rounding = max(rounding, *(file.rounding for file in files[1:]))
        single = single and all(_of_one_example(system, one) for _, one in deltas)
    return RecordedRounds(tuple(rounds), tuple(labels), tuple(left_out), single, rounding)


def _opened(folder: Path, index: int, declared: DeclaredUpdate) -> TensorFile:
    path = folder / declared.path.path
    refuse_unsafe(path)
    entries = tensor_entries(path)
    floating = {name: entry for name, entry in entries.items() if entry.dtype in _VIEWED}
    if path.is_dir() or not floating or any(entry.dtype.startswith("F8") for entry in entries.values()):
        held = "a folder" if path.is_dir() else ", ".join(sorted({e.dtype for e in entries.values()})) or "nothing"
        raise SystemFileError(
            "updates.tensors",
            f"system.toml: updates[{index}].path: {declared.path.path}: holds {held}, no numbers to sum",
            "Store one safetensors file of floats of 16 bits or more.",
        )
    factor = declared.divided_by if declared.kind == "aggregate" and declared.divided_by is not None else 1.0
    return TensorFile(path, floating, factor)


def _check_alike(
    system: System, index: int, shapes: dict[str, tuple[int, ...]], first: tuple[int, dict[str, tuple[int, ...]]]
) -> None:
    """Refuse a file whose tensors differ in name or shape from those of the first."""
    other, expected = first
    for name in sorted(shapes.keys() | expected.keys()):
        if shapes.get(name) != expected.get(name):
            here, there = (f"shape {found[name]}" if name in found else "not there" for found in (shapes, expected))
            raise SystemFileError(
                "updates.tensors",
                f"system.toml: updates[{index}].path: {system.updates[index].path.path}: {name!r} is {here}, "
                f"in {system.updates[other].path.path} {there}",
                "Record the same tensors of every contribution and of their sum.",
            )


def _of_one_example(system: System, declared: DeclaredUpdate) -> bool:
    federation = system.federation
    batch = declared.batch_size or (federation.batch_size if federation else None)
    steps = declared.local_steps or (federation.local_steps if federation else None) or 1
    return batch == 1 and steps == 1
