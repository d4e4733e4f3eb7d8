"""What flagged words do to a reader: the same part is read with them and without them.

Where the scan flagged a part, it is read once without the flagged spans, and once with them and with what the document
conceals, as plain text. If they move the answer in the document's favour, the document steers its reader.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from compliance.aggregate import Merged
from compliance.documents import Concealed
from compliance.judge.parts import Part
from compliance.judge.question import Variant
from compliance.scan import HARMLESS, Flag, redact

__all__ = ["Versions", "flags_in", "moved", "versions"]

_FOR = frozenset({"supports", "partially_supports"})


@dataclass(frozen=True)
class Versions:
    """The texts of one part that are shown."""

    counted: str
    """Whose answers count."""
    counted_as: Variant
    """`as_written`, or `cleaned` where spans were taken out."""
    flattering: str | None
    """With everything that may steer; None where the part has nothing of the kind."""
    flattering_as: Variant
    """`as_written`, or `with_flagged` where concealed words were put in."""


def flags_in(part: Part, flags: Sequence[Flag], *, every_part: bool = False) -> tuple[Flag, ...]:
    """Return the flags of the text that touch a part; self-assessments, which are claims, only for `every_part`."""
    return tuple(
        flag
        for flag in flags
        if flag.where == "text"
        and flag.start < part.end
        and flag.end > part.start
        and (every_part or flag.kind != HARMLESS)
    )


def versions(
    part: Part, flags: Sequence[Flag], concealed: Sequence[Concealed], *, every_part: bool = False
) -> Versions:
    """Return how a part is shown.

    Args:
        part: Of the document.
        flags: All flags of the document.
        concealed: All concealed spans of the document; one that is flagged for what it says is appended to the part
            where it stood.
        every_part: Take self-assessments out too, and append concealed spans that are not flagged.
    """
    inside = flags_in(part, flags, every_part=every_part)
    suspicious = every_part or any(flag.where == "concealed" for flag in flags)
    hidden = [one.text for one in concealed if suspicious and part.start <= one.at <= part.end]
    cleaned = redact(part.text, [_shifted(flag, part) for flag in inside]) if inside else part.text
    flattering = "\n".join([part.text, *hidden]) if hidden else part.text
    return Versions(
        cleaned,
        "cleaned" if inside else "as_written",
        flattering if inside or hidden else None,
        "with_flagged" if hidden else "as_written",
    )


def moved(clean: Merged, flattered: Merged) -> bool:
    """Tell whether the flagged words speak for the document: the score rises by more than clean samples differ.

    With the same score they do so too where clean samples agree that the text shows nothing, and the flagged words make
    it show something.
    """
    if flattered.score - clean.score > clean.score_range:
        return True
    return not clean.unstable and clean.answer not in _FOR and flattered.answer in _FOR


def _shifted(flag: Flag, part: Part) -> Flag:
    start, end = max(flag.start, part.start), min(flag.end, part.end)
    return dataclasses.replace(flag, start=start - part.start, end=end - part.start)
