"""A bundle in a zip, read in place: its members are its files, inflated piece by piece and never written anywhere."""

import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import FileIO, RawIOBase
from pathlib import Path
from typing import TYPE_CHECKING

from reports.bundle_files import Content
from reports.digests import PIECE
from reports.errors import BundleError
from reports.regular import KIND_WORDS, open_regular
from reports.zip_directory import STORED, Member, read_members

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_HINT = "Fetch the zip again, or pack the folder again."


@dataclass(frozen=True)
class ZipFiles:
    """The files of a bundle that is a zip."""

    path: Path
    """The zip."""
    members: Mapping[str, Member] = field(repr=False)
    """Its files by place."""
    folders: Mapping[str, Mapping[str, str]] = field(repr=False)
    """Its folders by place: the names in them, each with its kind."""
    state: tuple[int, ...] = field(repr=False)
    """Device, number, size and time of the file that was read; another file under its name is refused."""

    def kind(self, place: str) -> str:
        """Return `file`, `folder` or `missing`: a zip with anything else in it was refused."""
        if place in self.members:
            return "file"
        return "folder" if place in self.folders else "missing"

    def entries(self, place: str) -> Mapping[str, str]:
        """Return the names in a folder, each with its kind."""
        return self.folders.get(place, {})

    def open(self, place: str) -> Content:
        """Open a member; what it holds is held to its size and to its CRC-32 while it is read."""
        member = self.members.get(place)
        if member is None:
            kind = self.kind(place)
            raise BundleError(f"file.{kind}", f"{place} in {self.path} is {KIND_WORDS[kind]}")
        file = open_regular(self.path.resolve())
        if _state(file) != self.state:
            file.close()
            raise BundleError("bundle.changed", f"{self.path} changed while it was read", "Try again.")
        file.seek(member.start)
        return Content(MemberFile(file, member), member.size)


def read_zip(path: Path, file: FileIO) -> ZipFiles:
    """Return the files of the zip that `file` has open under `path`.

    Raises:
        BundleError: as `reports.zip_directory.read_members`.
    """
    state = _state(file)
    members: dict[str, Member] = {}
    folders: dict[str, dict[str, str]] = {".": {}}
    for member in read_members(file, os.fstat(file.fileno()).st_size):
        place = member.name.removesuffix("/")
        if place == member.name:
            members[place] = member
        else:
            folders.setdefault(place, {})
        kind = "file" if place in members else "folder"
        while place:
            above, _, name = place.rpartition("/")
            folders.setdefault(above or ".", {})[name] = kind
            place, kind = above, "folder"
    return ZipFiles(path, members, folders, state)


class MemberFile(RawIOBase):
    """The content of one member, inflated as it is read: it gives its size, no byte more, or refuses.

    Args:
        file: the zip, at the start of the member's data; closed with this.
        member: what the directory says of it.
    """

    def __init__(self, file: FileIO, member: Member) -> None:
        self._file, self._member = file, member
        self._packed, self._left = member.packed, member.size
        self._crc = 0
        self._inflate = None if member.method == STORED else zlib.decompressobj(-zlib.MAX_WBITS)
        self._checked = False

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def close(self) -> None:
        """Close the zip as well."""
        self._file.close()
        super().close()

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Fill `buffer` as far as the member goes; 0 at its end, once all of it was what the directory says.

        Raises:
            BundleError: `zip.member`, it is cut off, cannot be inflated or has another CRC-32; `zip.ratio`, it goes on
                behind its size.
        """
        view = memoryview(buffer).cast("B")[: self._left]
        data = self._piece(len(view)) if len(view) else b""
        view[: len(data)] = data
        self._left -= len(data)
        self._crc = zlib.crc32(data, self._crc)
        if len(view) and not data:
            raise self._broken("is shorter than its size")
        if not self._left and not self._checked:
            self._require_end()
        return len(data)

    def _piece(self, wanted: int) -> bytes:
        """Return at least one and at most `wanted` bytes of content; none at the end of the data."""
        if self._inflate is None:
            return self._raw(wanted)
        try:
            while not self._inflate.eof:
                packed = self._inflate.unconsumed_tail or self._raw(PIECE)
                if data := self._inflate.decompress(packed, wanted):
                    return data
                if not packed:
                    break
        except zlib.error as error:
            raise self._broken("cannot be inflated") from error
        return b""

    def _raw(self, wanted: int) -> bytes:
        data = self._file.read(min(wanted, self._packed)) if self._packed else b""
        self._packed -= len(data)
        return data

    def _require_end(self) -> None:
        self._checked = True
        if self._inflate is not None:
            if self._piece(1):
                raise BundleError("zip.ratio", f"the member {self._member.name!r} holds more than it says", _HINT)
            if not self._inflate.eof or self._inflate.unused_data or self._packed:
                raise self._broken("does not end where its data ends")
        if self._crc != self._member.crc:
            raise self._broken("has other content than its CRC-32")

    def _broken(self, how: str) -> BundleError:
        return BundleError("zip.member", f"the member {self._member.name!r} {how}", _HINT)


def _state(file: FileIO) -> tuple[int, ...]:
    told = os.fstat(file.fileno())
    return told.st_dev, told.st_ino, told.st_size, told.st_mtime_ns
