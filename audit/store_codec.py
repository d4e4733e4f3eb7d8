"""Results of trials as canonical JSON and npz: what comes back is what went in, bit for bit, and nothing in it runs.

Held are None, truth values, whole numbers, floats (by their bits: -0.0 and NaN stay what they are), text, bytes, lists,
tuples, dicts, members of enums, frozen dataclasses, NumPy's arrays and numbers, and torch's dense tensors on the CPU.
Everything else is `NotStorable`: the run goes on and computes it again when it is resumed. Classes are found by name
among modules that are loaded already, in packages that the caller names; they are built without running their code.
"""

import base64
import dataclasses
import enum
import io
import math
import re
import struct
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from reports.artifacts import read_npz
from reports.canonical import canonical_json, strict_json
from reports.errors import FedauditError, ReportError

if TYPE_CHECKING:
    from torch import Tensor

INLINE_BYTES = 1 << 16
"""Bytes of an array that stands in the JSON; a larger one is a file."""
DEEPEST = 60
_LARGEST_INTEGER = 2**53 - 1
_DTYPE = re.compile(r"[<>|](?:[biufc]\d{1,2}|[SU]\d{1,9}|[mM]8(?:\[\w{1,10}\])?)")
_TENSORS = {
    "bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64", "complex64",
    "complex128",
}  # fmt: skip
_PLAIN = frozenset({type(None), bool, str})
_UNREADABLE = (
    FedauditError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError, MemoryError,
    OSError,
)  # fmt: skip
"""What reading raises on what it did not write; torch's own among them."""


class NotStorableError(Exception):
    """A result that is not one of the things above; it is computed again instead."""


class UnreadableError(Exception):
    """What was kept is no result of ours: cut, edited, or of a class that is not there."""


@dataclass(frozen=True)
class Codec:
    """Writes results and reads them again."""

    packages: Collection[str]
    """Top-level packages whose dataclasses and enums may come back."""
    keep: Callable[[bytes], str]
    """Keeps an npz and returns its SHA-256."""
    fetch: Callable[[str], Path]
    """Returns where the npz of a SHA-256 lies."""

    def encode(self, result: object) -> bytes:
        """Return a result as JSON; large arrays are handed to `keep`.

        Raises:
            NotStorableError: it is nothing that would come back as it is.
        """
        try:
            return canonical_json(_Writer(self).written(result, 0))
        except ReportError as error:
            raise NotStorableError(str(error)) from error

    def decode(self, data: bytes) -> Any:
        """Return what `encode` was given.

        Raises:
            UnreadableError: nothing that it wrote.
        """
        try:
            return _Reader(self).read(strict_json(data))
        except _UNREADABLE as error:
            raise UnreadableError(f"a kept result cannot be read: {error}") from error

    def class_named(self, name: str) -> type:
        """Return the class `module:Qualified.Name`, where its module is loaded and may be named.

        Raises:
            LookupError: there is none such.
        """
        module, _, path = name.partition(":")
        members: Mapping[str, Any] = vars(sys.modules[module]) if module.partition(".")[0] in self.packages else {}
        for part in path.split("."):
            if not isinstance(found := members[part], type):
                break
            members = vars(found)
        if not isinstance(found, type) or _name_of(found) != name:
            raise LookupError(f"there is no class {name[:100]!r}")
        return found


@dataclass
class _Writer:
    codec: Codec

    def written(self, value: object, depth: int) -> object:
        """Return a value as JSON: plain things as themselves, all others in an object of one or two members."""
        kind = type(value)
        if kind in _PLAIN or (kind is int and -_LARGEST_INTEGER <= value <= _LARGEST_INTEGER):  # type: ignore[operator]
            return value
        if depth > DEEPEST:
            raise NotStorableError("it is nested too deeply")
        if (write := _WRITERS.get(kind)) is not None:
            return write(self, value, depth + 3)
        if isinstance(value, np.generic):
            return {"scalar": self.array(np.asarray(value))}
        if isinstance(value, enum.Enum) and value.name in type(value).__members__:
            return {"enum": self.class_of(value), "name": value.name}
        if dataclasses.is_dataclass(value):
            return self.members(value, depth)
        if kind.__module__ == "torch" and kind.__name__ == "Tensor":
            return self.tensor(value)  # type: ignore[arg-type]
        raise NotStorableError(f"a {kind.__name__} is not kept")

    def items(self, value: list[Any], depth: int) -> object:
        """Return a list."""
        return [self.written(one, depth) for one in value]

    def members(self, value: Any, depth: int) -> object:
        """Return a frozen dataclass: its fields, and nothing that was computed from them."""
        fields = dataclasses.fields(value)
        if not value.__dataclass_params__.frozen or any(
            not dataclasses.is_dataclass(base) and base.__module__ not in ("builtins", "typing")
            for base in type(value).__mro__
        ):
            raise NotStorableError(f"a {type(value).__name__} can change, or is more than its fields")
        told = {one.name: self.written(getattr(value, one.name), depth + 3) for one in fields}
        return {"object": self.class_of(value), "fields": told}

    def class_of(self, value: object) -> str:
        """Return the name of a class that reading will find."""
        name = _name_of(type(value))
        try:
            self.codec.class_named(name)
        except LookupError as error:
            raise NotStorableError(str(error)) from error
        return name

    def array(self, value: "np.ndarray[Any, Any]") -> dict[str, object]:
        """Return an array in rows, or in columns where it lies so: sums over it then add up in the same order."""
        if not _DTYPE.fullmatch(value.dtype.str):
            raise NotStorableError(f"numbers of the format {value.dtype.str} are not kept")
        order: Literal["C", "F"] = "F" if value.flags.f_contiguous and not value.flags.c_contiguous else "C"
        if value.nbytes > INLINE_BYTES:
            packed = io.BytesIO()
            np.savez(packed, allow_pickle=False, array=np.asarray(value, order=order))
            return {"npz": self.codec.keep(packed.getvalue())}
        data = base64.b64encode(value.tobytes(order)).decode("ascii")
        return {"dtype": value.dtype.str, "shape": list(value.shape), "order": order, "data": data}

    def tensor(self, value: "Tensor") -> object:
        """Return a tensor in rows."""
        import torch

        name = str(value.dtype).removeprefix("torch.")
        dense = value.layout == torch.strided and value.device.type == "cpu" and not value.is_quantized
        if not dense or value.requires_grad or name not in _TENSORS or value.is_conj() or value.is_neg():
            raise NotStorableError("a tensor that is not plain is not kept")
        flat = value.contiguous().reshape(-1).view(torch.uint8) if value.numel() else torch.empty(0, dtype=torch.uint8)
        return {"tensor": name, "shape": list(value.shape), "bits": self.array(flat.numpy())}


