"""The nouns of a report: measurement, finding, evidence, control row, provenance, report.

One import for everybody: `from reports.model import Finding, Status, System`.
"""

import hashlib
from typing import Annotated, Literal

import rfc8785
from pydantic import Field, StringConstraints, model_validator

from reports.nouns import (
    LARGEST_INTEGER,
    Basis,
    Confidentiality,
    Count,
    Day,
    Effort,
    FiniteNumber,
    Moment,
    Noun,
    Ordered,
    Severity,
    Sha256,
    Status,
    Strength,
    Text,
    Word,
)
from reports.system import (
    Artifact,
    Claims,
    Dataset,
    Definition,
    DifferentialPrivacy,
    Document,
    ErasureRequest,
    Federation,
    Model,
    Normalisation,
    SecureAggregation,
    System,
    Update,
)

__all__ = [
    "LARGEST_INTEGER",
    "Artifact",
    "Auditor",
    "Basis",
    "Claims",
    "Confidentiality",
    "ControlRow",
    "Dataset",
    "Definition",
    "DifferentialPrivacy",
    "Document",
    "Effort",
    "ErasureRequest",
    "Evidence",
    "Federation",
    "Finding",
    "Interval",
    "Measurement",
    "Model",
    "Normalisation",
    "Noun",
    "Ordered",
    "Provenance",
    "Remedy",
    "Report",
    "SecureAggregation",
    "Severity",
    "Status",
    "Strength",
    "System",
    "Threshold",
    "Update",
    "evidence_path",
    "fingerprint",
]

