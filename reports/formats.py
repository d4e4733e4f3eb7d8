"""What may not come in: formats that can run code when they are opened, told by suffix and by magic bytes.

Nothing of ours ever unpickles, so this is the second lock, not the first: it turns a file that would be unreadable
into one sentence that says why. A crafted `.pt2` runs code even under `weights_only=True`, since
`torch/_export/serde/serialize.py` falls back to `weights_only=False`.
"""

import os
import pickletools
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from reports.errors import FileError

_PICKLED = frozenset(
    {".pt", ".pth", ".bin", ".pkl", ".pickle", ".pt2", ".ptl", ".pts", ".ckpt", ".joblib", ".dill", ".torchscript"}
)
_CARRIERS = frozenset({".h5", ".hdf5", ".keras", ".pb"})
"""Keras and TensorFlow files: no pickle, but Lambda layers and graph operators that run."""
_COMPRESSED = frozenset({".gz", ".bz2", ".xz", ".lzma", ".zst", ".lz4", ".z"})
_MEMBERS = (_PICKLED | _CARRIERS | {".so", ".py", ".debug_pkl"}) - {".bin"}
"""Suffixes inside a zip archive. Office documents hold `.bin` parts that are not pickles."""
_MEMBER_NAMES = frozenset({"archive_format", "serialized_exported_program.json", "serialized_state_dict.json"})
_OPCODES = frozenset(ord(opcode.code) for opcode in pickletools.opcodes)
_HDF5 = b"\x89HDF\r\n\x1a\n"


class RefusedFormat(FileError):  # noqa: N818  the name says what the file is
    """The file is of a format that can run code, and was not opened."""


class BrokenFile(FileError):  # noqa: N818  the name says what the file is
    """The file cannot be read as what its suffix says."""


def broken(path: Path, problem: str, mend: str = "") -> BrokenFile:
    """Return the error that `path` cannot be read; it names the file alone, since reports hold no absolute path."""
    return BrokenFile("file.broken", f"cannot read {path.name}: {problem}", mend)


def refused(path: Path, known_by: str) -> RefusedFormat:
    """Return the error that `path` was refused, with what gave it away."""
    message = f"refused: {path.name} is a pickle-based format that can run code; save it as safetensors"
    mend = f"Known by {known_by}. Write it with safetensors.torch.save_file, arrays with numpy.savez."
    return RefusedFormat("file.refused", message, mend)


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Give the file's bytes for the length of a `with`.

    Raises:
        BrokenFile: the system refuses to open or to read it.
    """
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise broken(path, error.strerror or "it cannot be read") from error


def regular_files(path: Path) -> Iterator[Path]:
    """Yield `path` itself, or all files below it in the order of their names.

    Raises:
        BrokenFile: something there is neither file nor folder (opening a FIFO would wait for ever), or is not there.
    """
    if path.is_file():
        yield path
    elif not path.is_dir():
        raise broken(path, "it is no regular file" if path.exists() else "there is no such file")
    else:
        for folder, names, files in os.walk(path):
            names.sort()
            for name in sorted(files):
                yield from regular_files(Path(folder, name))


def refuse_format(file: Path) -> None:
    """Raise if a file is of a format that can run code, by its suffix, its first bytes, or the members of its zip.

    Protocols 0 and 1 of pickle have no magic bytes: under a harmless suffix such a file is only unreadable.

    Raises:
        RefusedFormat: it is one of those.
        BrokenFile: it cannot be opened.
    """
    suffixes = [suffix.lower() for suffix in file.suffixes]
    if suffixes and suffixes[-1] in _COMPRESSED:
        suffixes.pop()
    if suffixes and suffixes[-1] in _PICKLED:
        raise refused(file, f"its suffix {suffixes[-1]}")
    with opened(file) as content:
        start = content.read(16)
    if start.startswith(_HDF5) or (suffixes and suffixes[-1] in _CARRIERS):
        message = f"refused: {file.name} is a Keras, HDF5 or TensorFlow file, which can carry code"
        raise RefusedFormat("file.refused", message, "Save its weights as safetensors.")
    if _is_pickle(start):
        raise refused(file, "the first bytes of a pickle")
    if start.startswith(b"PK") and (member := _unsafe_member(file)):
        raise refused(file, f"the member {member!r} of the archive")


def _is_pickle(start: bytes) -> bool:
    """Tell a pickle of protocol 2 or later from a safetensors header whose length happens to begin alike."""
    if len(start) < 3 or start[0] != 0x80 or start[1] > 5 or start[2] not in _OPCODES:
        return False
    return not (start[4:8] == bytes(4) and start[8:9] == b"{")


def _unsafe_member(file: Path) -> str | None:
    """Return the first member by which a zip is known as the work of torch, joblib or Keras."""
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError):
        return None  # no archive: whoever reads it by its suffix will say so
    for name in names:
        member = PurePosixPath(name)
        if member.suffix.lower() in _MEMBERS or member.name in _MEMBER_NAMES:
            return name
    return None
