"""Literal quotes: a judge's quote counts only where the document says it, letter for letter.

White space, quotation marks, dashes, case, Markdown's stars and invisible characters may differ; nothing else may: no
fuzzy matching and no joining at an ellipsis, since a changed character is another quote.
"""

import re
import unicodedata
from dataclasses import dataclass

from compliance.sentences import sentences
from compliance.traced import Rules, Traced, trace

Normalised = Traced
"""A text as quotes are compared; `span` leads back to the source."""

_MARKS = {ord(mark): '"' for mark in "“”„‟«»″"} | {ord(mark): "'" for mark in "‘’‚‛′"}
_DASHES = {ord(dash): "-" for dash in "‐‑‒–—―−"}
_RULES = Rules(
    form="NFKC",
    dropped=re.compile("[*`\u00ad\u200b-\u200d\u2060\ufeff]+"),
    mapped=_MARKS | _DASHES,
    keep_scripts=True,
    kept_between_digits="*",
)
_AROUND = " \"'.,;:…"
"""What is stripped at both ends of a quote."""
_HYPHENS = "-‐‑"
"""Join two words to one, unlike dashes: "non-compliant" does not yield "compliant"."""
_NUMERIC = ".,"
_PARAGRAPH = "\n\n"
_AROUND_SENTENCE = 1200
"""Characters on each side of a quote in which the borders of its sentence are looked for."""


@dataclass(frozen=True)
class Quote:
    """A quote that was found, in offsets of the extracted text."""

    start: int
    """Its first character."""
    end: int
    """After its last character."""
    text: str
    """The text between them, as the document has it."""
    sentence: tuple[int, int]
    """Start and end of the sentence that holds it, which is shown with it."""


def normalise(text: str) -> Normalised:
    """Return `text` as quotes are compared, each character with its place in the source.

    Dropped are stars (save between two digits), backticks and invisible characters; then the normal form NFKC, but
    raised, lowered and fraction characters stay (10⁵ is not 105); quotation marks and dashes become the plain ones;
    case is folded and a run of white space becomes one space.
    """
    return trace(text, _RULES)


def locate(
    quote: str,
    text: str,
    *,
    minimum: int = 12,
    maximum: int = 400,
    normalised: Normalised | None = None,
    within: tuple[int, int] | None = None,
) -> Quote | None:
    """Return the first place where `text` says `quote`, or None.

    Args:
        quote: As somebody repeated it.
        text: The extracted text.
        minimum: Fewest normalised characters of a quote, without marks at its ends.
        maximum: Most of them.
        normalised: `normalise(text)`, for a caller that looks for many quotes.
        within: Offsets that the place must not leave; the whole text where none are given.

    Returns:
        A place that begins and ends at the border of words and of numbers ("unable to" does not yield "able to", 0.95
        not 0.9), or None.
    """
    wanted = normalise(quote).text.strip(_AROUND)
    if not minimum <= len(wanted) <= maximum:
        return None
    searched = normalise(text) if normalised is None else normalised
    first, last = (0, len(text)) if within is None else within
    place, stop = searched.position(first), searched.position(last)
    while (place := searched.text.find(wanted, place, stop)) >= 0:
        start, end = searched.span(place, place + len(wanted))
        if first <= start and end <= last and not _inside(text, start) and not _inside(text, end):
            return Quote(start, end, text[start:end], _sentence(text, start, end))
        place += 1
    return None


def _sentence(text: str, start: int, end: int) -> tuple[int, int]:
    """Return the sentence, or the sentences, that hold `text[start:end]`, looked for not far from it."""
    first, last = max(0, start - _AROUND_SENTENCE), min(len(text), end + _AROUND_SENTENCE)
    first = max(text.rfind(_PARAGRAPH, first, start), first)
    if (found := text.find(_PARAGRAPH, end, last)) >= 0:
        last = found
    begun, ended = start, end
    for one in sentences(text[first:last]):
        if first + one.start <= start < first + one.end:
            begun = first + one.start
        if first + one.end >= end:
            return begun, max(end, first + one.end)
    return begun, ended


def _inside(text: str, place: int) -> bool:
    """Tell whether `place` lies inside a word or a number; characters that nobody sees count for nothing."""
    left, right = _beside(text, place, -1), _beside(text, place, 1)
    if not left or not right:
        return False
    if _in_word(left[0]) and _in_word(right[0]):
        return True
    return _hangs(left, right) or _hangs(right, left)


def _hangs(left: str, right: str) -> bool:
    """Tell whether the first of `right` joins two words (`non-`) or two digits (`0.`), seen from the place outwards."""
    if len(right) < 2 or not (_in_word(left[0]) and _in_word(right[1])):
        return False
    return right[0] in _HYPHENS or (right[0] in _NUMERIC and left[0].isdigit() and right[1].isdigit())


def _beside(text: str, place: int, step: int) -> str:
    """Return up to two visible characters next to `place`, the nearest first."""
    found, here = "", place if step > 0 else place - 1
    while 0 <= here < len(text) and len(found) < 2 and abs(here - place) < 64:
        if not _RULES.dropped.match(text[here]):
            found += text[here]
        here += step
    return found


def _in_word(character: str) -> bool:
    return character.isalnum() or character == "_" or unicodedata.category(character).startswith("M")