CheckId = Annotated[str, StringConstraints(strict=True, max_length=100, pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)+$")]
"""Parts joined by dots, words by hyphens."""
Fingerprint = Annotated[str, StringConstraints(strict=True, pattern=r"^[0-9a-f]{32}$")]
MeasurementName = Annotated[str, StringConstraints(strict=True, max_length=100, pattern=r"^[a-z0-9_.]+$")]
Key = Annotated[Text, Field(max_length=200)]


def fingerprint(system_name: str, check: str, key: str) -> str:
    """Return the 32 hexadecimal digits by which waivers and baselines know a finding, whatever the run or version."""
    return hashlib.sha256(rfc8785.dumps([system_name, check, key])).hexdigest()[:32]


def evidence_path(sha256: str, suffix: str = "") -> str:
    """Return where evidence lies below `evidence/`: two digits, then the digest and its suffix (`.json` or empty).

    The suffix of a salted piece ends in `.salted`: the file begins with its salt, whatever the media type says.
    """
    return f"{sha256[:2]}/{sha256}{suffix}"


class Interval(Noun):
    """A range that holds the true value with a stated confidence."""

    low: FiniteNumber
    """Lower end."""
    high: FiniteNumber
    """Upper end."""
    confidence: Annotated[FiniteNumber, Field(gt=0, lt=1)]
    """Of the whole interval; where an estimator is one-sided, of each end alone (its method says so)."""

    @model_validator(mode="after")
    def _ends_in_order(self) -> "Interval":
        if self.low > self.high:
            raise ValueError(f"low {self.low} lies above high {self.high}")
        return self


class Threshold(Noun):
    """The limit that a check held a value to."""

    op: Literal["<=", ">="]
    """Which side passes; equality satisfies."""
    limit: FiniteNumber
    """In the unit of the measurement."""


class Measurement(Noun):
    """One number a finding rests on, with what a reader needs to doubt it."""

    name: MeasurementName
    """What was measured, as policies and other checks know it."""
    value: FiniteNumber
    """In `unit`. There is no NaN: "no number" is a `Status`."""
    unit: Text = ""
    """`""` for a pure number, else nats, dB, bit, B."""
    interval: Interval | None = None
    """Holds the true value with `interval.confidence`; None where `value` is exact."""
    n: Count | None = None
    """Independent trials behind the value."""
    method: Text
    """Estimator and its source, in a few words."""
    threshold: Threshold | None = None
    """The limit of the check's own rule."""
    control: FiniteNumber | None = None
    """`value` of the same attack, same budget, on the unprotected twin."""


class Remedy(Noun):
    """What would mend a finding, readable by a machine."""

    parameter: Text
    """Path into system.toml, such as `federation.secure_aggregation.threshold`."""
    direction: Literal["raise", "lower", "set", "add", "remove"]
    """What to do with it."""
    value: Text | None = None
    """To which value, where one can be named."""
    text: Text
    """The same in a sentence."""


class Finding(Noun):
    """What one check found."""

    check: CheckId
    """Id of the check."""
    key: Key = ""
    """Tells several findings of one check apart, such as `unlearning=r1`."""
    title: Annotated[Text, Field(max_length=300)]
    """A sentence that is true when the check passes."""
    status: Status
    """The answer."""
    severity: Severity
    """The harm if it is true."""
    strength: Strength
    """The kind of proof."""
    basis: Basis
    """What it rests on."""
    summary: Annotated[Text, Field(min_length=1, max_length=300)]
    """One sentence for people."""
    detail: Text = ""
    """More, shown as text."""
    measurements: tuple[Measurement, ...] = ()
    """The numbers."""
    evidence: tuple[Sha256, ...] = ()
    """Digests of the evidence it cites."""
    controls: tuple[Word, ...] = ()
    """Ids of the law catalogue that it bears on."""
    remedy: Remedy | None = None
    """What would mend it."""
    limitations: tuple[Text, ...] = ()
    """What it does not show."""
    reason: Annotated[Text, Field(max_length=200)] = ""
    """A machine's word for why there is no decision, such as `missing:model.definition` or `control-failed`."""
    fingerprint: Fingerprint
    """Known to waivers and baselines by this."""


class Evidence(Noun):
    """One piece of evidence: content-addressed, so it can be withheld and still be cited."""

    sha256: Sha256
    """Digest of its file."""
    path: Annotated[
        str, StringConstraints(strict=True, pattern=r"^[0-9a-f]{2}/[0-9a-f]{64}(\.[a-z0-9]{1,8})?(\.salted)?$")
    ]
    """Below `evidence/`, named by its digest."""
    size: Count
    """Bytes of the file, its salt included."""
    media_type: Annotated[str, StringConstraints(strict=True, pattern=r"^[a-z0-9.+-]+/[a-z0-9.+-]+$", max_length=120)]
    """Such as `application/json`."""
    confidentiality: Confidentiality
    """Who may read it."""
    name: Annotated[Text, Field(min_length=1, max_length=120, pattern=r"^[^\t\n]+$")]
    """Shown to people, never used as a path."""
    salted: Annotated[bool, Field(strict=True)] = False
    """Whether the file is a salt of 32 bytes and then the content (`reports.salting`); the digest is over both."""

    @model_validator(mode="after")
    def _named_by_its_digest(self) -> "Evidence":
        if self.path.partition(".")[0] != evidence_path(self.sha256):
            raise ValueError(f"path {self.path!r} is not named by the digest {self.sha256}")
        if self.path.endswith(".salted") != self.salted:
            raise ValueError(f"path {self.path!r} ends in .salted if and only if the evidence is salted")
        return self


class ControlRow(Noun):
    """What the findings say of one duty of the law."""

    control: Word
    """Id of the catalogue, such as `EU-AIA:15(5)`."""
    title: Text
    """The duty in our words."""
    role: Word
    """Who must act."""
    law_version: Word
    """The version of the law."""
    applies_from: Day | None = None
    """First day it applies."""
    applicability: Literal[
        "applies", "not_yet", "transitional", "with_high_risk", "condition_unknown", "not_addressed", "repealed"
    ]
    """Whether it applies to this system."""
    applicability_reason: Text
    """Why."""
    ceiling: Literal["direct", "partial", "document", "attestation"]
    """The most that a tool's evidence can carry here."""
    state: Literal["supported", "contradicted", "insufficient", "not-assessed"]
    """What the findings say."""
    support: Literal["direct", "partial", "document", "attestation"] | None = None
    """How far they carry."""
    strength: Strength | None = None
    """Of the best deciding finding."""
    missing: tuple[Word, ...] = ()
    """Kinds of evidence that are missing."""
    next_step: Text
    """Who does what to close it."""
    findings: tuple[Fingerprint, ...] = ()
    """The findings that count."""


class Auditor(Noun):
    """The person who answers for the test."""

    name: Word
    """Person."""
    organisation: Word | None = None
    """Employer or office."""
    independence: Literal["internal", "external"] | None = None
    """Whether they belong to the owner."""


class Provenance(Noun):
    """How the report came about; nothing here differs between two runs with the same inputs and clock."""

    tool_version: Word
    """Version of fedaudit."""
    schema_version: Literal[1] = 1
    """Of this document."""
    root_seed: Annotated[int, Field(strict=True, ge=0, le=LARGEST_INTEGER)]
    """From which every random number but keys is derived."""
    seed_source: Literal["derived", "chosen"]
    """Derived from system, policy and nonce, or chosen by hand."""
    nonce: Word | None = None
    """A verifier's word that proves the run came after it."""
    effort: Effort
    """How much work was allowed."""
    only: tuple[Word, ...] = ()
    """Globs of the checks that were asked."""
    skip: tuple[Word, ...] = ()
    """Globs of the checks that were left out."""
    python: Word
    """Version of Python."""
    platform: Word
    """Such as `linux-x86_64`."""
    threads: Count
    """Threads of one trial."""
    packages: dict[Word, Word]
    """Versions of the installed distributions that our own metadata names."""
    auditor: Auditor | None = None
    """Who answers for the test."""
    policy_sha256: Sha256 | None = None
    """Digest of the policy that was fixed before the run."""
    previous_report_sha256: Sha256 | None = None
    """Id of the report that this one follows."""
    started: Moment
    """Start; equal to `finished`, since the clock is fixed for the run."""
    finished: Moment
    """End."""


class Report(Noun):
    """The predicate that is signed. Nothing derivable is stored: no counts, no verdict."""

    system: System
    """What was reviewed."""
    findings: tuple[Finding, ...]
    """What was found, sorted by check and key."""
    evidence: tuple[Evidence, ...]
    """What it rests on, sorted by digest."""
    evidence_root: Sha256
    """RFC 6962 tree hash over the evidence list."""
    controls: tuple[ControlRow, ...] = ()
    """What the findings say of the law."""
    provenance: Provenance
    """How it came about."""
