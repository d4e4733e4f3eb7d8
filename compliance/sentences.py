"""Where the sentences of a document begin and end, in Markdown or in plain text.

A heading, a list item, a table row, a line of a code block and a paragraph are blocks; a sentence never leaves its
block. A semicolon ends a sentence: what stands behind it is said apart.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

_HEADING = re.compile(r"[ ]{0,3}#{1,6}[ \t]")
_FENCE = re.compile(r"[ ]{0,3}(```|~~~)")
_ITEM = re.compile(r"[ \t]*(?:[-*+•]|\d{1,3}[.)]|\([a-z0-9]{1,3}\))[ \t]+")
_ROW = re.compile(r"[ \t]*\|.*\|[ \t]*$")
_RULE = re.compile(r"[ \t]*(?:[-=_*][ \t]*){3,}$")
_END = re.compile(r"[.!?][\"'”’)\]*_`]{0,3}(?=\s+[\"'“‘(\[*_`]{0,3}[A-ZÀ-Þ0-9(])|;")
_ABBREVIATION = re.compile(
    r"\b(?:e\.g|i\.e|cf|vs|etc|approx|resp|art|arts|no|nos|sec|fig|tab|eq|para|al|dr|prof|mr|ms|st|ltd|inc|max|min|[A-Z])\.$",
    re.IGNORECASE,
)
LONGEST = 4_000
"""Characters; a longer stretch without an end is cut, so that no pattern meets more at once."""


class Sentence(NamedTuple):
    """One sentence, without the space around it."""

    start: int
    end: int
    heading: str
    """The text of the nearest heading above, empty where there is none."""


def sentences(text: str) -> Iterator[Sentence]:
    """Yield the sentences of `text` in their order; offsets are those of `text`."""
    heading = ""
    for start, end, is_heading in _blocks(text):
        if is_heading:
            heading = text[start:end].strip("# \t\n")
        for first, last in _split(text, start, end):
            yield Sentence(first, last, "" if is_heading else heading)


def _blocks(text: str) -> Iterator[tuple[int, int, bool]]:
    """Yield (start, end, whether it is a heading) of what stands together."""
    opened: int | None = None
    fenced, place = False, 0
    for line in text.splitlines(keepends=True):
        start, place = place, place + len(line)
        alone = _HEADING.match(line) or _ROW.match(line) or fenced or _RULE.match(line) or not line.strip()
        fence = _FENCE.match(line)
        if (alone or fence or _ITEM.match(line)) and opened is not None:
            yield opened, start, False
            opened = None
        if fence:
            fenced = not fenced
        elif alone:
            if line.strip():
                yield start, place, _HEADING.match(line) is not None and not fenced
        elif opened is None:
            opened = start
    if opened is not None:
        yield opened, len(text), False


def _split(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    first = start
    for found in _END.finditer(text, start, end):
        if found[0] != ";" and _ABBREVIATION.search(text, max(first, found.start() - 8), found.start() + 1):
            continue
        yield from _trimmed(text, first, found.end())
        first = found.end()
    yield from _trimmed(text, first, end)


def _trimmed(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    for first in range(start, end, LONGEST):
        yield first, min(first + LONGEST, end)
