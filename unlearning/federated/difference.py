"""What two published models tell beside each other: the change from the one before forgetting to the one after.

Who holds both holds an update of the forgotten records, made by the method instead of by a client (FUIA,
arXiv:2502.14558; arXiv:2505.11097 takes it for a proof that something was forgotten). Forgetting by ascent moves up
the gradient of those records, training moves down it, so the sign of the change says nothing of whose it is.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from safetensors.torch import save
from torch import Tensor

from unlearning.errors import ModelMismatch, UnlearningError


@dataclass(frozen=True, eq=False)
class DifferenceUpdate:
    """The change from `before` to `after`, as an update under attack."""

    tensors: dict[str, Tensor]
    """After minus before, float64, by the checkpoint's names; counters are left out."""
    base: str
    """SHA-256 of the model before as a safetensors file without metadata."""
    request_size: int
    """Records that were to be forgotten."""
    length: float
    """L2 norm of the change."""
    base_length: float
    """L2 norm of what changed, before."""
    kind: Literal["delta"] = "delta"
    """As a recorded update would be called."""

    @property
    def nothing(self) -> bool:
        """Whether the models are the same in every number that training moves."""
        return not any(bool(tensor.any()) for tensor in self.tensors.values())

    @property
    def finite(self) -> bool:
        """Whether every number of the change is finite."""
        return all(bool(tensor.isfinite().all()) for tensor in self.tensors.values())


def difference_update(before: Mapping[str, Tensor], after: Mapping[str, Tensor], request_size: int) -> DifferenceUpdate:
    """Return what turns `before` into `after`.

    The difference is taken in float64, where that of two float32 numbers is exact: a step is small beside the weights.

    Args:
        before: State dict of the model that has not forgotten.
        after: State dict of the one that is said to have.
        request_size: Records that were to be forgotten, at least one.

    Raises:
        ModelMismatch: Only one of the two holds a tensor, or it has another shape there; names the tensor.
        UnlearningError: `request_size` is below one, or no tensor holds numbers that training moves.
    """
    if request_size < 1:
        told = f"a request of {request_size} records asks for nothing to be forgotten"
        raise UnlearningError("unlearning.difference", told, "Give the number of records in the forget set.")
    for name in sorted(set(before) ^ set(after)):
        which = "before" if name in before else "after"
        told = f"only the model {which} has a tensor {name!r}"
        raise ModelMismatch("model.mismatch", told, "Give two models of one architecture.")
    moved = {name: tensor for name, tensor in before.items() if tensor.is_floating_point()}
    if not moved:
        told = "the models hold no tensor of floating-point numbers"
        raise UnlearningError("unlearning.difference", told, "Give models that were trained.")
    for name, tensor in moved.items():
        if after[name].shape != tensor.shape:
            told = f"{name!r} has shape {tuple(after[name].shape)} after, {tuple(tensor.shape)} before"
            raise ModelMismatch("model.mismatch", told, "Give two models of one architecture.")
    tensors = {name: after[name].detach().double() - tensor.detach().double() for name, tensor in moved.items()}
    return DifferenceUpdate(tensors, _digest(before), request_size, _length(tensors), _length(moved))


def _length(tensors: Mapping[str, Tensor]) -> float:
    return float(torch.stack([(tensor.detach().double() ** 2).sum() for tensor in tensors.values()]).sum().sqrt())


def _digest(model: Mapping[str, Tensor]) -> str:
    """Return the digest of the file that these tensors make; each is copied, for tied ones share their memory."""
    return hashlib.sha256(
        save({name: tensor.detach().contiguous().clone() for name, tensor in model.items()})
    ).hexdigest()
