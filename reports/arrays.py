"""NumPy archives (npz), read without pickle and without believing what they say about their size.

Every member is checked before it is unpacked: an `.npy` of plain numbers whose header, as it stands in the archive,
agrees with the size that the directory declares; the sum of the declared sizes keeps a limit.

Source: NEP 1 (the npy format), PKWARE APPNOTE for zip.
"""

import ast
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from reports.formats import broken, opened, refused
from reports.nouns import printable

MAX_HEADER = 10_000
"""Characters of an npy header that are given to the parser; NumPy's own limit."""
_MAGIC = b"\x93NUMPY"
_LENGTH_BYTES = {1: 2, 2: 4, 3: 4}
_PLAIN = re.compile(r"[<>=|]?[?bBhHiIlLqQucefdgFDGSUOmMV][0-9]{0,9}(\[[0-9]{0,4}[a-zA-Z]{1,2}\])?")
"""The words for one number format that NumPy writes; its parser knows many more, some with warnings."""
_UNREADABLE = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, NotImplementedError, RuntimeError, MemoryError,
    OSError,
)  # fmt: skip
"""What zipfile raises on archives that are cut, edited, encrypted or packed in a way it does not know.

OSError among them: an edited directory makes it seek to before the start.
"""


@dataclass(frozen=True)
class ArrayEntry:
    """What the header of one member says."""

    dtype: np.dtype[Any]
    """Of plain numbers, truth values or text."""
    shape: tuple[int, ...]
    """Empty for a single number."""


def refuse_objects(path: Path) -> None:
    """Raise if an npz or npy file declares an array of objects, which only a pickle can hold.

    Raises:
        RefusedFormat: it does.
    """
    with opened(path) as file:
        start = file.read(len(_MAGIC))
        file.seek(0)
        if start == _MAGIC:
            _header(path, path.name, file)
        if not start.startswith(b"PK"):
            return
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if info.filename.endswith(".npy") and not info.flag_bits & 1:
                    with archive.open(info) as member:
                        _header(path, info.filename, member)
    except _UNREADABLE:
        return  # told as broken by whoever reads it


def read_array_headers(path: Path, limit_bytes: int) -> dict[str, ArrayEntry]:
    """Return dtype and shape of every array in an npz, by name; no array is unpacked.

    Raises:
        RefusedFormat: a member holds objects.
        BrokenFile: the archive cannot be read, or declares more than `limit_bytes` in all.
    """
    with _archive(path) as archive:
        return _checked(path, archive, limit_bytes)


def read_arrays(path: Path, limit_bytes: int) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of an npz by name; errors as `read_array_headers`."""
    with _archive(path) as archive:
        arrays: dict[str, npt.NDArray[Any]] = {}
        for name in _checked(path, archive, limit_bytes):
            with archive.open(f"{name}.npy") as member:
                arrays[name] = np.lib.format.read_array(member, allow_pickle=False, max_header_size=MAX_HEADER)
                member.read(1)  # the end of the member is where zipfile compares the checksum
        return arrays


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    with opened(path) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                yield archive
        except _UNREADABLE as error:
            raise broken(path, f"it is no sound npz archive ({error})") from error


def _checked(path: Path, archive: zipfile.ZipFile, limit_bytes: int) -> dict[str, ArrayEntry]:
    entries: dict[str, ArrayEntry] = {}
    declared = sum(info.file_size for info in archive.infolist())
    if declared > limit_bytes:
        raise broken(path, f"header says it unpacks to {declared} bytes, more than the {limit_bytes} allowed")
    for info in archive.infolist():
        name = info.filename.removesuffix(".npy")
        _check_member(path, info, name in entries)
        with archive.open(info) as member:
            entry = _header(path, info.filename, member)
            expected = member.tell() + math.prod(entry.shape) * entry.dtype.itemsize
        if expected != info.file_size:
            raise broken(path, f"header says array {name!r} takes {expected} bytes, the archive {info.file_size}")
        entries[name] = entry
    return entries


def _check_member(path: Path, info: zipfile.ZipInfo, twice: bool) -> None:
    if not info.filename.endswith(".npy"):
        raise broken(path, f"it holds {info.filename!r}, which is no .npy array", "Write it with numpy.savez.")
    try:
        printable(info.filename)
    except ValueError as error:
        raise broken(path, f"the name of an array {error}") from error
    if twice:
        raise broken(path, f"it holds the array {info.filename!r} twice")
    if info.flag_bits & 1:
        raise broken(path, f"the array {info.filename!r} is encrypted")


def _header(path: Path, name: str, file: IO[bytes]) -> ArrayEntry:
    """Return what an npy header says, and leave `file` at the first byte of the data."""
    start = file.read(8)
    size = _LENGTH_BYTES.get(start[6]) if len(start) == 8 and start.startswith(_MAGIC) else None
    if size is None:
        raise broken(path, f"{name!r} does not begin as an npy array")
    length = int.from_bytes(file.read(size), "little")
    if length > MAX_HEADER:
        raise broken(path, f"header says that of {name!r} is {length} bytes long, more than {MAX_HEADER}")
    try:
        said = ast.literal_eval(file.read(length).decode("utf-8"))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise broken(path, f"the header of {name!r} is no Python literal") from error
    if not isinstance(said, dict) or set(said) != {"descr", "fortran_order", "shape"}:
        raise broken(path, f"the header of {name!r} says other things than descr, fortran_order and shape")
    return ArrayEntry(_dtype(path, name, said["descr"]), _shape(path, name, said))


def _dtype(path: Path, name: str, descr: Any) -> np.dtype[Any]:
    try:
        if isinstance(descr, str) and not _PLAIN.fullmatch(descr):
            raise ValueError(descr)
        dtype = np.lib.format.descr_to_dtype(descr)
    except (ValueError, TypeError, SyntaxError, AttributeError, IndexError, KeyError, RecursionError) as error:
        raise broken(path, f"header says array {name!r} holds {descr!r:.80}, which is no number format") from error
    if dtype.hasobject:
        raise refused(path, f"the array {name!r} of Python objects")
    if dtype.kind not in "biufcSU" or dtype.subdtype is not None:
        raise broken(path, f"header says array {name!r} holds {descr!r:.80}; plain numbers or text are read alone")
    return dtype


def _shape(path: Path, name: str, said: Mapping[str, object]) -> tuple[int, ...]:
    shape = said["shape"]
    sound = (
        isinstance(shape, tuple) and len(shape) <= 64 and all(type(one) is int and 0 <= one < 2**53 for one in shape)
    )
    if not sound or type(said["fortran_order"]) is not bool:
        raise broken(path, f"header says array {name!r} has shape {shape!r:.80}")
    return tuple(shape)  # type: ignore[arg-type]  # checked in the line above
