"""The grammar of citations: `Art. 15(5)`, `Annex XI, Section 1, point 2(e)`, `GDPR:32(1)(d)` and their many spellings.

One reader serves the command line and the documents: it starts at an instrument, an article or an annex and takes
parts as long as they come. It knows how the law is numbered in general (Regulation (EU) 2024/1689, Annexes I, VIII and
XI have sections) but not which numbers there are; that is for `compliance.numbering`.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from compliance import citation_patterns as pattern
from compliance.cited import Citation, Span
from compliance.errors import CitationError

_LONGEST = 300
"""Characters of one citation; a longer text is none."""
_LARGEST_RANGE = 60
_SECTIONED = {"I": "letter", "VIII": "letter", "XI": "number"}
"""Annexes with sections, and how the sections are named."""
_ROMAN = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x", "xi", "xii", "xiii", "xiv", "xv")


@dataclass
class _Reading:
    """A citation as far as it was read."""

    text: str
    start: int
    """Where it begins."""
    at: int = 0
    """How far it was read."""
    instrument: str = ""
    path: list[str] = field(default_factory=list)
    last: str = ""
    """End of a range whose start stands in `path`."""
    subparagraph: int = 0
    aspect: str = ""
    named: bool = False
    """Whether a word, a colon or a parenthesis shows that a citation is meant, not just a number."""
    plural: bool = False
    """Whether its word announces more than one."""

    def __post_init__(self) -> None:
        self.at = self.start

    def take(self, wanted: re.Pattern[str]) -> re.Match[str] | None:
        """Return the match of `wanted` here and step behind it; None, and stay, where there is none."""
        found = wanted.match(self.text, self.at)
        if found is not None:
            self.at = found.end()
        return found


def parse_citation(text: str, default: str = "EU-AIA") -> tuple[Citation, ...]:
    """Return what a text cites: one place, or every member of a range.

    Args:
        text: One citation and nothing else; spaces around it, case and a last full stop do not matter.
        default: The instrument where none is named.

    Raises:
        CitationError: `citation.unparsable`, or `citation.range` where a range runs backwards or too far.
    """
    bare = text.strip().removesuffix(".").rstrip()
    reading = _read(bare, 0) if len(bare) <= _LONGEST else None
    if reading is None or reading.at != len(bare) or not reading.named:
        raise CitationError(
            "citation.unparsable",
            f"{_shown(text)} is no citation",
            "Write it as 'EU-AIA:15(5)' or 'GDPR Art. 32(1)(d)'.",
        )
    return _citations(reading, default)


def find_citations(text: str, default: str = "EU-AIA") -> Iterator[Span]:
    """Yield the citations in a running text, in order; places in other laws are left out.

    Args:
        text: Of a document.
        default: The instrument where none is named.
    """
    at = 0
    while found := pattern.START.search(text, at):
        at = found.end()
        listed = _read_list(text, found.start())
        if not listed:
            continue
        at = listed[-1].at
        instrument = next((one.instrument for one in listed if one.instrument), "")
        if not instrument and pattern.FOREIGN.match(text, at):
            continue
        for one in listed:
            one.instrument = instrument
            with suppress(CitationError):  # no range at all, such as "(5)-(1)"
                yield Span(_citations(one, default), one.start, one.at, text[one.start : one.at])


def _read_list(text: str, start: int) -> list[_Reading]:
    """Return the citations of one list, such as `Articles 9, 10(2) and (3)`, which name their law once; or the one."""
    first = _read(text, start)
    if first is None or not first.named:
        return []
    listed = [first]
    while (following := _another(listed[-1], plural=first.plural)) is not None:
        listed.append(following)
    return listed


def _another(before: _Reading, *, plural: bool) -> _Reading | None:
    """Return the next member of a list: a sibling of the last part, or behind a plural word an article or annex."""
    if before.instrument and before.aspect:
        return None
    reading = _Reading(before.text, before.at)
    if len(before.path) > 1 and (part := reading.take(pattern.ANOTHER_PART)) is not None:
        value = part["value"].lower()
        if value[0].isdigit() == before.path[-1][0].isdigit():
            reading.start = part.start("value") - 1
            reading.path = [*before.path[:-1], value]
    elif plural and before.path[0].startswith("annex-"):
        if (annex := reading.take(pattern.ANOTHER_ANNEX)) is not None:
            reading.start = annex.start("roman")
            reading.path = [f"annex-{annex['roman']}"]
            _read_annex(reading)
    elif plural and reading.take(pattern.ANOTHER_ARTICLE) is not None:
        reading.start = reading.at
        if (article := reading.take(pattern.ARTICLE)) is not None:
            reading.path = [article["number"].lower()]
    if not reading.path:
        return None
    _read_parts(reading)
    _read_end(reading)
    return reading


def _read(text: str, start: int) -> _Reading | None:
    """Return the citation that begins at `start`, as long as it goes; None where none does."""
    reading = _Reading(text, start)
    before = reading.take(pattern.BEFORE)
    if before is not None:
        reading.instrument = _instrument(before)
        reading.named = before["joint"] in (":", "-")
    if (annex := reading.take(pattern.ANNEX)) is not None:
        reading.named = True
        reading.plural = bool(annex["plural"])
        reading.path.append(f"annex-{annex['roman'].upper()}")
        _read_annex(reading)
    elif (article := reading.take(pattern.ARTICLE)) is not None:
        reading.named |= bool(article["word"])
        reading.plural = bool(article["plural"])
        reading.path.append(article["number"].lower())
        if reading.plural and (end := reading.take(pattern.ARTICLES_TO)) is not None:
            reading.last = end["value"]
        _read_parts(reading)
    else:
        return None
    _read_end(reading)
    return reading


def _read_annex(reading: _Reading) -> None:
    """Take what follows the name of an annex: its section if it has any, then its points."""
    kind = _SECTIONED.get(reading.path[0].removeprefix("annex-"))
    first = reading.take(pattern.SECTION)
    if first is not None:
        reading.path.append(f".{first['value'].upper()}")
    elif (
        first := reading.take(pattern.DOTTED) or reading.take(pattern.BARE) or reading.take(pattern.PARENTHESISED)
    ) is not None:
        value = first["value"].lower()
        section = (kind == "number" and value.isdigit()) or (kind == "letter" and value in ("a", "b", "c"))
        reading.path.append(f".{value.upper()}" if section else value)
    if first is not None and reading.path[-1].startswith("."):
        following = reading.take(pattern.DOTTED) or reading.take(pattern.BARE)
        if following is not None:
            reading.path.append(following["value"].lower())
    while (dotted := reading.take(pattern.DOTTED)) is not None:
        reading.path.append(dotted["value"].lower())
    _read_parts(reading)


def _read_parts(reading: _Reading) -> None:
    """Take paragraphs and points, with or without their words, and the end of a range."""
    while (
        not reading.last and (part := reading.take(pattern.PARENTHESISED) or reading.take(pattern.WORDED)) is not None
    ):
        reading.path.append(part["value"].lower())
        reading.named = True
        if (end := reading.take(pattern.PARTS_TO)) is not None:
            reading.last = end["value"].lower()
            return


def _read_end(reading: _Reading) -> None:
    """Take subparagraph, aspect and an instrument that is named last."""
    if (counted := reading.take(pattern.SUBPARAGRAPH)) is not None:
        word = counted["word"]
        number = pattern.ORDINALS.index(word.lower()) + 1 if word else int(counted["ordinal"] or counted["number"])
        reading.subparagraph = number
    if (aspect := reading.take(pattern.ASPECT)) is not None:
        reading.aspect = aspect["value"].lower()
    if not reading.instrument and (after := reading.take(pattern.AFTER)) is not None:
        reading.instrument = _instrument(after)


def _instrument(found: re.Match[str]) -> str:
    return "EU-AIA" if found["ai_act"] else "GDPR"


def _citations(reading: _Reading, default: str) -> tuple[Citation, ...]:
    *parents, first = reading.path
    if not reading.last:
        members: tuple[str, ...] = (first,)
    else:
        members = _members(first, reading.last, within_point=bool(parents) and parents[-1].isalpha())
    instrument = reading.instrument or default
    return tuple(Citation(instrument, (*parents, member), reading.aspect, reading.subparagraph) for member in members)


def _members(first: str, last: str, *, within_point: bool) -> tuple[str, ...]:
    """Return every member of a range: numbers, letters, or below a lettered point roman numerals."""
    if first.isdigit() and last.isdigit():
        members = tuple(str(number) for number in range(int(first), int(last) + 1)[: _LARGEST_RANGE + 1])
    elif within_point and first in _ROMAN and last in _ROMAN:
        members = _ROMAN[_ROMAN.index(first) : _ROMAN.index(last) + 1]
    elif first.isalpha() and last.isalpha() and first[:-1] == last[:-1]:
        members = tuple(first[:-1] + chr(code) for code in range(ord(first[-1]), ord(last[-1]) + 1))
    else:
        members = ()
    if not 2 <= len(members) <= _LARGEST_RANGE:
        raise CitationError(
            "citation.range", f"({first})-({last}) is no range of paragraphs or points", "Write its two ends in order."
        )
    return members


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:79]}…")
