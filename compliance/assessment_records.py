"""The records inside `assessment.json` that are no readings: who read what, how it was tried, what else was found.

Words of a document stand here as they are, control characters and all: a page must escape them.
"""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from compliance.aggregate import Answer
from reports.nouns import Count, FiniteNumber, Noun, Sha256, Text, Word

__all__ = [
    "AdmissionState",
    "CitationRecord",
    "ClaimRecord",
    "ClaimSource",
    "DecoyRecord",
    "DocumentRecord",
    "EgressRecord",
    "FlagRecord",
    "Foreign",
    "JudgeRecord",
    "MemberRecord",
    "PlantedRecord",
    "Score",
    "Usage",
]

AdmissionState = Literal["admitted", "not_admitted", "expired", "mismatch", "uncalibrated"]
"""What the calibration says of the reader."""
Score = Annotated[int, Field(strict=True, ge=1, le=5)]
Foreign = Annotated[str, StringConstraints(strict=True)]
"""Words of a document as they are."""


class MemberRecord(Noun):
    """One model of the panel, and how it was asked."""

    name: Word
    """In the judge file."""
    model: Word
    """As it was asked for."""
    reply_models: tuple[Text, ...] = ()
    """As the replies name it, sorted."""
    host: Word
    """Where it is asked, with the port."""
    temperature: FiniteNumber
    """Of sampling."""
    top_p: FiniteNumber
    """Of sampling."""
    max_tokens: Count
    """Of an answer."""
    context_tokens: Count
    """Of question and answer."""


class JudgeRecord(Noun):
    """Who read, and whether the reader was measured."""

    members: tuple[MemberRecord, ...]
    """The models that were asked."""
    samples: Count
    """Answers asked for each question."""
    seed: Count
    """Of samples and of the words that mark a document."""
    state: AdmissionState
    """What the calibration says."""
    radius: Annotated[Count, Field(le=4)] | None = None
    """Of the score set; None without a calibration of this reader."""
    prompt_sha256: Sha256
    """Of the fixed words of a question."""
    schema_sha256: Sha256
    """Of the form of an answer."""
    calibration_sha256: Sha256 | None = None
    """Of the calibration file."""
    cassette_sha256: Sha256 | None = None
    """Root of the recording that answered or was made; None where nothing was recorded."""
    panel_alpha: FiniteNumber | None = None
    """Krippendorff's alpha (ordinal) of the members over the duties; None for one member, or where it is undefined."""


class FlagRecord(Noun):
    """A place of a document that may steer its reader."""

    kind: Word
    """Of the scan."""
    start: Count
    """First character."""
    end: Count
    """One past the last."""
    excerpt: Foreign
    """At most 80 characters of it."""
    where: Literal["text", "concealed"] = "text"
    """Whether it stands in the text or is hidden from who reads it."""


class DocumentRecord(Noun):
    """One document that was read."""

    path: Text
    """As it was named."""
    sha256: Sha256
    """Of its bytes."""
    text_sha256: Sha256
    """Of its extracted text, into which all offsets point."""
    media_type: Word
    """What it was read as."""
    characters: Count
    """Of the text."""
    uncovered_characters: Count = 0
    """Put to no reader, or not for every duty, since a budget or an endpoint ended."""
    not_read: Count = 0
    """Pieces of the file that the extraction left out."""
    classification: Literal["public", "internal", "confidential"]
    """How far its words may be quoted."""
    sections: Count
    """Headings."""
    flags: tuple[FlagRecord, ...] = ()
    """What the scan found."""


class PlantedRecord(Noun):
    """One planted excerpt: the reader's positive or negative control."""

    id: Word
    """Of the excerpt."""
    expected: Literal["gap", "sound"]
    """What experts found."""
    score: Score | None
    """What the reader gave."""
    ok: bool
    """Whether it does not contradict them."""


BESIDE = "planted-"
"""Before the id of an excerpt: not a duty led the reader, but passages of the document set behind that excerpt."""


class DecoyRecord(Noun):
    """The duty of our invention that one document was asked about."""

    document: Text
    """Path of the document."""
    duty: Word
    """Of the shipped list."""
    answer: Answer | None
    """The most favourable one that came; None where not all came and none showed it."""
    ok: bool
    """Whether nothing showed what is not there."""


class ClaimSource(Noun):
    """Where a claim stands."""

    document: Text
    """Path, or `system.toml`."""
    start: Count | None = None
    """First character; None in the system file."""
    end: Count | None = None
    """One past the last."""
    quote: Foreign | None = None
    """Its words."""


class ClaimRecord(Noun):
    """A claim beside the measurement."""

    kind: Word
    """What is claimed."""
    value: FiniteNumber | Text | None = None
    """How much, or of whom."""
    unit: Text | None = None
    """Of the value."""
    hedged: bool = False
    """Whether it is an aim and no statement."""
    source: ClaimSource
    """Where it stands."""
    extractor: Literal["rule", "llm", "declaration"] = "rule"
    """Who found it."""
    state: Literal[
        "contradicted", "consistent", "not_contradicted", "untested", "not_comparable", "ambiguous", "inconsistent"
    ]
    """What the measurement says."""
    measurement: Text | None = None
    """Its name."""
    measured: FiniteNumber | None = None
    """Its value."""
    finding: Text | None = None
    """Whose it is."""


class CitationRecord(Noun):
    """A citation in a document."""

    input: Foreign
    """As written."""
    canonical: Text
    """As we write it; empty where it cannot be read."""
    status: Word
    """What the law says."""
    successor: Text | None = None
    """Where a deleted paragraph went."""
    document: Text
    """Path."""
    start: Count
    """First character."""
    end: Count
    """One past the last."""


class EgressRecord(Noun):
    """What the questions send to one host."""

    host: Word
    """With its port."""
    requests: Count
    """Sent."""
    bytes_sent: Count
    """Of request bodies."""


class Usage(Noun):
    """What the reading cost."""

    requests: Count = 0
    """Sent, or replayed."""
    prompt_tokens: Count = 0
    """As the servers counted."""
    completion_tokens: Count = 0
    """As the servers counted."""
    retries: Count = 0
    """Requests that were repeated after a fault."""
