"""The folder that a Flower app leaves: files by round and client, and a system.toml that is right after each of them.

Clients of a simulation are processes of their own, and nobody tells them that a run has ended. So each one writes its
own files, then reads what lies there and writes system.toml anew, until what lies there is what it wrote: whoever is
last has seen everybody. There is no lock to be left behind, and a run that is killed leaves what was recorded.
"""

import hashlib
import io
import json
import os
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save
from torch import Tensor

from audit.capture import CaptureError
from audit.flower.planted import Records
from audit.flower.subject import Subject
from reports.toml_writer import toml_text

CLAIM = "run.json"
"""Says which run a folder is of."""
Tables = Mapping[str, Any]
"""Tables of system.toml by name, with tables inside."""


@dataclass(frozen=True)
class Recorded:
    """One captured thing: its entry of `[[updates]]`, and what it tells of the federation."""

    place: str
    """Path below the folder without a suffix, such as `updates/round-0001/client-0003`."""
    tensors: Mapping[str, Tensor]
    """By the model's names."""
    base: Mapping[str, Tensor]
    """The global model of its round."""
    entry: Tables
    """Further keys of its entry."""
    federation: Tables
    """Keys of `[federation]` that it tells."""
    truth: Records | None
    """The planted records in it; None where nobody can say which they are."""
    transcript: Path | None = None
    """Folder of the round's transcript, below the folder of the run."""


