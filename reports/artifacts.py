"""The one door for files from outside: what cannot be trusted is refused or told as broken before anything is built.

    suffix, first bytes ─▶ refuse_unsafe
    header against size ─▶ check_readable
    content             ─▶ read_npz, read_tensors, read_jsonl

Two exceptions leave it, both `FileError` (exit 2), each one sentence that names the file: `RefusedFormat` for what can
run code, `BrokenFile` for what is not what it says. Digests are offered here too; they live in `reports.digests`.
"""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy.typing as npt
from pydantic import BaseModel, ValidationError

from reports.arrays import read_array_headers, read_arrays, refuse_objects
from reports.canonical import strict_json
from reports.digests import artifact_sha256, file_sha256, folder_sha256
from reports.errors import ReportError
from reports.formats import BrokenFile, RefusedFormat, broken, opened, refuse_format, regular_files
from reports.tensor_header import TensorEntry, read_tensor_header

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "BrokenFile",
    "RefusedFormat",
    "TensorEntry",
    "artifact_sha256",
    "check_readable",
    "file_sha256",
    "folder_sha256",
    "read_jsonl",
    "read_npz",
    "read_tensors",
    "refuse_unsafe",
    "tensor_entries",
]

MAX_JSON = 64 << 20
"""Bytes of a JSON file, and of one line of JSON Lines."""
MAX_UNPACKED = 1 << 32
"""Bytes that an npz may unpack to unless the caller says otherwise."""
Row = TypeVar("Row", bound=BaseModel)


def refuse_unsafe(path: Path) -> None:
    """Raise if a file, or any file in a folder, is of a format that can run code; nothing is loaded to find out.

    Refused are pickles, what torch.save, torch.jit.save and torch.export.save write, joblib, arrays of objects, Keras,
    HDF5 and TensorFlow graphs: by suffix and by magic bytes, whichever speaks first.

    Raises:
        RefusedFormat: it is one of those.
        BrokenFile: it is missing or no regular file, or its array header cannot be read.
    """
    for file in regular_files(path):
        refuse_format(file)
        refuse_objects(file)


def check_readable(path: Path) -> None:
    """Raise unless a file, or every file in a folder, is safe and is what its suffix says; headers are read alone.

    safetensors, npz, json and jsonl are checked; other suffixes are only refused where they can run code.

    Raises:
        RefusedFormat: a file can run code.
        BrokenFile: a file is missing, cut, lies about itself, or is not UTF-8 or no strict JSON.
    """
    refuse_unsafe(path)
    for file in regular_files(path):
        match file.suffix.lower():
            case ".safetensors":
                read_tensor_header(file)
            case ".npz":
                read_array_headers(file, MAX_UNPACKED)
            case ".json":
                _json(file, _content(file), "it")
            case ".jsonl":
                for number, line in _lines(file):
                    _json(file, line, f"line {number}")


def read_npz(
    path: Path, *, required: Collection[str] = (), limit_bytes: int = MAX_UNPACKED
) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of an npz file by name, in memory of their own.

    Args:
        path: The file.
        required: Names that must be there.
        limit_bytes: The most that all arrays may take unpacked.

    Raises:
        RefusedFormat: it holds Python objects.
        BrokenFile: it is missing, unsound, too large, or lacks a required array.
    """
    refuse_unsafe(path)
    arrays = read_arrays(path, limit_bytes)
    if lacking := [name for name in required if name not in arrays]:
        held = ", ".join(sorted(arrays)) or "nothing"
        raise broken(path, f"it lacks the array {lacking[0]!r}; it holds {held}", "Write it with numpy.savez.")
    return arrays


def tensor_entries(path: Path) -> dict[str, TensorEntry]:
    """Return dtype and shape of every tensor of a safetensors file, or of all such files in a folder; without torch.

    Offsets count within the tensor's own file.

    Raises:
        BrokenFile: a header cannot be believed, a folder holds none, or two files hold one tensor.
    """
    entries: dict[str, TensorEntry] = {}
    for file in _tensor_files(path):
        for name, entry in read_tensor_header(file).items():
            if name in entries:
                raise broken(path, f"the tensor {name!r} is in two of its files")
            entries[name] = entry
    return entries


def read_tensors(path: Path) -> "dict[str, Tensor]":
    """Return the tensors of a safetensors file, or of all such files in a folder, by name, on the CPU.

    The bytes are read, not mapped: what changes on the disk later does not change the tensors.

    Raises:
        RefusedFormat: the file can run code.
        BrokenFile: the file cannot be read, or its header cannot be believed.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    refuse_unsafe(path)
    tensor_entries(path)
    tensors: dict[str, Tensor] = {}
    for file in _tensor_files(path):
        with opened(file) as content:
            data = content.read()
        try:
            tensors |= load(data)
        except (SafetensorError, RuntimeError, ValueError, KeyError, AssertionError) as error:
            raise broken(file, f"it is no sound safetensors file ({error})") from error
    return tensors


def read_jsonl(path: Path, model: type[Row]) -> tuple[Row, ...]:
    """Return one `model` for each line of a JSON Lines file.

    Raises:
        RefusedFormat: the file can run code.
        BrokenFile: a line is not UTF-8, no strict JSON, empty, too long, or not what `model` describes.
    """
    refuse_unsafe(path)
    rows: list[Row] = []
    for number, line in _lines(path):
        _json(path, line, f"line {number}")
        try:
            rows.append(model.model_validate_json(line))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            raise broken(path, f"line {number}: {place}{': ' if place else ''}{first['msg']}") from error
    return tuple(rows)


def _tensor_files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(path.glob("*.safetensors"))
    if not files:
        raise broken(path, "the folder holds no .safetensors file")
    return files


def _content(path: Path) -> bytes:
    with opened(path) as file:
        content = file.read(MAX_JSON + 1)
    if len(content) > MAX_JSON:
        raise broken(path, f"it is longer than {MAX_JSON} bytes")
    return content


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with opened(path) as file:
        number = 0
        while line := file.readline(MAX_JSON + 1):
            number += 1
            if len(line) > MAX_JSON:
                raise broken(path, f"line {number} is longer than {MAX_JSON} bytes")
            yield number, line


def _json(path: Path, data: bytes, place: str) -> None:
    try:
        strict_json(data)
    except ReportError as error:
        raise broken(path, f"{place} is not JSON that every reader reads alike; {error.message}") from error
