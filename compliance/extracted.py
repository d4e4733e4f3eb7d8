"""What a reader hands on: one text, its sections, what was concealed, where pages start, and how much was not read."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from compliance.scan import Concealed

_SPACE = re.compile(r"\s+")


@dataclass(frozen=True)
class Section:
    """A stretch of a document from one heading to the next; sections lie side by side and cover the text."""

    title: str
    """The heading; empty before the first one."""
    level: int
    """1 is the highest; 0 before the first heading."""
    start: int
    """Offset of its first character, that of the heading."""
    end: int
    """Offset after its last character."""


@dataclass(frozen=True)
class Extracted:
    """The text of a document, as its reader found it."""

    text: str
    """What can be quoted."""
    sections: tuple[Section, ...] = ()
    """In order."""
    concealed: tuple[Concealed, ...] = ()
    """What a file holds and a reader of it does not see; not part of the text."""
    pages: tuple[int, ...] = ()
    """Offsets at which pages start, of a format that has pages."""
    not_read: int = 0
    """Parts that hold something and were not read, such as pictures."""


def sections_of(text: str, headings: Sequence[tuple[int, int, str]]) -> tuple[Section, ...]:
    """Return the sections that headings (offset, level, title) cut a text into; none of an empty text."""
    if not text:
        return ()
    starts = [*headings] if headings and headings[0][0] == 0 else [(0, 0, ""), *headings]
    ends = [*(start for start, _, _ in starts[1:]), len(text)]
    return tuple(
        Section(title, level, start, end)
        for (start, level, title), end in zip(starts, ends, strict=True)
        if start < end
    )


class Writing:
    """Writes a text block by block; at most one empty line stands between two blocks."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self._tail = "\n\n"
        self._headings: list[tuple[int, int, str]] = []
        self._concealed: list[Concealed] = []
        self.not_read = 0

    def words(self, text: str) -> None:
        """Add words of the current line; white space runs become one space, as a browser shows them."""
        text = _SPACE.sub(" ", text)
        if self._tail.endswith(("\n", " ")):
            text = text.lstrip(" ")
        self._put(text)

    def exactly(self, text: str) -> None:
        """Add text whose white space counts."""
        self._put(text)

    def line(self, empty: int = 0) -> None:
        """End the current line, and leave up to `empty` lines free."""
        wanted = 1 + empty
        have = len(self._tail) - len(self._tail.rstrip("\n"))
        if have < wanted:
            self._put("\n" * (wanted - have))

    def heading(self, title: str, level: int) -> None:
        """Add a heading on a line of its own; a heading without a word is none."""
        title = _SPACE.sub(" ", title).strip()
        if title:
            self.line(1)
            self._headings.append((self._length, level, title))
            self._put(title)
            self.line(1)

    def conceal(self, kind: str, text: str) -> None:
        """Keep apart what a reader does not see at this place."""
        if text.strip():
            self._concealed.append(Concealed(kind, text, self._length))

    def finish(self) -> Extracted:
        """Return what was written, without white space at its end."""
        text = "".join(self._parts).rstrip()
        concealed = tuple(Concealed(one.kind, one.text, min(one.at, len(text))) for one in self._concealed)
        return Extracted(text, sections_of(text, self._headings), concealed, (), self.not_read)

    def _put(self, text: str) -> None:
        if text:
            self._parts.append(text)
            self._length += len(text)
            self._tail = (self._tail + text)[-2:]
