"""The answers of `fedaudit compliance`: duties, citations, and the files that its other commands write."""

from typing import Annotated

from pydantic import Field

from audit.answers.common import AnswerNoun
from compliance.annex_iv import AnnexIV
from compliance.assessment import Assessment
from compliance.calibration import Calibration
from reports.nouns import Count, Day, Sha256, Text


class AppliesTold(AnswerNoun):
    """Whether a duty applies, and from when."""

    state: Text
    """`applies`, `not_yet`, `condition_unknown` and so on."""
    from_: Annotated[Day | None, Field(alias="from")]
    """From which day."""
    dates: dict[str, Day | None]
    """By annex."""
    reason: Text
    """One sentence."""


class DutyTold(AnswerNoun):
    """A duty of the catalogue."""

    id: Text
    """Such as `EU-AIA:15(5)#confidentiality`."""
    citations: tuple[Text, ...]
    """Where it stands."""
    text: Text
    """In our words."""
    role: Text
    """Who must act."""
    condition: Text | None
    """On what it depends."""
    polarity: Text
    """Whether it asks or forbids."""
    ceiling: Text
    """The most that measurements can carry."""
    evidence_kinds: tuple[Text, ...]
    """What speaks for it."""
    oscal: Text
    """Its token in OSCAL."""
    applicability: AppliesTold
    """Whether it applies."""


class LawOfDay(AnswerNoun):
    """Which text was asked."""

    law_version: Text
    """Of the AI Act."""
    on: Day
    """The day."""
    output: Text | None
    """The file that was written; null for none."""


class ControlsAnswer(LawOfDay):
    """Of `fedaudit compliance controls`."""

    controls: tuple[DutyTold, ...]
    """In the order of the law."""
    counts: dict[str, Count]
    """How many in which state."""
    uncovered: tuple[Text, ...]
    """Duties that no check speaks to."""


class CitationTold(AnswerNoun):
    """A citation that was checked."""

    input: Text
    """As it was given."""
    canonical: Text | None
    """As we write it; null where it is none."""
    status: Text
    """Whether it exists in this version."""
    on: Day | None
    """From or until when."""
    successor: Text | None
    """What took its place."""
    controls: tuple[Text, ...]
    """Duties of the catalogue that it holds."""
    message: Text
    """One sentence."""


class CitationsAnswer(LawOfDay):
    """Of `fedaudit compliance controls --cite`."""

    citations: tuple[CitationTold, ...]
    """In the order of the line."""


class AssessedAnswer(Assessment):
    """Of `fedaudit compliance assess`: the assessment that it writes."""

    assessment_sha256: Sha256
    """Digest of that file."""
    counts: dict[str, Count]
    """Duties by how asking about them ended."""
    contradictions: Count
    """Claims that measurements contradict."""
    output: Text | None
    """The file that was written; null for none."""


class CalibratedAnswer(Calibration):
    """Of `fedaudit compliance calibrate`: the calibration that it writes."""

    output: Text | None
    """The file that was written; null for none."""


class AnnexIVAnswer(AnnexIV):
    """Of `fedaudit compliance annex-iv`: the evidence file that it writes."""

    output: Text | None
    """The file that was written; null for none."""
