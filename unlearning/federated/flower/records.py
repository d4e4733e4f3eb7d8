"""Flower's records as state dicts and back, and the one place that says where Flower comes from."""

import hashlib
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from unlearning.errors import UnlearningError
from unlearning.federated.recorder import tensor_bytes

if TYPE_CHECKING:
    from flwr.app import ArrayRecord, Message, RecordDict

__all__ = ["UNLEARN_MAX", "digest_of", "is_training", "only_arrays", "record_of", "require_flower", "tensors_of"]

UNLEARN_MAX = "train.unlearn_max"
"""Type of the messages of the max phase; a client answers them with `@app.train("unlearn_max")`."""


def require_flower() -> None:
    """Raise unless Flower is there.

    Raises:
        UnlearningError: `unlearning.flower`, it is not installed.
    """
    if find_spec("flwr") is None:
        raise UnlearningError("unlearning.flower", "Flower is not installed", "Run: pip install fedaudit[flower]")


def tensors_of(record: "ArrayRecord") -> dict[str, Tensor]:
    """Return an array record as a state dict.

    Raises:
        UnlearningError: `unlearning.arrays`, an array is not one of numbers as Flower writes them.
    """
    try:
        return {name: torch.from_numpy(array.numpy()) for name, array in record.items()}
    except (TypeError, ValueError) as error:
        told = f"an array record holds something else than numbers: {error}"
        mend = "Send a state dict: ArrayRecord(model.state_dict())."
        raise UnlearningError("unlearning.arrays", told, mend) from error


def record_of(tensors: Mapping[str, Tensor]) -> "ArrayRecord":
    """Return a state dict as an array record, in the same order."""
    from flwr.app import ArrayRecord

    return ArrayRecord({name: tensor.detach().cpu() for name, tensor in tensors.items()})


def digest_of(record: "ArrayRecord") -> str:
    """Return the SHA-256 of a model as its safetensors file; of arrays that are no numbers, that of what they are."""
    try:
        return hashlib.sha256(tensor_bytes(tensors_of(record))).hexdigest()
    except UnlearningError:  # masked, compressed or encrypted: no state dict, and the bytes are all there is
        told = hashlib.sha256()
        for name, array in sorted(record.items()):
            told.update(f"{name}/{array.dtype}/{array.shape}/{array.stype}/{len(array.data)}/".encode())
            told.update(array.data)
        return told.hexdigest()


def only_arrays(content: "RecordDict") -> "tuple[str, ArrayRecord]":
    """Return the one array record of a message, and its name.

    Raises:
        UnlearningError: `unlearning.arrays`, there is none, or more than one.
    """
    found = list(content.array_records.items())
    if len(found) != 1:
        told = f"a message of {len(found)} array records holds no model, or more than one"
        raise UnlearningError("unlearning.arrays", told, "Send one array record, the model's state dict.")
    return found[0]


def is_training(message: "Message") -> bool:
    """Tell whether a message asks for training, of whatever action."""
    return message.metadata.message_type.partition(".")[0] == "train"
