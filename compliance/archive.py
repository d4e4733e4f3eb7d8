"""The zip of an Office document, opened as if an enemy had packed it: nothing is unpacked beyond what is allowed."""

import io
import zipfile
import zlib
from collections.abc import Callable
from xml.etree import ElementTree

from compliance.errors import DocumentError

MAX_MEMBERS = 2_000
MAX_UNPACKED = 64 << 20
MAX_RATIO = 100
"""Unpacked bytes for each packed one."""
_CHUNK = 1 << 16
_BROKEN = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError, OSError)


class _NoDoctype(ElementTree.TreeBuilder):
    """Builds a tree, and calls back at a document type: entities expand without bound, and point outside."""

    def __init__(self, refuse: Callable[[], None]) -> None:
        super().__init__()
        self._refuse = refuse

    def doctype(self, _name: str, _public: str, _system: str) -> None:
        """Refuse it."""
        self._refuse()


class Archive:
    """A zip whose members are read while they are counted."""

    def __init__(self, name: str, data: bytes) -> None:
        self.name = name
        self._unpacked = 0
        self._packed = max(1, len(data))
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except _BROKEN as error:
            raise self.refused("is no zip archive", "Save it as .docx anew.") from error
        listed = self._zip.infolist()
        if len(listed) > MAX_MEMBERS:
            raise self.refused(f"holds {len(listed)} members; at most {MAX_MEMBERS} are allowed")
        if any(member.flag_bits & 1 for member in listed):
            raise DocumentError("document.encrypted", f"{name}: it is encrypted", "Save it without a password.")
        self.members = frozenset(member.filename for member in listed)
        if len(self.members) < len(listed):
            raise self.refused("holds two members of one name")
        self._count(sum(member.file_size for member in listed))
        self._unpacked = 0

    def tree(self, member: str) -> ElementTree.Element | None:
        """Return the XML of a member, or None where there is none of that name.

        Raises:
            DocumentError: `document.archive`: too large unpacked, a document type, or no sound XML.
        """
        if member not in self.members:
            return None
        parser = ElementTree.XMLParser(target=_NoDoctype(lambda: self._refuse_doctype(member)))  # noqa: S314 - no entity passes
        try:
            with self._zip.open(member) as file:
                while chunk := file.read(_CHUNK):
                    self._count(len(chunk))
                    if b"<!ENTITY" in chunk or b"<!DOCTYPE" in chunk:
                        self._refuse_doctype(member)
                    parser.feed(chunk)
            root = parser.close()
        except ElementTree.ParseError as error:
            raise self.refused(f"{member} is no sound XML") from error
        except _BROKEN as error:
            raise self.refused(f"{member} cannot be unpacked") from error
        return root if isinstance(root, ElementTree.Element) else None

    def refused(self, problem: str, mend: str = "Save it anew from the word processor that wrote it.") -> DocumentError:
        """Return the error that this archive is not read."""
        return DocumentError("document.archive", f"{self.name}: the archive {problem}", mend)

    def _count(self, more: int) -> None:
        self._unpacked += more
        if self._unpacked > MAX_UNPACKED:
            raise self.refused(f"unpacks to more than {MAX_UNPACKED >> 20} MiB")
        if self._unpacked > MAX_RATIO * self._packed:
            raise self.refused(f"unpacks to more than {MAX_RATIO} times its size")

    def _refuse_doctype(self, member: str) -> None:
        raise self.refused(f"declares a document type in {member}, which Office documents have none of")