_WRITERS: dict[type, Callable[[_Writer, Any, int], object]] = {
    int: lambda _, value, __: {"int": hex(value)} if value.bit_length() < 120 else _too_large(),
    float: lambda _, value, __: {"float": struct.pack(">d", value).hex()},
    bytes: lambda _, value, __: {"bytes": base64.b64encode(value).decode("ascii")},
    list: _Writer.items,
    tuple: lambda writer, value, depth: {"tuple": writer.items(value, depth)},
    dict: lambda writer, value, depth: {"dict": [writer.items(pair, depth) for pair in value.items()]},
    np.ndarray: lambda writer, value, __: {"array": writer.array(value)},
}


def _too_large() -> object:
    raise NotStorableError("a whole number of more than 120 bits is not kept")


@dataclass(frozen=True)
class _Reader:
    codec: Codec

    def read(self, told: object) -> object:
        """Return the value that a piece of JSON stands for."""
        if isinstance(told, list):
            return [self.read(one) for one in told]
        if isinstance(told, float):
            raise ValueError("a float is written by its bits")
        if not isinstance(told, dict):
            return told
        for word, read in _READERS.items():
            if word in told:
                return read(self, told)
        raise LookupError("an object of no known kind")

    def array(self, told: dict[str, Any]) -> Any:
        """Return an array in memory of its own."""
        if "npz" in told:
            return read_npz(self.codec.fetch(told["npz"]), required=["array"])["array"]
        if not _DTYPE.fullmatch(told["dtype"]) or told["order"] not in ("C", "F"):
            raise ValueError("no such format of numbers")
        flat = np.frombuffer(base64.b64decode(told["data"], validate=True), np.dtype(told["dtype"]))
        return flat.reshape(told["shape"], order=told["order"]).copy(told["order"])

    def tensor(self, told: dict[str, Any]) -> "Tensor":
        """Return a tensor in memory of its own."""
        import torch

        if told["tensor"] not in _TENSORS:
            raise ValueError("no such format of tensors")
        dtype, shape = getattr(torch, told["tensor"]), told["shape"]
        if not math.prod(shape):
            return torch.empty(shape, dtype=dtype)
        flat = torch.from_numpy(self.array(told["bits"]))
        return flat.view(torch.uint8).view(dtype).reshape(shape).clone()

    def enumerated(self, told: dict[str, Any]) -> object:
        """Return a member of an enum."""
        kind = self.codec.class_named(told["enum"])
        if not issubclass(kind, enum.Enum):
            raise LookupError(f"{told['enum'][:100]!r} is no enum")
        return kind[told["name"]]

    def built(self, told: dict[str, Any]) -> object:
        """Return a frozen dataclass, its fields set and none of its code run."""
        kind = self.codec.class_named(told["object"])
        if not dataclasses.is_dataclass(kind) or not kind.__dataclass_params__.frozen:  # type: ignore[attr-defined]
            raise LookupError(f"{told['object'][:100]!r} is no frozen dataclass")
        names = [one.name for one in dataclasses.fields(kind)]
        if sorted(names) != sorted(told["fields"]):
            raise ValueError(f"{told['object'][:100]!r} has other fields")
        made = object.__new__(kind)
        for name in names:
            object.__setattr__(made, name, self.read(told["fields"][name]))
        return made


_READERS: dict[str, Callable[[_Reader, dict[str, Any]], object]] = {
    "float": lambda _, told: struct.unpack(">d", bytes.fromhex(told["float"]))[0],
    "object": _Reader.built,
    "tuple": lambda reader, told: tuple(map(reader.read, told["tuple"])),
    "dict": lambda reader, told: {reader.read(name): reader.read(value) for name, value in told["dict"]},
    "array": lambda reader, told: reader.array(told["array"]),
    "tensor": _Reader.tensor,
    "enum": _Reader.enumerated,
    "scalar": lambda reader, told: reader.array(told["scalar"])[()],
    "int": lambda _, told: int(told["int"], 16),
    "bytes": lambda _, told: base64.b64decode(told["bytes"], validate=True),
}


def _name_of(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"
