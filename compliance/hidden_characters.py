"""Characters that nobody sees, each family with its innocent twin.

| family | twin that does not ring |
|---|---|
| control | tab, line feed, carriage return |
| zero-width | a joiner in an emoji or in a script that needs it; a soft hyphen between two syllables |
| bidi | Arabic or Hebrew without control characters |
| tag-characters | the flag of England, which is spelled in them |
| variation-run | one selector behind an emoji |
"""

import re
from collections.abc import Callable, Iterator

Span = tuple[int, int]
_NEAR = 16
"""Characters of one family that stand this close are one place."""
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]+")
_ZERO_WIDTH = re.compile("[\u200b\u2060-\u2064\ufeff]+|[\u200c\u200d]+|\u00ad+")
_JOINERS = frozenset("\u200c\u200d")
_SOFT_HYPHEN = "\u00ad"
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]+")
_TAGS = re.compile("\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{1,6}\U000e007f|([\U000e0000-\U000e007f]+)")
_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]{4,}")
_LAST_EUROPEAN = "\u052f"
"""Latin, Greek and Cyrillic end here; scripts above may need joiners."""


def control(text: str) -> Iterator[Span]:
    """Yield control characters (C0 and C1) other than tab and the ends of lines."""
    return _gathered(found.span() for found in _CONTROL.finditer(text))


def zero_width(text: str) -> Iterator[Span]:
    """Yield characters without width: joiners among European letters, soft hyphens that part no syllables."""
    return _gathered(found.span() for found in _ZERO_WIDTH.finditer(text) if _out_of_place(text, found))


def bidi(text: str) -> Iterator[Span]:
    """Yield controls of the writing direction, with which a line can show other words than it holds."""
    return _gathered(found.span() for found in _BIDI.finditer(text))


def tag_characters(text: str) -> Iterator[Span]:
    """Yield tag characters: a shadow of ASCII that no one sees, save as part of a flag."""
    return _gathered(found.span() for found in _TAGS.finditer(text) if found[1])


def variation_run(text: str) -> Iterator[Span]:
    """Yield four variation selectors or more in a row, which can carry bytes."""
    return _gathered(found.span() for found in _SELECTORS.finditer(text))


CHARACTER_FAMILIES: tuple[tuple[str, Callable[[str], Iterator[Span]]], ...] = (
    ("control", control),
    ("zero-width", zero_width),
    ("bidi", bidi),
    ("tag-characters", tag_characters),
    ("variation-run", variation_run),
)
"""Kind and finder."""


def _out_of_place(text: str, found: re.Match[str]) -> bool:
    start, end = found.span()
    before, after = text[max(0, start - 2) : start], text[end : end + 2]
    if found.group()[0] in _JOINERS:
        return any(beside.isalpha() and beside <= _LAST_EUROPEAN for beside in (before[-1:], after[:1]) if beside)
    if found.group()[0] == _SOFT_HYPHEN:
        inside = before[-1:].isalpha() and after[:1].isalpha()
        return inside and (end - start > 1 or not (before.isalpha() and after.isalpha() and len(before + after) == 4))
    return start > 0 or found.group() != "\ufeff"


def _gathered(spans: Iterator[Span]) -> Iterator[Span]:
    held: Span | None = None
    for start, end in spans:
        if held is not None and start - held[1] <= _NEAR:
            held = held[0], end
            continue
        if held is not None:
            yield held
        held = start, end
    if held is not None:
        yield held
