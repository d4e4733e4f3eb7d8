"""Numbers as people write them in documents: `1.5`, `1e-5`, `10^-5`, `10⁻⁵`, `1×10⁻⁵`, `30 %`, `1,000`.

A number is *bare* where it stands for itself: it counts no noun (`16 sums`), names no place (`Article 15`, `client 7`)
and is no year. Only bare numbers can be the value of a claim, and a second one makes a sentence ambiguous.
"""

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

_SUPERSCRIPT = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_NUMBER = re.compile(
    r"""(?<![\w.,/^])(?<![A-Za-z][-–])(?:(?<![\w)])[-\u2212])?(?<![.,/^])
    (?:
        (?:(?P<factor>\d+(?:\.\d+)?)\s?[×·x*]\s?)?10(?:\^\s?\{?(?P<caret>[-+\u2212]?\d{1,3})\}?|(?P<raised>[⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]{1,3}))
      | (?P<plain>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d{1,15}(?:\.\d{1,15})?(?:[eE][-+\u2212]?\d{1,3})?)
    )
    (?P<percent>\s?(?:%|percent\b|per\ cent\b|percentage\ points?\b))?
    (?![\w/^]|[.,]\d)""",
    re.VERBOSE,
)
_NO_NUMBER = re.compile(
    r"\b\d{4}-\d{2}-\d{2}\b|\b\d{1,2}:\d{2}\b|\b\d{1,2}\.\s?\d{1,2}\.\s?\d{4}\b|\bv?\d+\.\d+\.\d+\b"
    r"|#\d+|\[\d{1,3}(?:\s?[,;–-]\s?\d{1,3})*\]|\b(?:arxiv|doi|isbn|issn)[:\s]\S+|\bhttps?://\S+|\b10\.\d{4,}/\S+",
    re.IGNORECASE,
)
"""Dates, times, versions with two dots, references such as `[12]`, and addresses."""
_REFERENCE = re.compile(
    r"\b(?:sections?|sec\.|articles?|arts?\.|annex(?:es)?|tables?|figures?|fig\.|chapters?|versions?|release|pages?|no\.|"
    r"paragraphs?|para|points?|appendix|equation|eq\.|steps?|phases?|stages?|clients?|records?|offices?|hospitals?|"
    r"requests?|patients?|sites?|clinics?|users?|participants?|ISO|IEC|EN|regulation|directive|GDPR|level|seed|"
    r"threshold(?: of)?)"
    r"\s*\(?$",
    re.IGNORECASE,
)
_PARAGRAPH = re.compile(r"[0-9a-z]\($")
"""What stands before the 9 of `Article 10(9)`."""
_NEXT = re.compile(r"[)\]`*_\"'”’]*[\s\u00a0]*[-–|]?\s*([A-Za-zÀ-ž]+)")
_SENTENCE_GOES_ON = re.compile(
    r"a|above|across|after|against|all|among|and|any|are|as|at|be|because|been|before|below|bounds|but|by|can|"
    r"cannot|could|counts|covers|differential|differentially|do|does|dp|during|each|ends|every|exactly|"
    r"follows|for|from|gives|had|has|have|here|hides|holds|however|if|in|into|is|it|its|keeps|leaves|may|"
    r"means|more|must|nor|not|of|on|once|only|or|our|over|per|reached|reaches|remains|rounded|satisfies|"
    r"set|should|since|so|spent|stays|suffices|than|that|the|then|there|these|they|this|those|through|"
    r"throughout|to|today|together|under|unless|until|used|using|versus|void|was|we|were|when|where|which|"
    r"while|who|with|within|without|would|yields",
    re.IGNORECASE,
)
"""What follows a number that stands for itself; any other word is taken for the noun that it counts."""
_OF_AN_INTERVAL = re.compile(
    r"[\s-]*(?:two-sided |one-sided )?(?:confidence|interval|CI\b|credible|quantile|percentile)"
)
"""What makes 95 % a level of confidence."""
_FIRST_YEAR, _LAST_YEAR = 1900, 2100


class Number(NamedTuple):
    """One number of a text."""

    value: float
    """A percentage is divided by 100."""
    percent: bool
    """Whether it is written as a percentage."""
    bare: bool
    """Whether it stands for itself."""
    start: int
    end: int


def numbers(text: str) -> tuple[float, ...]:
    """Return the values of all numbers of a text in their order, percentages divided by 100."""
    return tuple(number.value for number in numbers_in(text))


def numbers_in(text: str) -> Iterator[Number]:
    """Yield the numbers of a text in their order; dates, times, versions, references and addresses are none."""
    taken = [found.span() for found in _NO_NUMBER.finditer(text)]
    for found in _NUMBER.finditer(text):
        start, end = found.span()
        if not any(start < last and first < end for first, last in taken):
            percent, value = found["percent"] is not None, _value(found)
            if not math.isinf(value):
                bare = _OF_AN_INTERVAL.match(text, end) is None if percent else _bare(text, found, value)
                yield Number(value, percent, bare, start, end)


def _value(found: re.Match[str]) -> float:
    """Return the number; that of a percentage is rounded once, so that 96.2 % is 0.962 and not a hair more."""
    if found["plain"] is not None:
        mantissa, _, exponent = found["plain"].replace(",", "").replace("\u2212", "-").casefold().partition("e")
    else:
        mantissa = found["factor"] or "1"
        exponent = (found["caret"] or found["raised"]).translate(_SUPERSCRIPT).replace("\u2212", "-")
    value = float(f"{mantissa}e{int(exponent or 0) - (2 if found['percent'] else 0)}")
    return -value if found[0][0] in "-\u2212" else value


def _bare(text: str, found: re.Match[str], value: float) -> bool:
    if value == int(value) and _FIRST_YEAR <= value <= _LAST_YEAR and "," not in found[0]:
        return False
    if _REFERENCE.search(text, max(0, found.start() - 40), found.start()) or _PARAGRAPH.search(
        text, max(0, found.start() - 2), found.start()
    ):
        return False
    following = _NEXT.match(text, found.end())
    return following is None or _SENTENCE_GOES_ON.fullmatch(following[1]) is not None
