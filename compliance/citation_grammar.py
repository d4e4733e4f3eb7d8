"""The grammar of citations: `Art. 15(5)`, `Annex XI, Section 1, point 2(e)`, `GDPR:32(1)(d)` and their many spellings.

One reader serves the command line and the documents: it starts at an instrument, an article or an annex and takes
parts as long as they come. It knows how the law is numbered in general (Regulation (EU) 2024/1689, Annexes I, VIII and
XI have sections) but not which numbers there are; that is for `compliance.numbering`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from compliance.cited import Citation, Span
from compliance.errors import CitationError

_LONGEST = 300
"""Characters of one citation; a longer text is none."""
_LARGEST_RANGE = 60
_SECTIONED = {"I": "letter", "VIII": "letter", "XI": "number"}
"""Annexes with sections, and how the sections are named."""
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_ROMAN = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x", "xi", "xii", "xiii", "xiv", "xv")

_AI_ACT = r"(?:the\s{1,3})?(?:eu[\s-]?)?(?:ai[\s-]act|aia)|(?:the\s{1,3})?regulation\s\(eu\)\s(?:no\s)?2024/1689"
_GDPR = r"(?:the\s{1,3})?(?:eu[\s-])?gdpr|(?:the\s{1,3})?regulation\s\(eu\)\s(?:no\s)?2016/679"
_INSTRUMENT = rf"(?<![\w-])(?:(?P<ai_act>{_AI_ACT})|(?P<gdpr>{_GDPR}))(?![\w])"
_GAP = r"[\s,]{0,6}"
_VALUE = r"(?:[0-9]{1,3}[a-z]{0,2}|[ivx]{1,5}|[a-z]{1,2})"

_BEFORE = re.compile(rf"{_INSTRUMENT}(?P<joint>[\s:,-]{{0,4}})", re.IGNORECASE)
_ARTICLE = re.compile(
    r"(?:(?P<word>(?<![\w-])art(?:icle)?(?P<plural>s)?\.?)[\s-]{0,4}|(?<![\w.]))(?P<number>[0-9]{1,4}[a-z]?)(?![\w/])",
    re.IGNORECASE,
)
_ANNEX = re.compile(r"(?<![\w-])annex(?:es)?[\s-]{1,4}(?P<roman>[ivx]{1,6})(?!\w)", re.IGNORECASE)
_SECTION = re.compile(rf"{_GAP}section\s{{1,3}}(?P<value>[a-z]|[0-9])(?!\w)[.,]?", re.IGNORECASE)
_WORDED = re.compile(
    rf"{_GAP}(?:paragraphs?|paras?\b\.?|§|points?|pt\.|letters?|lit\.|items?)\s{{0,3}}"
    rf"(?P<open>\(\s?)?(?P<value>{_VALUE})(?!\w)(?(open)\s?\))",
    re.IGNORECASE,
)
_PARENTHESISED = re.compile(rf"\s{{0,3}}\(\s?(?!eu\b)(?P<value>{_VALUE})\s?\)", re.IGNORECASE)
_DOTTED = re.compile(r"\.(?P<value>[0-9]{1,2}|[a-z])(?!\w)", re.IGNORECASE)
_BARE = re.compile(r"[\s,]{1,4}(?P<value>[0-9]{1,2}|[abc](?=[\s.,(]{0,2}[0-9]))(?!\w)", re.IGNORECASE)
_RANGE = re.compile(rf"\s{{0,2}}(?:[-‐‑–—]|to)\s{{0,2}}\(\s?(?P<value>{_VALUE})\s?\)", re.IGNORECASE)
_ARTICLES = re.compile(r"\s{0,2}(?:[-‐‑–—]|to)\s{0,2}(?P<value>[0-9]{1,3})(?![\w(])", re.IGNORECASE)
_SUBPARAGRAPH = re.compile(
    rf"{_GAP}(?:(?P<word>{'|'.join(_ORDINALS)})\s{{1,3}}sub-?paragraph"
    rf"|(?P<ordinal>[0-9]{{1,2}})(?:st|nd|rd|th)\s{{1,3}}sub-?paragraph|sub-?paragraph\s{{1,3}}(?P<number>[0-9]{{1,2}}))(?!\w)",
    re.IGNORECASE,
)
_ASPECT = re.compile(r"#(?P<value>[a-z][a-z0-9-]*)", re.IGNORECASE)
_AFTER = re.compile(
    rf"{_GAP}(?:\(|of\s|in\s|under\s)?\s{{0,2}}{_INSTRUMENT}(?![\s:-]{{0,3}}(?:art|annex|[0-9]{{1,3}}[a-z]?\(|:[0-9]))\)?",
    re.IGNORECASE,
)
_FOREIGN = re.compile(
    r"[\s,]{0,6}(?:of|to|in|under)?\s{0,3}(?!the\s{1,3}(?:Regulation|Act)(?!\s{1,3}(?:\(|No\b|on\b)))(?:the\s{1,3})?(?:[A-Z][\w-]{0,30}\s{1,3}){0,3}"
    r"(?:Directive|Regulation|Charter|Treaty|Treaties|TFEU|TEU|ECHR|Convention|Decision|Constitution|Code|Act|Law|LED"
    r"|DSA|DMA|DGA|MDR|NIS2?|BDSG|GG)(?![\w-])"
)
_START = re.compile(
    rf"{_INSTRUMENT}|(?<![\w-])art(?:icle)?s?\.?[\s-]{{0,4}}[0-9]|(?<![\w-])annex(?:es)?[\s-]{{1,4}}[ivxl]",
    re.IGNORECASE,
)


@dataclass
class _Reading:
    """A citation as far as it was read."""

    text: str
    at: int
    instrument: str = ""
    path: list[str] = field(default_factory=list)
    last: str = ""
    """End of a range whose start stands in `path`."""
    subparagraph: int = 0
    aspect: str = ""
    named: bool = False
    """Whether a word, a colon or a parenthesis shows that a citation is meant, not just a number."""

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Return the match of `pattern` here and step behind it; None, and stay, where there is none."""
        found = pattern.match(self.text, self.at)
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
    while found := _START.search(text, at):
        reading = _read(text, found.start())
        at = found.end()
        if reading is None or not reading.named:
            continue
        at = reading.at
        if not reading.instrument and _FOREIGN.match(text, at):
            continue
        try:
            cited = _citations(reading, default)
        except CitationError:
            continue  # no range at all, such as "(5)-(1)"
        yield Span(cited, found.start(), reading.at, text[found.start() : reading.at])


