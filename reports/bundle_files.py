"""The files of a bundle, wherever they lie: in a folder, or in a zip that is read in place and never extracted.

Places are POSIX paths below the root of the bundle, `.` is the root. Nothing here follows a link, and nothing is
written: what unpacks an archive can be led outside its folder (CVE-2025-4517); what only reads members cannot.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from io import FileIO, RawIOBase
from pathlib import Path
from typing import NamedTuple, Protocol

from reports.errors import BundleError
from reports.regular import kind_of, open_regular

_MAGIC = b"PK"


class Content(NamedTuple):
    """An open file of a bundle; who opened it closes it."""

    file: RawIOBase
    """Unbuffered."""
    size: int
    """Bytes that it has."""


class BundleFiles(Protocol):
    """What a bundle holds, by place."""

    @property
    def path(self) -> Path:
        """The folder, or the zip."""
        ...

    def kind(self, place: str) -> str:
        """Return what lies at a place, as `reports.regular.kind_of` calls it."""
        ...

    def entries(self, place: str) -> Mapping[str, str]:
        """Return the names in a folder, each with its kind; none where there is no folder."""
        ...

    def open(self, place: str) -> Content:
        """Open a plain file.

        Raises:
            BundleError: `file.` and its kind, where there is none; `zip.member`, `zip.ratio` while it is read.
            OSError: it cannot be read.
        """
        ...


@dataclass(frozen=True)
class FolderFiles:
    """The files of a bundle that is a folder."""

    path: Path
    """The folder."""

    def kind(self, place: str) -> str:
        """Return what lies at a place."""
        return kind_of(self.path / place)

    def entries(self, place: str) -> Mapping[str, str]:
        """Return the names in a folder, each with its kind."""
        folder = self.path / place
        if kind_of(folder) != "folder":
            return {}
        with os.scandir(folder) as found:
            return {entry.name: _kind(entry) for entry in found}

    def open(self, place: str) -> Content:
        """Open a plain file."""
        file = open_regular(self.path / place)
        return Content(file, os.fstat(file.fileno()).st_size)


def files_of(path: Path) -> BundleFiles:
    """Return the files of the bundle at `path`: a folder, or a zip of it; a link to either is followed.

    Raises:
        BundleError: `bundle.not_found`, there is nothing (exit 2); `bundle.missing_envelope`, a file that is no zip;
            `bundle.not_file`, a FIFO or a device; `zip.syntax`, `zip.member`, `zip.ratio`.
        OSError: it cannot be read.
    """
    if not path.exists():
        raise BundleError("bundle.not_found", f"{path}: no such folder", "Check the path.")
    if path.is_dir():
        return FolderFiles(path)
    try:
        file = open_regular(path.resolve())
    except BundleError as error:
        raise BundleError("bundle.not_file", error.message, "A bundle is a folder, or a zip of it.") from error
    with file:
        if not _is_zip(path, file):
            hint = "Give the folder that `fedaudit run` wrote, or a zip of what is in it."
            raise BundleError("bundle.missing_envelope", f"{path} is no bundle: neither a folder nor a zip", hint)
        from reports.zip_files import read_zip  # a folder, the usual case, needs nothing of it

        return read_zip(path, file)


def is_bundle(path: Path) -> bool:
    """Tell whether a path may lead to a bundle: to a folder, or to a file that is called or begins as a zip.

    Raises:
        OSError: it cannot be read.
    """
    if path.is_dir():
        return True
    if not path.is_file():
        return False
    with path.open("rb", buffering=0) as file:
        return _is_zip(path, file)


def read_content(content: Content) -> bytes:
    """Return what is in an open file, no more than the size that it had, and close it."""
    with content.file as file:
        data = bytearray(content.size)
        view, have = memoryview(data), 0
        while read := file.readinto(view[have:]):
            have += read
        return bytes(view[:have])


def _is_zip(path: Path, file: FileIO) -> bool:
    return path.suffix.lower() == ".zip" or file.read(len(_MAGIC)) == _MAGIC


def _kind(entry: "os.DirEntry[str]") -> str:
    if entry.is_symlink():
        return "symlink"
    if entry.is_dir(follow_symlinks=False):
        return "folder"
    return "file" if entry.is_file(follow_symlinks=False) else "not_file"
