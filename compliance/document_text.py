"""Plain text: UTF-8, or UTF-16 that says so by its byte order mark."""

import codecs

from compliance.errors import DocumentError
from compliance.extracted import Extracted, sections_of


def read_text(name: str, data: bytes) -> Extracted:
    """Return a plain text; it has no headings.

    Raises:
        DocumentError: `document.encoding`.
    """
    text = decoded(name, data)
    return Extracted(text, sections_of(text, ()))


def decoded(name: str, data: bytes) -> str:
    """Return bytes as text, without a byte order mark; lines end with a line feed.

    Raises:
        DocumentError: `document.encoding`, naming the first byte that is wrong.
    """
    encoding = "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        message = f"{name}: byte {error.start} is not {encoding.removesuffix('-sig').upper()}"
        raise DocumentError("document.encoding", message, "Save it as UTF-8.") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def clean_surrogates(text: str) -> str:
    """Return a text of another library with halves of surrogate pairs replaced, so that it has bytes in UTF-8."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
