"""`assessment.json`: what a reader said of which duty, on which words of which document, and whether that may count.

    assessing ──Assessment──▶ assessment_bytes ──▶ assessment.json ──read_assessment──▶ Assessment

The bytes are RFC 8785 and hold no clock and no latency, so whoever replays the recorded answers gets the same file.
"""

from collections import Counter
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field

from compliance.aggregate import Answer, Band
from compliance.assessment_records import (
    AdmissionState,
    CitationRecord,
    ClaimRecord,
    DecoyRecord,
    DocumentRecord,
    EgressRecord,
    Foreign,
    JudgeRecord,
    PlantedRecord,
    Score,
    Usage,
)
from compliance.errors import JudgeFileError
from compliance.json_file import read_object
from reports.canonical import canonical_json
from reports.digests import file_sha256
from reports.nouns import Confidentiality, Count, Day, Effort, Noun, Sha256, Text, Word
from reports.tomlfile import parse_noun

__all__ = [
    "Assessed",
    "Assessment",
    "AssessmentStatus",
    "QuoteRecord",
    "SampleRecord",
    "assessment_bytes",
    "confidentiality_of",
    "counts",
    "read_assessment",
]

SCHEMA: Final = "fedaudit.assessment/1"
AssessmentStatus = Literal["answered", "invalid_output", "not_asked", "withheld"]
"""`withheld`: there are answers, and the document was seen to steer them."""
_DISQUALIFYING = frozenset(
    {"unstable", "panel_disagrees", "injection_suspected", "pdf", "control_failed", "uncalibrated", "empty_document"}
)
"""Flags of an answer that decides nothing."""


class SampleRecord(Noun):
    """One reply that counts, or the lack of one."""

    member: Word
    """Who was asked."""
    sample: Count
    """0 first."""
    part: Count
    """Of the document, 0 first."""
    variant: Literal["as_written", "cleaned", "with_flagged"] = "as_written"
    """The part as written; without flagged spans; or with them and with what is concealed."""
    status: Literal["answered", "invalid_output", "not_asked"]
    """Whether there is an answer."""
    answer: Answer | None = None
    """After its quotes were looked for."""
    score: Score | None = None
    """As given."""
    rung: Text = ""
    """How the form was asked for."""
    key: Text = ""
    """Of the exchange in the cassette."""


class QuoteRecord(Noun):
    """Words that an answer rests on and that stand in the document."""

    document_sha256: Sha256
    """Of the document's bytes."""
    start: Count
    """First character in the extracted text."""
    end: Count
    """One past the last."""
    sentence: tuple[Count, Count]
    """The sentence round it."""
    text: Foreign
    """The document's words there."""


class Assessed(Noun):
    """What one document shows of one duty."""

    control: Word
    """The duty."""
    document: Text
    """Path of the document."""
    status: AssessmentStatus
    """Whether there is an answer."""
    answer: Answer | None = None
    """None unless answered."""
    band: Band = "unclear"
    """What people read instead of the score."""
    score: Score | None = None
    """None unless answered."""
    score_range: Annotated[Count, Field(le=4)] = 0
    """Largest distance between samples of one question."""
    samples: tuple[SampleRecord, ...] = ()
    """Every question, in order."""
    quotes: tuple[QuoteRecord, ...] = ()
    """Of the samples that gave the answer."""
    rejected_quotes: Count = 0
    """Said to be quotes and found nowhere in the part, or only in the law."""
    gaps: tuple[Text, ...] = ()
    """What is missing, in the reader's words; never ours."""
    flags: tuple[Word, ...] = ()
    """Why the answer may not count: `unstable`, `panel_disagrees`, `injection_suspected`, `no_valid_quote`, `pdf`,
    `control_failed`, `uncalibrated`, `fence`, `empty_document`."""

    @property
    def doubts(self) -> tuple[str, ...]:
        """The flags for which the answer decides nothing."""
        return tuple(flag for flag in self.flags if flag in _DISQUALIFYING)

    def believable(self, state: AdmissionState) -> bool:
        """Tell whether the answer may decide: an admitted reader, measured for this duty, and nothing in the way."""
        return state == "admitted" and self.status == "answered" and not self.doubts


class Assessment(Noun):
    """The whole file."""

    schema_id: Annotated[Literal["fedaudit.assessment/1"], Field(alias="schema")] = SCHEMA
    """Always this."""
    law_version: Word
    """The text of the law that was asked about."""
    on: Day
    """The day."""
    effort: Effort
    """How much was asked."""
    judge: JudgeRecord | None = None
    """None where nobody read."""
    documents: tuple[DocumentRecord, ...]
    """Sorted by path."""
    assessments: tuple[Assessed, ...] = ()
    """By control, in the order of the catalogue, then by document."""
    planted: tuple[PlantedRecord, ...] = ()
    """The reader's controls."""
    decoys: tuple[DecoyRecord, ...] = ()
    """One a document."""
    claims: tuple[ClaimRecord, ...] = ()
    """Held against measurements, where there are some."""
    citations: tuple[CitationRecord, ...] = ()
    """Found in the documents."""
    egress: tuple[EgressRecord, ...] = ()
    """By host."""
    usage: Usage = Usage()
    """Of all members."""
    limitations: tuple[Text, ...] = ()
    """What this does not show."""


def assessment_bytes(assessment: Assessment) -> bytes:
    """Return the file's bytes: RFC 8785, every member present."""
    return canonical_json(assessment.model_dump(mode="json", by_alias=True))


def counts(assessment: Assessment) -> dict[str, int]:
    """Return how many duties ended in which status, every status named."""
    found = Counter(one.status for one in assessment.assessments)
    return {status: found[status] for status in ("answered", "invalid_output", "not_asked", "withheld")}


def confidentiality_of(assessment: Assessment) -> Confidentiality:
    """Return who may read the file: it quotes the documents."""
    secret = any(document.classification == "confidential" for document in assessment.documents)
    return Confidentiality.RESTRICTED if secret else Confidentiality.CONFIDENTIAL


def read_assessment(path: Path) -> tuple[Assessment, str]:
    """Return a file's assessment and the SHA-256 of its bytes.

    Raises:
        JudgeFileError: `assessment.not_found`, `.too_large`, `.syntax`, `.schema`, or that of a member.
    """
    members = read_object(path, JudgeFileError, "assessment")
    if members.get("schema") != SCHEMA:
        raise JudgeFileError("assessment.schema", f"{path}: schema: is not {SCHEMA!r}", "Give an assessment.json.")
    return parse_noun(Assessment, members, path, JudgeFileError, "assessment"), file_sha256(path)
