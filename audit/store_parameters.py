"""The digest of what a trial was given, so that a kept result is never taken for that of another question.

Numbers, text, arrays, tensors, models (by their weights), dataclasses and what they hold are digested by content. What
is left, such as a function, counts by its name alone: everything a trial knows follows from the system, the options and
the seed, and these a run store is bound to as a whole (`audit.store_binding`).
"""

import dataclasses
import enum
import functools
import hashlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import nn

DEEPEST = 40


class ParameterDigests:
    """Digests the trials of one call, what they share only once; they must outlive it, and stay as they are."""

    def __init__(self) -> None:
        self._large: dict[int, bytes] = {}

    def digest(self, value: object) -> str:
        """Return the SHA-256 of a value's content, 64 hexadecimal digits."""
        told = hashlib.sha256()
        self._tell(told.update, value, 0)
        return told.hexdigest()

    def _tell(self, tell: Callable[[bytes], None], value: object, depth: int) -> None:
        kind = type(value)
        name = f"{kind.__module__}:{kind.__qualname__}"
        if value is None or kind in (bool, int, float, str, bytes):
            text = value if isinstance(value, bytes) else repr(value).encode("utf-8", "backslashreplace")
            tell(b"%b %d %b" % (kind.__name__.encode(), len(text), text))
        elif isinstance(value, np.ndarray | np.generic) or (kind.__module__ == "torch" and hasattr(value, "layout")):
            tell(self._once(value, self._of_numbers))
        elif kind.__module__.startswith("torch.nn.") or hasattr(value, "state_dict"):
            tell(self._once(value, self._of_model))
        elif depth > DEEPEST:
            tell(name.encode())
        else:
            parts = _parts(value)
            tell(f"{name} {len(parts)}".encode())
            for part in parts:
                self._tell(tell, part, depth + 1)

    def _once(self, value: object, digest: Callable[[Any], bytes]) -> bytes:
        if id(value) not in self._large:
            self._large[id(value)] = digest(value)
        return self._large[id(value)]

    def _of_numbers(self, value: "np.ndarray[Any, Any] | np.generic[Any] | torch.Tensor") -> bytes:
        if isinstance(value, np.ndarray | np.generic):
            array, kind = np.ascontiguousarray(value), value.dtype.str
            if array.dtype.hasobject:
                return repr([array.shape, array.tolist()]).encode("utf-8", "backslashreplace")
        else:
            kind = str(value.dtype)
            array = _bytes_of(value)
        told = hashlib.sha256(f"{kind} {tuple(value.shape)}".encode())
        told.update(array.reshape(-1).view(np.uint8).data)
        return told.digest()

    def _of_model(self, value: "nn.Module") -> bytes:
        told = hashlib.sha256(f"{type(value).__module__}:{type(value).__qualname__} {value}".encode())
        for name, tensor in value.state_dict().items():
            told.update(name.encode() + self._of_numbers(tensor))
        return told.digest()


def _parts(value: object) -> list[object]:
    """Return what a value is made of; nothing of a function but its name."""
    if isinstance(value, list | tuple):
        return list(value)
    if isinstance(value, Mapping):
        return [part for pair in value.items() for part in pair]
    if isinstance(value, set | frozenset):
        return [*sorted(map(repr, value))]  # the order of a set is no part of it
    if isinstance(value, enum.Enum):
        return [value.name]
    if isinstance(value, functools.partial):
        return [value.func, value.args, value.keywords]
    if isinstance(value, type) or (callable(value) and hasattr(value, "__qualname__")):
        return [f"{value.__module__}:{value.__qualname__}"]
    if type(value).__module__ == "torch":
        return [str(value)]  # a format or a device
    if dataclasses.is_dataclass(value):
        return [part for one in dataclasses.fields(value) for part in (one.name, getattr(value, one.name))]
    return [part for pair in getattr(value, "__dict__", {}).items() for part in pair]


def _bytes_of(tensor: "torch.Tensor") -> "np.ndarray[Any, Any]":
    import torch

    plain = tensor.detach().resolve_conj().resolve_neg()
    dense = (plain.to_dense() if plain.layout != torch.strided else plain).cpu().contiguous()
    if not dense.numel():
        return np.empty(0, np.uint8)
    return np.asarray(dense.reshape(-1).view(torch.uint8).numpy())
