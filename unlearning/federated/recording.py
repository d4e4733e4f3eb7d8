"""What is kept of a training, so that it can be undone later: tensors in safetensors files, digests in one JSON.

    recording.json                        digests of data, recipe and code; modes; every round's clients and weights
    round-0000/global.safetensors         the untrained model
    round-0007/global.safetensors         the global model after round 7
    round-0007/client-0003.safetensors    what client 3 changed in it, after clipping and before noise

Modes, for global models and for updates alike: "none"; "last" (of updates: each client's latest); "interval" (every so
many rounds, and the last); "all". The last global model is kept as it is even where `dtype` rounds the others, since it
is the one that was delivered.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import Tensor

from reports.artifacts import read_tensors, tensor_entries
from reports.canonical import digest
from reports.digests import file_sha256
from reports.errors import FileError
from unlearning.errors import UnlearningError
from unlearning.federated.data import SimulatedFederation
from unlearning.federated.federation_file import Recording as Modes
from unlearning.federated.methods.base import History
from unlearning.federated.oracles import code_digest
from unlearning.federated.recorder import Recorder, tensor_bytes
from unlearning.federated.recording_file import (
    GLOBAL,
    RecordingFile,
    StoredRound,
    data_digest,
    read_recording_file,
    round_folder,
    update_name,
    wrong,
)
from unlearning.federated.rounds import Stack, stacked

__all__ = ["Modes", "Recorder", "Recording", "StoredRound", "load_recording", "tensor_bytes"]

Value = TypeVar("Value")


@dataclass(frozen=True, eq=False)
class Recording:
    """A training that was recorded; its tensors are read when they are asked for."""

    folder: Path
    """Where it lies."""
    told: RecordingFile
    """What it says of itself."""

    @property
    def global_rounds(self) -> tuple[int, ...]:
        """Rounds whose global model is kept; 0 for the untrained one."""
        return tuple(one.round for one in self.told.kept if one.global_model is not None)

    def updates_of(self, client: int) -> tuple[int, ...]:
        """Return the rounds whose update of this client is kept."""
        return tuple(one.round for one in self.told.kept if client in {update.client for update in one.updates})

    def global_model(self, number: int) -> dict[str, Tensor]:
        """Return the global model after a round, float32 where it is floating.

        Raises:
            UnlearningError: `unlearning.recording`, it is not kept, or the file has changed.
        """
        if number not in self.global_rounds:
            known = ", ".join(map(str, self.global_rounds)) or "none"
            told = f"{self.folder.name}: the global model of round {number} is not kept (kept are: {known})"
            raise UnlearningError("unlearning.recording", told, 'Record with global_models = "all".')
        return self._tensors(number, GLOBAL)

    def client_update(self, number: int, client: int) -> dict[str, Tensor]:
        """Return a client's update of a round, float32 where it is floating; errors as `global_model`."""
        if number not in self.updates_of(client):
            told = f"{self.folder.name}: the update of client {client} in round {number} is not kept"
            raise UnlearningError("unlearning.recording", told, 'Record with client_updates = "all".')
        return self._tensors(number, update_name(client))

    def history(self) -> History:
        """Return all that is kept as a method reads it, for one model; a round's tensors are read when asked for."""
        numbers = {one.round: one for one in self.told.kept}

        def updates(number: int) -> dict[int, Stack]:
            held = [update.client for update in numbers[number].updates]
            return {client: stacked([self.client_update(number, client)]) for client in held}

        with_updates = tuple(number for number, one in numbers.items() if one.updates)
        weights = {
            number: {client: torch.tensor([weight], dtype=torch.float64) for client, weight in _by_client(one)}
            for number, one in numbers.items()
            if one.participants
        }
        return History(
            _ReadOnDemand(self.global_rounds, lambda number: stacked([self.global_model(number)])),
            _ReadOnDemand(with_updates, updates),
            weights,
        )

    def same_code(self) -> bool:
        """Tell whether the source that trained is the source here; bitwise replay needs it."""
        return self.told.code == code_digest()

    def check_belongs(self, federation: SimulatedFederation) -> None:
        """Raise unless this is a training of these data by this recipe.

        Raises:
            UnlearningError: `unlearning.recording`, it is not; says which of them differs.
        """
        here = {"data": data_digest(federation.data), "recipe": digest(federation.recipe)}
        for name, expected in here.items():
            if (found := getattr(self.told, name)) != expected:
                other = f"is a training by another {name} than the federation's" if found else f"names no {name}"
                told = f"{self.folder.name}: it {other}"
                raise UnlearningError("unlearning.recording", told, "Remove the recording, and record anew.")

    def _tensors(self, number: int, name: str) -> dict[str, Tensor]:
        path = f"{round_folder(number)}/{name}"
        _check_file(self.folder, path, dict(_files(self.told))[path])
        tensors = read_tensors(self.folder / path)
        return {key: one.float() if one.dtype == torch.float16 else one for key, one in tensors.items()}


def load_recording(folder: Path, federation: SimulatedFederation | None = None) -> Recording:
    """Return the recording in a folder; every file that it names is there, and is what was recorded.

    Args:
        folder: Holds recording.json.
        federation: Whose training it should be; not asked where None.

    Raises:
        UnlearningError: `unlearning.recording`, a file is missing or altered, holds other tensors than the rest, or the
            recording is of another federation.
    """
    told = read_recording_file(folder)
    recording = Recording(folder, told)
    shapes: Mapping[str, tuple[int, ...]] = {}
    if federation is not None:
        recording.check_belongs(federation)
        model = federation.build_model(torch.Generator()).state_dict()
        shapes = {name: tuple(tensor.shape) for name, tensor in model.items()}
    for name, sha256 in _files(told):
        found = _check_file(folder, name, sha256)
        shapes = shapes or found
        if found != shapes:
            other = "the federation's model" if federation is not None else "the files before it"
            raise wrong(folder, f"{name} holds other tensors than {other}")
    return recording


class _ReadOnDemand(Mapping[int, Value], Generic[Value]):
    """By round: what a function reads, each time anew, so that memory holds one round."""

    def __init__(self, rounds: tuple[int, ...], read: Callable[[int], Value]) -> None:
        self._rounds, self._read = rounds, read

    def __getitem__(self, number: int) -> Value:
        if number not in self._rounds:
            raise KeyError(number)
        return self._read(number)

    def __iter__(self) -> Iterator[int]:
        return iter(self._rounds)

    def __len__(self) -> int:
        return len(self._rounds)


def _check_file(folder: Path, name: str, sha256: str) -> Mapping[str, tuple[int, ...]]:
    """Return the shapes of a file's tensors; raise unless it is the file that was recorded."""
    path = folder / name
    if not path.is_file():
        raise wrong(folder, f"{name} is missing")
    try:
        changed = file_sha256(path) != sha256
        shapes = {} if changed else {key: entry.shape for key, entry in tensor_entries(path).items()}
    except (FileError, OSError) as error:
        raise wrong(folder, f"{name} cannot be read") from error
    if changed:
        raise wrong(folder, f"{name} is not the file that was recorded: its SHA-256 differs")
    return shapes


def _files(told: RecordingFile) -> Iterator[tuple[str, str]]:
    """Yield every file of a recording below its folder, and its digest."""
    for one in told.kept:
        if one.global_model is not None:
            yield f"{round_folder(one.round)}/{GLOBAL}", one.global_model
        for update in one.updates:
            yield f"{round_folder(one.round)}/{update_name(update.client)}", update.sha256


def _by_client(one: StoredRound) -> Iterator[tuple[int, float]]:
    return zip(one.participants, one.weights, strict=True)