class RecordedFolder:
    """Writes what was captured of one run below a folder.

    Args:
        folder: Where; made at the first record.
        subject: The model that is trained.
        name: Of the system.
        tables: Further tables of system.toml; what the owner says goes before what was captured.

    Raises:
        CaptureError: `capture.tables`, `updates` is among the tables: what was captured would be hidden.
        ValueError: they hold something that TOML cannot.
    """

    def __init__(self, folder: str | Path, subject: Subject, *, name: str, tables: Tables | None = None) -> None:
        if "updates" in (tables or {}):
            told = "tables may not hold 'updates', which the capture itself writes"
            raise CaptureError("capture.tables", told, "Remove that key.")
        self.path = Path(folder)
        self._subject = subject
        self._tables = _joined({"system": {"name": name, "version": "1"}}, tables or {})
        toml_text(self._tables)  # what TOML cannot hold is told before there is work to lose

    def begin(self, run: int, reference: Records | None) -> None:
        """Claim the folder for a run, or see that it is this run's; what does not change is written by the first.

        Raises:
            CaptureError: `capture.exists`, it holds another run, or something else.
        """
        if self.path.exists() and not self.path.is_dir():
            raise self._occupied("is no folder")
        self.path.mkdir(parents=True, exist_ok=True)
        # looked at before the claim: until a client of this run has claimed the folder, none of them writes into it
        strangers = [one for one in self.path.iterdir() if one.name != CLAIM and not one.name.startswith(f".{CLAIM}")]
        if self._claimed(run) and strangers:
            (self.path / CLAIM).unlink()
            raise self._occupied("there is something already")
        if self._claimant() != str(run):
            raise self._occupied("it holds another run")
        for file, data in self._subject.files.items():
            if not (self.path / file).exists():
                _write(self.path / file, data)
        if reference is not None and not (self.path / "reference.npz").exists():
            self._write_records("reference.npz", reference)

    def _claimant(self) -> str:
        """Return the run that the folder is of."""
        try:
            return str(json.loads((self.path / CLAIM).read_text(encoding="utf-8"))["run"])
        except (ValueError, LookupError, TypeError) as error:  # somebody else's file of that name
            raise self._occupied("there is something already") from error

    def _claimed(self, run: int) -> bool:
        """Tell whether this call was the first to claim the folder."""
        draft = self.path / f".{CLAIM}.{os.getpid()}.{threading.get_ident()}"
        draft.write_text(json.dumps({"run": str(run)}) + "\n", encoding="utf-8")
        try:
            os.link(draft, self.path / CLAIM)  # whole or not at all, and once
        except FileExistsError:
            return False
        finally:
            draft.unlink()
        return True

    def add(self, recorded: Recorded) -> None:
        """Write one captured thing, and system.toml with it.

        Raises:
            CaptureError: `capture.repeated`, it is recorded already.
        """
        place = recorded.place
        if (self.path / f"{place}.json").exists():
            raise CaptureError(
                "capture.repeated", f"{self.path}: {place} is recorded already", "Capture each run in a folder anew."
            )
        entry = {"path": f"{place}.safetensors", **recorded.entry, "base": self._write_base(recorded.base)}
        (self.path / place).parent.mkdir(parents=True, exist_ok=True)
        if recorded.truth is not None:
            entry["truth"] = f"{place}.npz"
            self._write_records(entry["truth"], recorded.truth)
        _write(self.path / entry["path"], _bytes(recorded.tensors))
        shape = None if recorded.truth is None else list(recorded.truth.x.shape[1:])
        transcript = recorded.transcript and recorded.transcript.relative_to(self.path).as_posix()
        told = {
            "update": entry,
            "federation": recorded.federation,
            "input_shape": shape,
            "transcript": transcript,
        }
        _write(self.path / f"{place}.json", json.dumps(told, indent=1).encode())
        self._describe()

    def _describe(self) -> None:
        """Write system.toml of all that lies here, again if more came meanwhile."""
        written: list[Path] = []
        while (found := sorted(self.path.glob("updates/*/*.json"))) != written:
            _write(self.path / "system.toml", toml_text(self._described(found)).encode())
            written = found

    def _described(self, found: list[Path]) -> Tables:
        told = [json.loads(path.read_text(encoding="utf-8")) for path in found]
        updates = [one["update"] for one in told]
        federation: dict[str, Any] = {}
        for one in told:
            federation = _joined(federation, one["federation"])
        if counts := Counter(one["round"] for one in updates if one["kind"] == "delta"):
            federation["clients_per_round"] = max(counts.values())
        if transcripts := [one["transcript"] for one in told if one["transcript"]]:
            federation = _joined(federation, {"secure_aggregation": {"transcripts": transcripts}})
        shape = next((one["input_shape"] for one in told if one["input_shape"]), None)
        tables: Tables = {
            "system": {},  # first to be read
            "federation": federation,
            "model": {"checkpoint": updates[-1]["base"], **self._subject.table, "input_shape": shape},
            "updates": updates,
        }
        if (self.path / "reference.npz").exists():
            tables = {**tables, "data": [{"role": "reference", "path": "reference.npz"}]}
        return _joined(tables, self._tables)

    def _write_base(self, base: Mapping[str, Tensor]) -> str:
        data = _bytes(base)
        path = f"bases/{hashlib.sha256(data).hexdigest()[:16]}.safetensors"
        if not (self.path / path).exists():
            (self.path / path).parent.mkdir(exist_ok=True)
            _write(self.path / path, data)
        return path

    def _write_records(self, path: str, records: Records) -> None:
        data = io.BytesIO()
        np.savez(data, allow_pickle=False, x=records.x, y=records.y)
        _write(self.path / path, data.getvalue())

    def _occupied(self, problem: str) -> CaptureError:
        return CaptureError("capture.exists", f"{self.path}: {problem}", "Name a new folder, or remove it.")


def _joined(one: Tables, other: Tables) -> dict[str, Any]:
    """Return two tables as one; where both say something the second is heard, in tables key by key."""
    both = dict(one)
    for key, value in other.items():
        held = both.get(key)
        both[key] = _joined(held, value) if isinstance(held, Mapping) and isinstance(value, Mapping) else value
    return both


def _write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, beside processes that may write it too.

    It is not waited for until it is on the disk: a capture that a power cut takes is made again.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    draft.write_bytes(data)
    draft.replace(path)


def _bytes(tensors: Mapping[str, Tensor]) -> bytes:
    return save({name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()})
