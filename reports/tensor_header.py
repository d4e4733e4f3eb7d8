"""The header of a safetensors file, read by hand before any library sees the file.

A header is a promise about bytes. Every promise is checked against the size of the file: length, offsets that follow
one another without gap or overlap, and shape times width of the number format. Nothing of torch is imported.

Source: https://github.com/huggingface/safetensors, section Format.
"""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reports.canonical import strict_json
from reports.errors import ReportError
from reports.formats import broken, opened
from reports.nouns import printable

MAX_HEADER = 16 << 20
"""Bytes of a header: 100,000 tensors fit."""
MAX_DIMENSIONS = 64
_WIDTHS = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 1),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 2),
    **dict.fromkeys(("U32", "I32", "F32"), 4),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 8),
}


@dataclass(frozen=True)
class TensorEntry:
    """What a header says of one tensor."""

    dtype: str
    """The format's own word, such as `F32` or `BF16`."""
    shape: tuple[int, ...]
    """Empty for a single number."""
    begin: int
    """First byte, counted from the end of the header."""
    end: int
    """The byte after the last."""


def read_tensor_header(path: Path) -> dict[str, TensorEntry]:
    """Return the tensors that a safetensors file holds, by name; the header is read, the tensors are not.

    Raises:
        BrokenFile: the file cannot be read, or the header promises what the file does not hold.
    """
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > size - 8:
            raise broken(path, f"header says it is {length} bytes long, the file has {size}")
        if length > MAX_HEADER:
            raise broken(path, f"header says it is {length} bytes long, more than {MAX_HEADER}")
        header = file.read(length)
    return _entries(path, header, size - 8 - length)


def _entries(path: Path, header: bytes, size: int) -> dict[str, TensorEntry]:
    try:
        table = strict_json(header)
    except ReportError as error:
        raise broken(path, f"the header is no JSON object; {error.message}") from error
    if not isinstance(table, dict) or not header.startswith(b"{"):
        raise broken(path, "the header is no JSON object")
    metadata = table.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise broken(path, "the header's __metadata__ holds more than text")
    entries = {name: _entry(path, name, said) for name, said in table.items()}
    _check_offsets(path, entries, size)
    return entries


def _entry(path: Path, name: str, said: object) -> TensorEntry:
    try:
        printable(name)
    except ValueError as error:
        raise broken(path, f"the name of a tensor {error}") from error
    if not isinstance(said, dict) or set(said) != {"dtype", "shape", "data_offsets"}:
        raise broken(path, f"header says of tensor {name!r} other things than dtype, shape and data_offsets")
    dtype, shape, offsets = said["dtype"], said["shape"], said["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _WIDTHS:
        raise broken(path, f"header says tensor {name!r} holds {dtype!r}, which is no known number format")
    if not _sizes(shape) or not _sizes(offsets) or len(shape) > MAX_DIMENSIONS or len(offsets) != 2:
        raise broken(path, f"header says tensor {name!r} has shape {shape!r} and offsets {offsets!r}")
    width = math.prod(shape) * _WIDTHS[dtype]
    if offsets[1] - offsets[0] != width:
        held = f"{offsets[1] - offsets[0]} bytes, {dtype} of shape {shape} takes {width}"
        raise broken(path, f"header says tensor {name!r} has {held}")
    return TensorEntry(dtype, tuple(shape), offsets[0], offsets[1])


def _sizes(value: object) -> bool:
    """Tell whether a value is a list of integers from zero; `True` is an int to Python, and 1.0 equals 1."""
    return isinstance(value, list) and all(type(one) is int and one >= 0 for one in value)


def _check_offsets(path: Path, entries: Mapping[str, TensorEntry], size: int) -> None:
    """Refuse gaps, overlaps and bytes that no tensor owns."""
    due = 0
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.begin != due:
            raise broken(path, f"header says tensor {name!r} begins at byte {entry.begin}, {due} comes next")
        due = entry.end
    if due != size:
        raise broken(path, f"header says the tensors take {due} bytes, the file holds {size}")
