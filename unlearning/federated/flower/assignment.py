"""What a server tells a client to do in a phase of f-FUM; all of it in the one config record of the message.

    unlearn-phase              max | min | post
    unlearn-round              Flower's number of the round
    unlearn-seed               of the order in which examples are taken
    unlearn-method             f-FUM's parameters, as JSON
    unlearn-teacher            digest of the frozen model: the SHA-256 of its safetensors file
    unlearn-teacher-tensors    that file; only until a client has it

One record, since Flower's own clipping mods, and secure aggregation, take a message of one array record and one config
record and no other.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self, cast, get_args

from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from unlearning.errors import UnlearningError
from unlearning.federated.methods.ffum import FFUM

if TYPE_CHECKING:
    from flwr.app import ConfigRecord, Message, RecordDict

__all__ = ["PHASE", "TEACHER", "TENSORS", "Assignment", "FlowerPhase", "config_of", "phase_of", "sent_tensors"]

FlowerPhase = Literal["max", "min", "post"]
PHASE, ROUND, SEED, METHOD, TEACHER, TENSORS = (
    "unlearn-phase", "unlearn-round", "unlearn-seed", "unlearn-method", "unlearn-teacher", "unlearn-teacher-tensors",
)  # fmt: skip


@dataclass(frozen=True)
class Assignment:
    """What a client is to do in one round."""

    phase: FlowerPhase
    """What the round is for."""
    round: int
    """Flower's number, from 1."""
    seed: int
    """Of the order of examples."""
    method: FFUM
    """With its parameters."""
    teacher: str
    """Digest of the frozen model."""

    @property
    def needs_teacher(self) -> bool:
        """Whether the phase compares with the teacher."""
        return self.phase == "max" or (self.phase == "min" and self.method.alpha != 0)

    def config(self, tensors: bytes | None = None) -> dict[str, Any]:
        """Return what goes into the message's config record, with the teacher's file for a client that lacks it."""
        told: dict[str, Any] = {
            PHASE: self.phase,
            ROUND: self.round,
            SEED: self.seed,
            METHOD: self.method.model_dump_json(exclude_none=True),
            TEACHER: self.teacher,
        }
        return told if tensors is None else told | {TENSORS: tensors}

    @classmethod
    def found_in(cls, content: "RecordDict", phase: FlowerPhase) -> Self:
        """Return the assignment of a message.

        Raises:
            UnlearningError: `unlearning.assignment`, there is none, it is of another phase, or malformed.
        """
        told = config_of(content)
        found = told.get(PHASE)
        if found != phase:
            raise _wrong(f"a message for the {phase} phase has {PHASE} = {found!r}")
        numbers = [told.get(key) for key in (ROUND, SEED)]
        texts = [told.get(key) for key in (METHOD, TEACHER)]
        if not all(type(one) is int and one >= 0 for one in numbers) or not all(type(one) is str for one in texts):
            raise _wrong(f"{ROUND} and {SEED} are whole numbers, {METHOD} and {TEACHER} are text")
        try:
            method = FFUM.model_validate_json(cast(str, texts[0]))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise _wrong(f"{METHOD}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
        return cls(phase, cast(int, numbers[0]), cast(int, numbers[1]), method, cast(str, texts[1]))


def config_of(content: "RecordDict") -> "Mapping[str, Any] | ConfigRecord":
    """Return the config record of a message that speaks of unlearning; an empty mapping where none does."""
    return next((record for record in content.config_records.values() if PHASE in record), {})


def phase_of(message: "Message") -> FlowerPhase | None:
    """Return the phase that a message belongs to; None for plain training.

    A client's train function branches on it: `unlearn_min` for "min", its usual training for "post" and None.
    """
    found = config_of(message.content).get(PHASE) if message.has_content() else None
    return cast("FlowerPhase", found) if found in get_args(FlowerPhase) else None


def sent_tensors(content: "RecordDict", digest: str) -> dict[str, Tensor] | None:
    """Return the teacher that a message carries; None where it carries none.

    Raises:
        UnlearningError: `unlearning.assignment`, it is not the one of that digest.
    """
    data = config_of(content).get(TENSORS)
    if data is None:
        return None
    if type(data) is not bytes or hashlib.sha256(data).hexdigest() != digest:
        raise _wrong(f"{TENSORS} is not the file whose digest is {TEACHER}")
    try:
        return load(data)
    except SafetensorError as error:
        raise _wrong(f"{TENSORS} is no safetensors file: {error}") from error


def _wrong(told: str) -> UnlearningError:
    return UnlearningError("unlearning.assignment", told, "Let FFUMStrategy make the messages.")
