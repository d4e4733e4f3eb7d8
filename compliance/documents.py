"""Documents of a system: one text with a digest, what was concealed in it, and what was not read.

    bytes ──reader of the media type──▶ text, sections, concealed, pages ──scan──▶ flags

Every offset of this package points into the text of one `Document`, whose digest is recorded with it. What a person who
opens the file does not see is kept apart and can never be quoted.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from compliance.document_html import read_html
from compliance.document_markdown import read_markdown
from compliance.document_office import read_docx
from compliance.document_pdf import read_pdf
from compliance.document_text import read_text
from compliance.errors import DocumentError
from compliance.extracted import Extracted, Section
from compliance.scan import Concealed, Flag, scan
from reports.system import System

__all__ = [
    "MAX_BYTES",
    "MAX_CHARACTERS",
    "RESERVED_KINDS",
    "Classification",
    "Concealed",
    "Document",
    "Section",
    "documents_of",
    "load_document",
]

Classification = Literal["public", "internal", "confidential"]
RESERVED_KINDS = frozenset({"judge", "calibration", "assessment", "thresholds"})
"""Kinds of `[[documents]]` that are files of ours; all others are documents to be read."""
MAX_BYTES = 20 << 20
MAX_CHARACTERS = 2_000_000
_Reader = Callable[[str, bytes], Extracted]
_READERS: dict[str, tuple[str, _Reader]] = {
    ".md": ("text/markdown", read_markdown),
    ".markdown": ("text/markdown", read_markdown),
    ".txt": ("text/plain", read_text),
    ".html": ("text/html", read_html),
    ".htm": ("text/html", read_html),
    ".docx": ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", read_docx),
    ".pdf": ("application/pdf", read_pdf),
}


@dataclass(frozen=True)
class Document:
    """One document, as it was read."""

    path: str
    """As the system file or the command line names it."""
    sha256: str
    """Digest of the file's bytes."""
    media_type: str
    """By its suffix."""
    text: str = field(repr=False)
    """What can be quoted; offsets point here."""
    text_sha256: str
    """Digest of the text in UTF-8."""
    sections: tuple[Section, ...] = ()
    """Side by side; none of an empty document."""
    concealed: tuple[Concealed, ...] = ()
    """What a reader of the file does not see."""
    pages: tuple[int, ...] = ()
    """Offsets at which pages start; PDF alone."""
    classification: Classification = "confidential"
    """How far its words may travel."""
    not_read: int = 0
    """Parts that hold something and were not read, such as pictures."""

    @property
    def is_empty(self) -> bool:
        """Whether it says nothing at all."""
        return not self.text.strip()

    @property
    def limitations(self) -> tuple[str, ...]:
        """What a reader of the findings must know of how it was read, as sentences."""
        found = []
        if self.is_empty:
            found.append(f"{self.path} holds no text (document.empty): it shows nothing of any duty.")
        if self.not_read:
            found.append(f"{self.path}: {self.not_read} parts, such as pictures, were not read.")
        if self.media_type == "application/pdf":
            found.append(f"{self.path}: invisible text of a PDF cannot be told from visible text.")
        return tuple(found)

    def flags(self) -> tuple[Flag, ...]:
        """Return what the scan finds in the text and in what is concealed; scanned once."""
        return self._flags

    @cached_property
    def _flags(self) -> tuple[Flag, ...]:
        return scan(self.text, self.concealed)


def load_document(path: Path, *, classification: Classification = "confidential", name: str | None = None) -> Document:
    """Return the document in a file, read by its suffix: .md, .txt, .html, .docx, or .pdf with the extra `[pdf]`.

    An empty document is no error: it shows nothing.

    Args:
        path: The file, at most 20 MiB and 2,000,000 characters of text.
        classification: How far its words may travel.
        name: What it is called in answers; its file name where none is given.

    Raises:
        DocumentError: `document.missing`, `document.format`, `document.too_large`, `document.encoding`,
            `document.archive`, `document.encrypted`, `document.broken`, `document.no_text`, or `extra.missing`.
    """
    called = path.name if name is None else name
    if path.suffix.lower() not in _READERS:
        allowed = ", ".join(_READERS)
        raise DocumentError("document.format", f"{called}: no reader for {path.suffix!r} files", f"Allowed: {allowed}.")
    media_type, read = _READERS[path.suffix.lower()]
    data = _bytes(path, called)
    found = read(called, data)
    if len(found.text) > MAX_CHARACTERS:
        message = f"{called}: its text has {len(found.text)} characters; at most {MAX_CHARACTERS} are read"
        raise DocumentError("document.too_large", message, "Split it into several documents.")
    return Document(
        path=called,
        sha256=hashlib.sha256(data).hexdigest(),
        media_type=media_type,
        text=found.text,
        text_sha256=hashlib.sha256(found.text.encode()).hexdigest(),
        sections=found.sections,
        concealed=found.concealed,
        pages=found.pages,
        classification=classification,
        not_read=found.not_read,
    )


def documents_of(system: System, folder: Path) -> tuple[Document, ...]:
    """Return every document of the system that is to be read, in the order of the system file.

    Raises:
        DocumentError: one of them cannot be read; see `load_document`.
    """
    return tuple(
        load_document(folder / one.path.path, classification=one.classification, name=str(one.path.path))
        for one in system.documents
        if one.kind not in RESERVED_KINDS
    )


def _bytes(path: Path, called: str) -> bytes:
    if not path.is_file():
        problem = "is no regular file" if path.exists() else "is not there"
        raise DocumentError("document.missing", f"{called}: the file {problem}", "Name a file that can be read.")
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        message = f"{called}: {error.strerror or 'it cannot be read'}"
        raise DocumentError("document.missing", message, "Name a file that can be read.") from error
    if len(data) > MAX_BYTES:
        message = f"{called}: larger than {MAX_BYTES >> 20} MiB"
        raise DocumentError("document.too_large", message, "Split it, or take pictures out.")
    return data
