"""How a report speaks to people: numbers, paragraphs of law, states in words and shapes, text made safe to look at.

Nothing here knows HTML or Markdown; every renderer says the same thing in its own marks.
"""

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache

from reports.model import Interval, Measurement, Status, Strength

STATUS_WORD = {
    Status.PASS: "passed",
    Status.FAIL: "failed",
    Status.INCONCLUSIVE: "inconclusive",
    Status.SKIPPED: "not tested",
    Status.ERROR: "error",
}
STATUS_SHAPE = {
    Status.PASS: "●",
    Status.FAIL: "✕",
    Status.INCONCLUSIVE: "◐",
    Status.SKIPPED: "○",
    Status.ERROR: "▲",
}
"""A mark that survives black-and-white print and colour blindness."""
STATUS_MEANING = {
    Status.PASS: "the check could have failed and did not",
    Status.FAIL: "the check found what it looks for",
    Status.INCONCLUSIVE: "asked, but the evidence decides neither way",
    Status.SKIPPED: "not asked; the reason is given",
    Status.ERROR: "the check itself broke; it says nothing about the system",
}
STRENGTH_LETTER = {Strength.EXACT: "E", Strength.STATISTICAL: "S", Strength.SCREENING: "C", Strength.DOCUMENT: "D"}
STRENGTH_MEANING = {
    Strength.EXACT: "recomputed or decided without chance",
    Strength.STATISTICAL: "estimated, with an interval and a positive control",
    Strength.SCREENING: "a quick look that can find faults and cannot exclude them",
    Strength.DOCUMENT: "read in a document or a declaration",
}
STATE_WORD = {
    "supported": "evidence for",
    "contradicted": "evidence against",
    "insufficient": "not enough evidence",
    "not-assessed": "not assessed",
}
"""States of a duty as people read them: a tool gives evidence, it does not decide."""
KIND_WORD = {
    "dp": "differential privacy",
    "log": "logs",
    "membership": "membership inference",
    "reconstruction": "reconstruction attacks",
    "secagg": "secure aggregation",
}
"""Kinds of evidence whose names people do not use; the others are words already."""
NOT_ADVICE = "evidence, not a conformity assessment, not legal advice"

_INITIALS = frozenset({"auc", "dp", "fpr", "gdp", "iii", "iv", "js", "kl", "prg", "psnr", "rdp", "ssim", "tpr"})
"""Parts of a name that are written in capitals."""
_INVISIBLE = {"Cf", "Cc", "Cs", "Co", "Zl", "Zp"}
_JOINERS = "\u200c\u200d"
"""Some scripts are spelled with these two; they reorder nothing."""
_PLAIN = re.compile(r"[\t\n\x20-\x7e\u00a0-\u00ac\u00ae-\u02ff]*")
_CONTROL = re.compile(r"(?P<instrument>[A-Z-]+):(?P<place>[^#]+)(?:#(?P<aspect>.+))?")
_INSTRUMENTS = {
    "EU-AIA": ("AI Act", "https://eur-lex.europa.eu/eli/reg/2024/1689/oj"),
    "GDPR": ("GDPR", "https://eur-lex.europa.eu/eli/reg/2016/679/oj"),
}
"""Name and European Legislation Identifier; the only addresses a report links to."""


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of law as people cite it."""

    id: str
    """Of the law catalogue."""
    label: str
    """Such as `AI Act Art. 15(5), confidentiality`."""
    place: str
    """The same without the aspect: `AI Act Art. 15(5)`."""
    href: str | None
    """Address of the official text; None where the instrument is not ours to name."""


@lru_cache(maxsize=1024)  # findings cite the same few controls over and over
def paragraph(control: str) -> Paragraph:
    """Return how people cite a control of the law catalogue; an unknown instrument keeps its id and has no link."""
    found = _CONTROL.fullmatch(control)
    if found is None or found["instrument"] not in _INSTRUMENTS:
        return Paragraph(control, control, control, None)
    name, href = _INSTRUMENTS[found["instrument"]]
    place, aspect = found["place"], found["aspect"]
    where = f"{name} Annex {place.removeprefix('annex-')}" if place.startswith("annex-") else f"{name} Art. {place}"
    return Paragraph(control, where + (f", {aspect.replace('-', ' ')}" if aspect else ""), where, href)


def visible(text: str) -> str:
    """Return `text` with every character that could hide or reorder others written out, as in `⟦U+202E⟧`."""
    if _PLAIN.fullmatch(text):
        return text
    return "".join(
        letter
        if letter in "\t\n" + _JOINERS or unicodedata.category(letter) not in _INVISIBLE
        else f"⟦U+{ord(letter):04X}⟧"
        for letter in text
    )


def number(value: float, apart_from: Collection[float] = ()) -> str:
    """Return a number in four significant digits, or in as many as tell it apart from 0, 1 and the others.

    A value that breaks its limit must not be rounded onto it, nor 0.99996 onto certainty.
    """
    return _told(value, tuple(apart_from))


@lru_cache(maxsize=8192)  # a page of 10^4 findings asks for 0, 1, the same limits and the same ends of intervals
def _told(value: float, apart_from: tuple[float, ...]) -> str:
    others = [other for other in (0.0, 1.0, *apart_from) if other != value]
    for digits in range(4, 18):
        text = _rounded(value, digits)
        if all(text != _rounded(other, digits) for other in others):
            break
    return text


@lru_cache(maxsize=4096)  # a verdict of 10^4 findings asks for 0, 1 and the same few limits all the time
def _rounded(value: float, digits: int) -> str:
    size = abs(value)
    if value == int(value) and size < 1e15:
        return f"{int(value):,}".replace("-", "\u2212")
    if size < 1e-4 or size >= 1e9:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
        return f"{mantissa}e{int(exponent)}".replace("-", "\u2212")
    whole = len(str(int(size))) if size >= 1 else 0
    leading = 0 if size >= 1 else len(f"{size:.15f}"[2:]) - len(f"{size:.15f}"[2:].lstrip("0"))
    text = f"{value:,.{max(digits - whole + leading, 0)}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return text.replace("-", "\u2212")


def interval_text(interval: Interval | None) -> str:
    """Return `[low, high]`, or nothing where the value is exact."""
    return f"[{number(interval.low)}, {number(interval.high)}]" if interval else ""


def quantity(measurement: Measurement) -> str:
    """Return value, unit and interval, such as `0.41 [0.36, 0.47]`."""
    limit = (measurement.threshold.limit,) if measurement.threshold else ()
    parts = (number(measurement.value, limit), measurement.unit, interval_text(measurement.interval))
    return " ".join(part for part in parts if part)


def limit_text(measurement: Measurement) -> str:
    """Return the limit that the check held the value to, such as `≤ 0.05`, or nothing."""
    if measurement.threshold is None:
        return ""
    sign = {"<=": "≤", ">=": "≥"}[measurement.threshold.op]
    return f"{sign} {number(measurement.threshold.limit, (measurement.value,))}"


def phrase(word: str) -> str:
    """Return a machine's name as words: `clients_per_round` reads `clients per round`, `psnr_median` `PSNR median`."""
    return " ".join(part.upper() if part in _INITIALS else part for part in word.replace("_", " ").split(" "))


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return `1 check`, `3 checks`."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def byte_size(size: int) -> str:
    """Return a size in bytes, kB or MB (powers of ten)."""
    if size < 1000:
        return f"{size} B"
    if size < 1_000_000:
        return f"{size / 1000:.1f} kB"
    return f"{size / 1_000_000:,.1f} MB"