def _read(text: str, start: int) -> _Reading | None:
    """Return the citation that begins at `start`, as long as it goes; None where none does."""
    reading = _Reading(text, start)
    before = reading.take(_BEFORE)
    if before is not None:
        reading.instrument = _instrument(before)
        reading.named = before["joint"] in (":", "-")
    if (annex := reading.take(_ANNEX)) is not None:
        reading.named = True
        reading.path.append(f"annex-{annex['roman'].upper()}")
        _read_annex(reading)
    elif (article := reading.take(_ARTICLE)) is not None:
        reading.named |= bool(article["word"])
        reading.path.append(article["number"].lower())
        if article["plural"] and (end := reading.take(_ARTICLES)) is not None:
            reading.last = end["value"]
        _read_parts(reading)
    else:
        return None
    _read_end(reading)
    return reading


def _read_annex(reading: _Reading) -> None:
    """Take what follows the name of an annex: its section if it has any, then its points."""
    kind = _SECTIONED.get(reading.path[0].removeprefix("annex-"))
    first = reading.take(_SECTION)
    if first is not None:
        reading.path.append(f".{first['value'].upper()}")
    elif (first := reading.take(_DOTTED) or reading.take(_BARE) or reading.take(_PARENTHESISED)) is not None:
        value = first["value"].lower()
        section = (kind == "number" and value.isdigit()) or (kind == "letter" and value in ("a", "b", "c"))
        reading.path.append(f".{value.upper()}" if section else value)
    if first is not None and reading.path[-1].startswith("."):
        following = reading.take(_DOTTED) or reading.take(_BARE)
        if following is not None:
            reading.path.append(following["value"].lower())
    while (dotted := reading.take(_DOTTED)) is not None:
        reading.path.append(dotted["value"].lower())
    _read_parts(reading)


def _read_parts(reading: _Reading) -> None:
    """Take paragraphs and points, with or without their words, and the end of a range."""
    while not reading.last and (part := reading.take(_PARENTHESISED) or reading.take(_WORDED)) is not None:
        reading.path.append(part["value"].lower())
        reading.named = True
        if (end := reading.take(_RANGE)) is not None:
            reading.last = end["value"].lower()
            return


def _read_end(reading: _Reading) -> None:
    """Take subparagraph, aspect and an instrument that is named last."""
    if (counted := reading.take(_SUBPARAGRAPH)) is not None:
        word = counted["word"]
        number = _ORDINALS.index(word.lower()) + 1 if word else int(counted["ordinal"] or counted["number"])
        reading.subparagraph = number
    if (aspect := reading.take(_ASPECT)) is not None:
        reading.aspect = aspect["value"].lower()
    if not reading.instrument and (after := reading.take(_AFTER)) is not None:
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
