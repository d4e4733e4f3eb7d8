"""What a citation of the law is, and what became of one: nouns for the grammar, the numbering and the catalogue."""

from dataclasses import dataclass
from datetime import date
from typing import Literal, TypeAlias

Verdict: TypeAlias = Literal[
    "ok",
    "deleted",
    "not_yet_inserted",
    "no_such_article",
    "no_such_annex",
    "no_such_paragraph",
    "no_such_point",
    "unchecked",
    "unparsable",
]
"""What the numbering of one version of the law says of a citation."""


@dataclass(frozen=True)
class Citation:
    """One place in the law, such as `EU-AIA:15(5)#confidentiality`; `str` gives the canonical form."""

    instrument: str
    """`EU-AIA` or `GDPR`."""
    path: tuple[str, ...]
    """From the article or annex down: `("15", "5")`, `("annex-IV", "2", "g")`; a section keeps its dot,
    `("annex-XI", ".1", "2", "e")`."""
    aspect: str = ""
    """Which of several duties of one paragraph, by the catalogue's word; empty for all."""
    subparagraph: int = 0
    """Which subparagraph, 1 the first; 0 for all."""

    def __str__(self) -> str:
        head, *rest = self.path
        below = "".join(part if part.startswith(".") else f"({part})" for part in rest)
        counted = f" subparagraph {self.subparagraph}" if self.subparagraph else ""
        return f"{self.instrument}:{head}{below}{counted}" + (f"#{self.aspect}" if self.aspect else "")

    def lies_within(self, other: "Citation") -> bool:
        """Tell whether this place is `other` or a part of it; aspects and subparagraphs are not looked at."""
        return self.instrument == other.instrument and self.path[: len(other.path)] == other.path

    @property
    def whole(self) -> "Citation":
        """The article or annex that it lies in."""
        return Citation(self.instrument, self.path[:1])


@dataclass(frozen=True)
class CitationStatus:
    """What became of one citation in one version of the law."""

    status: Verdict
    """The answer."""
    on: date | None
    """Day of the deletion, or of the insertion that is ahead; else None."""
    successor: str | None
    """Canonical citation of what took a deleted place, where the law names one."""
    message: str
    """One sentence for people."""
    citation: Citation | None = None
    """What was read; None where nothing could be."""

    @property
    def stands(self) -> bool:
        """Whether the place exists as far as the numbering is tabulated."""
        return self.status in ("ok", "unchecked")


@dataclass(frozen=True)
class Span:
    """A citation in a text."""

    citation: tuple[Citation, ...]
    """What it cites: one place, or every member of a range."""
    start: int
    """Offset of its first character."""
    end: int
    """Offset behind its last."""
    text: str
    """As it was written."""
