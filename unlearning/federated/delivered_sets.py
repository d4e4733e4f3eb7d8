"""The sets of examples of one erasure request: the declared files, and those that its transcript names.

forget, retain, twin    as declared, else as the transcript names them
test, holdout           as the transcript names them, else [[data]] nonmembers, calibration
probes                  as the transcript names them
neighbours              [[data]] neighbours
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from reports.digests import file_sha256
from reports.errors import FileError
from reports.model import Artifact, ErasureRequest, System
from unlearning.errors import FederationFileError
from unlearning.federated.data import ClientData
from unlearning.federated.delivered_record import Record
from unlearning.federated.example_file import MOST_CLASSES, ExampleFile, read_examples
from unlearning.federated.transcript import DataFile

__all__ = ["ExampleSets", "read_sets"]

ROLES = {"test": "nonmembers", "holdout": "calibration"}
"""Of `[[data]]`, where the transcript names no file."""


@dataclass(frozen=True, eq=False)
class ExampleSets:
    """What could be read."""

    forget: ExampleFile | None = None
    """What was to be forgotten."""
    retain: ExampleFile | None = None
    """What stayed."""
    others: Mapping[str, ClientData | None] = field(default_factory=dict)
    """"twin", "test", "holdout", "probes" and "neighbours"."""
    absent: tuple[str, ...] = ()
    """Files that the transcript names and that do not lie beside it: nobody says that they are other ones."""

    def sets(self) -> dict[str, ClientData | None]:
        """Return every set by its name."""
        owned = {"forget": self.forget, "retain": self.retain}
        return {**{name: None if one is None else _data(one) for name, one in owned.items()}, **self.others}


def read_sets(
    system: System, declared: ErasureRequest, folder: Path, record: Record, module: nn.Module | None
) -> tuple[ExampleSets, Record]:
    """Return the sets of one request, and its record with what is wrong with the files that it names.

    Raises:
        FederationFileError: A declared file cannot be used, or is not of the model's kind; names file, key and mend.
    """
    reader = _Reader(system, declared, folder, record, module)
    forget, retain = reader.owned("forget", declared.forget), reader.owned("retain", declared.retain)
    twin = reader.owned("twin", declared.twin)
    others: dict[str, ClientData | None] = {"twin": None if twin is None else _data(twin)}
    for name, role in ROLES.items():
        read = reader.named(name)
        if read is None:
            read = reader.of_role(role)
        others[name] = None if read is None else _data(read)
    probes = reader.named("probes")
    others["probes"] = None if probes is None else _data(probes)
    neighbours = reader.of_role("neighbours")
    others["neighbours"] = None if neighbours is None else _data(neighbours)
    return ExampleSets(forget, retain, others, tuple(reader.absent)), reader.record


def _data(read: ExampleFile) -> ClientData:
    return ClientData(read.x, read.y)


class _Reader:
    """Reads the files of one request; all are of one shape, that of the model's input where there is one."""

    def __init__(
        self, system: System, declared: ErasureRequest, folder: Path, record: Record, module: nn.Module | None
    ) -> None:
        self.record = record
        self.absent: list[str] = []
        self._system, self._request, self._folder, self._module = system, declared, folder, module
        self._classes = MOST_CLASSES
        self._shape: tuple[int, ...] | None = None

    def owned(self, name: str, file: Artifact | None) -> ExampleFile | None:
        """Return a set that belongs to the request: the declared file, else the one that the transcript names."""
        if file is None:
            return self.named(name)
        read = self.declared(f"unlearning ({self._request.id}): {name}", file)
        said = self._said(name)
        if said is not None and file_sha256(self._folder / file.path) != said.sha256:
            self._fault(name, f"its digest is not that of {file.path}")
        elif said is not None and said.examples != len(read.y):
            self._fault(name, f"it has {len(read.y)} examples, not {said.examples}")
        return read

    def declared(self, key: str, file: Artifact) -> ExampleFile:
        """Return the examples of a declared file."""
        return self._read(self._folder / file.path, f"{self._system.source.path}: {key}", file.path)

    def of_role(self, role: str) -> ExampleFile | None:
        """Return the examples of the first npz file that `[[data]]` gives a role."""
        data = self._system.data
        files = [one.path for one in data if one.role == role and one.path.path.lower().endswith(".npz")]
        return self.declared(f"data.{role}", files[0]) if files else None

    def named(self, name: str) -> ExampleFile | None:
        """Return the examples of a file that the transcript names; None, and a fault, where it cannot be used."""
        said, transcript = self._said(name), self._request.transcript
        if said is None or transcript is None:
            return None
        try:
            folder = (self._folder / transcript.path).resolve().parent
            path = (folder / said.path).resolve()
            if not path.is_relative_to(folder):
                self._fault(name, f"{said.path!r} leads out of the transcript's folder")
                return None
            if not path.is_file():
                self.absent.append(said.path)
                return None
            if file_sha256(path) != said.sha256:
                self._fault(name, f"its digest is not that of {said.path}")
                return None
            read = self._read(path, f"data.{name}", said.path)
        except (FederationFileError, FileError) as error:
            self.record = self.record.with_fault("data", error.message)  # which names the set
            return None
        except (OSError, RuntimeError) as error:  # a name too long for the system, a link that leads to itself
            self._fault(name, f"{said.path[:80]!r} cannot be opened ({type(error).__name__})")
            return None
        if said.examples != len(read.y):
            self._fault(name, f"{said.path} has {len(read.y)} examples, not {said.examples}")
        return read

    def _said(self, name: str) -> DataFile | None:
        """Return what the transcript says of a set."""
        header = self.record.header
        found: DataFile | None = None if header is None else getattr(header.data, name)
        return found

    def _fault(self, name: str, told: str) -> None:
        self.record = self.record.with_fault("data", f"data.{name}: {told}")

    def _read(self, path: Path, where: str, name: str) -> ExampleFile:
        read = read_examples(path, where, name, classes=self._classes, shape=self._shape, clients="where-there")
        if self._shape is None:
            self._classes, self._shape = self._fitting(read, where, name), tuple(read.x.shape[1:])
        return read

    def _fitting(self, read: ExampleFile, where: str, name: str) -> int:
        """Return the number of classes that the model tells apart, if it takes these examples.

        Raises:
            FederationFileError: It does not, or they have labels that it does not give.
        """
        if self._module is None:
            return MOST_CLASSES
        shape = tuple(read.x.shape[1:])
        try:
            with torch.no_grad():
                logits = self._module(read.x[:1])
        except (RuntimeError, ValueError, IndexError, TypeError) as error:  # whatever a layer says of a wrong shape
            told = f"{where}: the model does not take the examples of {name!r}, of shape {shape}"
            raise FederationFileError("federation.data", told, "Give examples as the model is given them.") from error
        if logits.dim() != 2 or len(logits) != 1:
            told = f"{where}: for one example of {name!r} the model gives outputs of shape {tuple(logits.shape)}"
            raise FederationFileError("federation.data", told, "Declare a model that gives one row of logits each.")
        classes = int(logits.shape[1])
        if int(read.y.max()) >= classes:
            told = f"{where}: y of {name!r} reaches to {int(read.y.max())}, and the model tells {classes} classes apart"
            raise FederationFileError("federation.data", told, f"Write labels from 0 to {classes - 1}.")
        return classes
