"""Writing a training down, round by round, into a folder of its own; `unlearning.federated.recording` says its form."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from safetensors.torch import save
from torch import Tensor

from reports.canonical import digest
from unlearning.errors import UnlearningError
from unlearning.federated.data import SimulatedFederation
from unlearning.federated.federation_file import Recording as Modes
from unlearning.federated.oracles import code_digest
from unlearning.federated.recording_file import (
    FILE,
    GLOBAL,
    Mode,
    RecordingFile,
    StoredRound,
    StoredUpdate,
    data_digest,
    file_bytes,
    is_kept,
    round_folder,
    update_name,
)
from unlearning.federated.training import RoundRecord


def tensor_bytes(tensors: Mapping[str, Tensor]) -> bytes:
    """Return a state dict as the bytes of a safetensors file; their SHA-256 is the model's digest."""
    return save({name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()})


class RoundFiles:
    """Writes what is to be kept of each round into a folder of its own.

    Args:
        folder: Made if missing; must be empty.
        modes: What to keep.
        rounds: How many there will be; the last one's model is kept as it is.
        sampled: Whether a client may miss rounds, so that its latest update need not be of the last one.

    Raises:
        UnlearningError: `unlearning.recording`, the folder holds something, or cannot be written.
    """

    def __init__(self, folder: Path, modes: Modes, *, rounds: int, sampled: bool) -> None:
        self.folder, self._modes = folder, modes
        self._last, self._sampled = rounds, sampled
        self._rounds: dict[int, StoredRound] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()):
                told = f"{folder.name} is not empty, and a recording is never overwritten"
                raise UnlearningError("unlearning.recording", told, "Give a folder that is empty or not there yet.")
        except OSError as error:
            told = f"cannot record to {folder.name}: {error.strerror}"
            raise UnlearningError("unlearning.recording", told) from error

    def __call__(self, record: RoundRecord) -> None:
        """Keep what is to be kept of a round.

        Raises:
            UnlearningError: `unlearning.recording`, a number is too large for float16.
        """
        number = record.round
        if not self._rounds and self._due(self._modes.global_models, number - 1):
            self._rounds[number - 1] = StoredRound(
                round=number - 1, global_model=self._write(number - 1, GLOBAL, record.before)
            )
        sha256 = None
        if self._due(self._modes.global_models, number):
            sha256 = self._write(number, GLOBAL, record.after, exact=number == self._last)
        updates: tuple[StoredUpdate, ...] = ()
        partial = self._sampled and self._modes.client_updates == "last"
        if partial or self._due(self._modes.client_updates, number):
            updates = tuple(
                StoredUpdate(client=client, sha256=self._write(number, update_name(client), delta))
                for client, delta in zip(record.participants, record.deltas, strict=True)
            )
        if partial:
            self._forget_older(record.participants)
        self._rounds[number] = StoredRound(
            round=number, participants=record.participants, weights=record.weights, global_model=sha256, updates=updates
        )

    def write_file(
        self,
        *,
        examples: tuple[int, ...],
        data: str | None = None,
        recipe: str | None = None,
        code: str | None = None,
        nodes: tuple[str, ...] = (),
    ) -> None:
        """Write the JSON: now it is a recording; arguments as in `RecordingFile`.

        Raises:
            UnlearningError: `unlearning.recording`, not one round was run.
        """
        if not self._rounds:
            raise UnlearningError("unlearning.recording", f"{self.folder.name}: no round was recorded")
        told = RecordingFile(
            data=data, recipe=recipe, code=code, modes=self._modes, examples=examples, nodes=nodes,
            rounds=max(self._rounds), kept=tuple(self._rounds[number] for number in sorted(self._rounds)),
        )  # fmt: skip
        (self.folder / FILE).write_bytes(file_bytes(told))

    def _due(self, mode: Mode, number: int) -> bool:
        return is_kept(mode, self._modes.interval, number, self._last)

    def _write(self, number: int, name: str, tensors: Mapping[str, Tensor], *, exact: bool = False) -> str:
        """Store tensors, and return the digest of their file."""
        if self._modes.dtype == "float16" and not exact:
            tensors = {key: self._rounded(number, key, one) for key, one in tensors.items()}
        path = self.folder / round_folder(number) / name
        path.parent.mkdir(exist_ok=True)
        data = tensor_bytes(tensors)
        path.write_bytes(data)
        return hashlib.sha256(data).hexdigest()

    def _rounded(self, number: int, name: str, tensor: Tensor) -> Tensor:
        if not tensor.is_floating_point():
            return tensor
        half = tensor.half()
        if bool((half.isinf() & tensor.isfinite()).any()):
            told = f"round {number}: {name!r} holds a number beyond float16 (65504)"
            raise UnlearningError("unlearning.recording", told, 'Record with dtype = "float32".')
        return half

    def _forget_older(self, clients: tuple[int, ...]) -> None:
        """Drop earlier updates of clients that have sent a later one."""
        for number, one in self._rounds.items():
            for update in one.updates:
                if update.client in clients:
                    (self.folder / round_folder(number) / update_name(update.client)).unlink()
            rest = tuple(update for update in one.updates if update.client not in clients)
            self._rounds[number] = one.model_copy(update={"updates": rest})


class Recorder(RoundFiles):
    """Records a simulated training; a recorder for `train`, and a context manager.

    The JSON is written last, so that a training that was stopped leaves no recording behind.

    Args:
        folder: Made if missing; must be empty.
        federation: What is trained, and by which recipe.
        modes: What to keep.

    Raises:
        UnlearningError: `unlearning.recording`, the folder holds something, or cannot be written.
    """

    def __init__(self, folder: Path, federation: SimulatedFederation, modes: Modes | None = None) -> None:
        recipe = federation.recipe
        super().__init__(folder, modes or Modes(), rounds=recipe.rounds, sampled=recipe.clients_per_round > 0)
        self._federation = federation

    def close(self) -> None:
        """Write the JSON: now it is a recording.

        Raises:
            UnlearningError: `unlearning.recording`, not one round was run.
        """
        federation = self._federation
        self.write_file(
            data=data_digest(federation.data), recipe=digest(federation.recipe), code=code_digest(),
            examples=tuple(len(one) for one in federation.data.clients),
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
