"""`annex-iv.json`: the 23 points of Annex IV, what is stated and measured on each, and what is missing.

Nothing in it is invented: every statement stands in the system file or, word for word, in a document; every figure in a
report; every title in the catalogue.
"""

from typing import Annotated, Final, Literal

from pydantic import Field

from compliance.assessment_records import Foreign
from compliance.timeline import State
from reports.model import Fingerprint, Measurement
from reports.nouns import Basis, Count, Day, Noun, Sha256, Status, Strength, Text, Word

SCHEMA: Final = "fedaudit.annex-iv/1"
GapCode = Literal[
    "no_evidence", "document_only", "contradicted", "insufficient", "unsigned", "stale", "person_needed", "unread"
]
"""Why a point is not closed: nothing bears on it; words alone, where a measurement could; a measurement against what is
stated; nothing decided; nobody signed the report; evidence about another model or document; a person has to bring it;
there is a document and nobody read it."""


class Statement(Noun):
    """Something that the owner says, as it is said."""

    text: Foreign
    """A line of the system file, or the words of a document as they are: a page must escape them."""
    source: Text
    """`system.toml`, or the path of the document."""
    document_sha256: Sha256 | None = None
    """Of the document's bytes."""
    start: Count | None = None
    """First character in the document's text."""
    end: Count | None = None
    """One past the last."""
    answer: Text | None = None
    """What the reader took the words to show of this point; None where nobody was asked."""
    believed: bool | None = None
    """Whether that reader is admitted and nothing stands in the way of the answer; None where nobody was asked."""
    claim: Word | None = None
    """The kind of claim that the words make."""
    state: Text | None = None
    """What the measurements say of the claim."""


class PointEvidence(Noun):
    """A finding that bears on a point."""

    finding: Fingerprint
    """Of the finding."""
    check: Word
    """Who asked."""
    key: Text = ""
    """Tells several findings of one check apart."""
    status: Status
    """The answer."""
    strength: Strength
    """The kind of proof."""
    basis: Basis
    """What it rests on."""
    summary: Text
    """As the report says it."""
    measurements: tuple[Measurement, ...] = ()
    """The figures."""


class Gap(Noun):
    """Why a point is not closed."""

    code: GapCode
    """For machines."""
    text: Text
    """For people."""


class PointApplicability(Noun):
    """Whether the point is owed on the day."""

    state: State
    """The answer."""
    first: Annotated[Day | None, Field(alias="from")] = None
    """First day it applies."""
    reason: Text
    """Why, with the article."""


class Section(Noun):
    """One numbered point of Annex IV."""

    point: Word
    """As the law counts it: `1(a)`, `3`."""
    title: Text
    """What it asks for, in our words."""
    applicability: PointApplicability
    """Whether it is owed."""
    note: Text = ""
    """What the law data say beside it."""
    statements: tuple[Statement, ...] = ()
    """What is said."""
    evidence: tuple[PointEvidence, ...] = ()
    """What was found."""
    gaps: tuple[Gap, ...] = ()
    """What is missing."""


class DescribedSystem(Noun):
    """Whose file this is."""

    name: Word
    """Of the system."""
    version: Word
    """Of the system."""
    provider: Word | None = None
    """Who answers for it."""
    risk_class: Word | None = None
    """As the owner classifies it."""


class AnnexIV(Noun):
    """The whole file."""

    schema_id: Annotated[Literal["fedaudit.annex-iv/1"], Field(alias="schema")] = SCHEMA
    """Always this."""
    law_version: Word
    """Of the AI Act."""
    on: Day
    """The day that the applicability is told for."""
    system: DescribedSystem
    """Whose file this is."""
    bundle_sha256: Sha256 | None = None
    """Id of the report that the findings come from."""
    sections: tuple[Section, ...]
    """Every point, in the order of the law."""
    points: Count
    """How many there are."""
    gap_count: Count
    """Gaps of all points."""
