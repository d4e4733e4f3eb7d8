"""`recording.json`: what was kept of a training, by digest, and how it came about."""

import hashlib
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, ValidationError, model_validator

from reports.artifacts import MAX_JSON, refuse_unsafe
from reports.canonical import canonical_json, strict_json
from reports.errors import FileError, ReportError
from reports.formats import broken, opened
from reports.nouns import Count, Noun, Sha256, Share, Word
from reports.system import AtLeastOne
from unlearning.errors import UnlearningError
from unlearning.federated.data import FederatedData
from unlearning.federated.federation_file import Recording as Modes
from unlearning.federated.transcript_nouns import Clients

SCHEMA: Final = "fedaudit.recording/1"
FILE = "recording.json"
GLOBAL = "global.safetensors"
Mode = Literal["none", "last", "interval", "all"]


class StoredUpdate(Noun):
    """One client's update of a round."""

    client: Count
    """Whose."""
    sha256: Sha256
    """Of its file."""


class StoredRound(Noun):
    """A round, and what is kept of it."""

    round: Count
    """From 1; 0 stands for the untrained model."""
    participants: Clients = ()
    """The clients in the mean."""
    weights: tuple[Share, ...] = ()
    """Of each in the mean."""
    global_model: Sha256 | None = None
    """Of the file of the global model after it; None where it is not kept."""
    updates: tuple[StoredUpdate, ...] = ()
    """Those that are kept."""

    @model_validator(mode="after")
    def _of_participants(self) -> Self:
        if len(self.weights) != len(self.participants):
            raise ValueError(f"{len(self.participants)} participants have {len(self.weights)} weights")
        if not {update.client for update in self.updates} <= set(self.participants):
            raise ValueError("an update is kept of a client that took no part")
        return self


class RecordingFile(Noun):
    """The whole file."""

    schema_id: Annotated[Literal["fedaudit.recording/1"], Field(alias="schema")] = SCHEMA
    """Always `fedaudit.recording/1`."""
    data: Sha256 | None = None
    """Of the clients' examples; None where the server has not seen them."""
    recipe: Sha256 | None = None
    """Of the recipe's canonical form; None where the clients' own code trained."""
    code: Sha256 | None = None
    """Of the source that trained; None where it was not ours."""
    nodes: tuple[Word, ...] = ()
    """By client: the id of its node, in a run of Flower."""
    modes: Modes
    """What was to be kept."""
    examples: tuple[Count, ...]
    """By client: how many it holds."""
    rounds: AtLeastOne
    """How many were run."""
    kept: tuple[StoredRound, ...]
    """Every round, in order."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        numbers = [one.round for one in self.kept]
        if any(one >= other for one, other in pairwise(numbers)) or (numbers and numbers[-1] > self.rounds):
            raise ValueError(f"the rounds of a recording ascend to {self.rounds}")
        return self


def is_kept(mode: Mode, interval: int, number: int, rounds: int) -> bool:
    """Tell whether a mode keeps what belongs to a round; the untrained model counts as round 0 of the global ones."""
    if mode == "interval":
        return number % interval == 0 or number == rounds
    return mode == "all" or (mode == "last" and number == rounds)


def round_folder(number: int) -> str:
    """Return the folder of a round."""
    return f"round-{number:04d}"


def update_name(client: int) -> str:
    """Return the file of a client's update."""
    return f"client-{client:04d}.safetensors"


def data_digest(data: FederatedData) -> str:
    """Return the SHA-256 over every client's examples, their shapes and labels."""
    told = hashlib.sha256()
    for client, held in enumerate(data.clients):
        told.update(f"{client}/{tuple(held.x.shape)}/{held.x.dtype}/{held.y.dtype}/".encode())
        told.update(held.x.contiguous().numpy().data)
        told.update(held.y.contiguous().numpy().data)
    return told.hexdigest()


def file_bytes(told: RecordingFile) -> bytes:
    """Return the canonical bytes of the file."""
    return canonical_json(told.model_dump(mode="json", by_alias=True, exclude_none=True)) + b"\n"


def read_recording_file(folder: Path) -> RecordingFile:
    """Return what the recording in a folder says of itself.

    Raises:
        UnlearningError: `unlearning.recording`, the file is not there, or not what it should be.
    """
    path = folder / FILE
    if not path.is_file():
        told = f"{folder.name}: there is no {FILE}, so no training was recorded here to its end"
        raise UnlearningError("unlearning.recording", told, "Train and record again.")
    try:
        refuse_unsafe(path)
        with opened(path) as file:
            data = file.read(MAX_JSON + 1)
        if len(data) > MAX_JSON:
            raise broken(path, f"it is longer than {MAX_JSON} bytes")
        strict_json(data)
        return RecordingFile.model_validate_json(data)
    except FileError as error:
        raise wrong(folder, error.message) from error
    except ReportError as error:
        raise wrong(folder, f"{FILE}: {error.message}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise wrong(folder, f"{FILE}: {place}{': ' if place else ''}{first['msg']}") from error


def wrong(folder: Path, told: str) -> UnlearningError:
    """Return the error that a recording is not what was recorded."""
    return UnlearningError("unlearning.recording", f"{folder.name}: {told}", "Restore the folder, or train again.")
