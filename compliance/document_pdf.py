"""PDF, by pypdf (extra `[pdf]`): the text of each page in order; what is invisible on a page cannot be told."""

import io
import struct
import zlib

from compliance.document_text import clean_surrogates
from compliance.errors import DocumentError
from compliance.extracted import Extracted, sections_of

_LIMIT = 2_000_001
"""Characters after which reading stops: the document is refused as too large."""
_UNREADABLE = (
    ValueError, KeyError, IndexError, TypeError, AttributeError, AssertionError, RecursionError, NotImplementedError,
    OverflowError, ZeroDivisionError, EOFError, MemoryError, OSError, struct.error, zlib.error,
)  # fmt: skip
"""What pypdf raises, besides its own errors, where a file is not what it says."""


def read_pdf(name: str, data: bytes) -> Extracted:
    """Return the text of a PDF, pages apart by an empty line.

    Raises:
        DocumentError: `extra.missing`, `document.encrypted`, `document.broken`, or `document.no_text` where no page
            holds any text, as in a scan.
    """
    try:
        from pypdf import PdfReader
        from pypdf.errors import DependencyError, DeprecationError, PyPdfError
    except ImportError as error:
        message = f"{name}: reading PDF needs the extra [pdf]"
        raise DocumentError("extra.missing", message, "Install fedaudit[pdf], or give the text as .md.") from error
    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted:
            message = f"{name}: the PDF is encrypted"
            raise DocumentError("document.encrypted", message, "Save it without a password.")
        parts, pages, length, not_read = [], [], 0, 0
        for page in reader.pages:
            text = clean_surrogates((page.extract_text() or "").replace("\f", "\n").strip())
            not_read += not text
            pages.append(length)
            parts.append(text + "\n\n" if text else "")
            length += len(parts[-1])
            if length > _LIMIT:
                break
    except (PyPdfError, DependencyError, DeprecationError, *_UNREADABLE) as error:
        message = f"{name}: not a PDF that can be read ({type(error).__name__})"
        raise DocumentError("document.broken", message, "Save it anew, or give its text as .md.") from error
    text = "".join(parts).rstrip()
    if not text:
        message = f"{name}: none of its {len(pages)} pages holds text"
        raise DocumentError("document.no_text", message, "Recognise the text of the scan first, or give it as .md.")
    starts = tuple(min(start, len(text)) for start in pages)
    return Extracted(text, sections_of(text, ()), (), starts, not_read)
