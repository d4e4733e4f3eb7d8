"""A document as it is shown to readers: its parts, and each part's versions where something in it may steer them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from compliance.documents import Document
from compliance.judge.differential import Versions, flags_in, versions
from compliance.judge.parts import Part, cut
from compliance.judge.prompt import break_fences
from compliance.quotes import Normalised, normalise
from compliance.scan import Flag

__all__ = ["ShownPart", "shown"]


@dataclass(frozen=True)
class ShownPart:
    """One part, and the texts that readers are given for it."""

    part: Part
    """As written."""
    versions: Versions
    """What is shown."""
    taken_out: tuple[Flag, ...]
    """Flagged spans that the counted text lacks, with offsets into the document."""
    text: str = field(repr=False)
    """Of the whole document, in which quotes are looked for."""
    normalised: Normalised = field(repr=False)
    """The same, as quotes are compared."""

    @property
    def imitates_a_fence(self) -> bool:
        """Whether something in it looks like the lines that mark a part, or is a run of brackets like theirs."""
        return any(flag.kind == "fence" for flag in self.taken_out) or break_fences(self.part.text) != self.part.text


def shown(document: Document, largest: int, *, every_part: bool = False) -> Sequence[ShownPart]:
    """Return the parts of a document; none of an empty one.

    Args:
        document: With its scan.
        largest: Characters of a part at most.
        every_part: Try self-assessments and unflagged concealed words too.
    """
    if not document.text.strip():
        return ()
    normalised, flags = normalise(document.text), document.flags()
    parts = cut(document.text, [section.start for section in document.sections], largest)
    return tuple(
        ShownPart(
            part,
            versions(part, flags, document.concealed, every_part=every_part),
            flags_in(part, flags, every_part=every_part),
            document.text,
            normalised,
        )
        for part in parts
    )
