"""The answers of the commands that make, seal and judge a report."""

from typing import Literal

from audit.answers.common import About, AnswerNoun, Counts, Total
from reports.model import CheckId, Fingerprint
from reports.nouns import Count, Moment, Severity, Sha256, Status, Strength, Text
from reports.verdict import Judgement, Result, WaiverState


class ShortFinding(AnswerNoun):
    """A finding, without its numbers and its evidence."""

    check: CheckId
    """Which check."""
    key: Text
    """What tells several findings of it apart; may be empty."""
    status: Status
    """The answer."""
    severity: Severity
    """The harm if it is true."""
    strength: Strength
    """The kind of proof."""
    summary: Text
    """One sentence."""
    reason: Text
    """Machine word of what was not decided; else empty."""
    fingerprint: Fingerprint
    """Stable name."""


class RunAnswer(AnswerNoun):
    """Of `fedaudit run`."""

    bundle: Text
    """Where it was written."""
    report_sha256: Sha256
    """Id of the report."""
    signed: bool
    """Whether a key signed it."""
    keyid: Sha256 | None
    """Which."""
    counts: Counts
    """Findings by status."""
    findings: tuple[ShortFinding, ...]
    """In the order of the report."""
    evidence: Total
    """What was put beside it."""


class KeygenAnswer(AnswerNoun):
    """Of `fedaudit keygen`."""

    private_key: Text
    """Path; keep it."""
    public_key: Text
    """Path; give it to verifiers."""
    keyid: Sha256
    """SHA-256 of the public key (SPKI, DER)."""
    algorithm: Literal["ecdsa-p256", "ed25519"]
    """What it signs with."""
    encrypted: bool
    """Whether a passphrase protects the file."""


class SignAnswer(AnswerNoun):
    """Of `fedaudit sign`."""

    report_sha256: Sha256
    """Id of the report."""
    keyid: Sha256
    """Whose signature."""
    signatures: tuple[Text, ...]
    """Key ids of all signatures, in their order."""
    timestamp_query: Text | None
    """File that was written for a time-stamping authority."""
    stamped: bool
    """Whether a time-stamp is attached to a signature of this key."""


class SignerTold(AnswerNoun):
    """A trusted key that signed."""

    keyid: Sha256
    """SHA-256 of its material."""
    name: Text
    """Whose it is, by the trust file."""
    role: Text
    """In what capacity."""
    algorithm: Text
    """`ecdsa-p256` or `ed25519`."""
    counted: bool
    """Whether it counts towards its role."""
    reason: Text
    """Why not; else empty."""
    stamped_at: Moment | None
    """When a listed authority saw the signature; null without its time-stamp."""


class SubjectTold(AnswerNoun):
    """A file or folder that was held against the report."""

    path: Text
    """As it was named."""
    sha256: Sha256
    """Its digest."""
    matched: Text
    """Name of that subject in the report."""


class Present(Total):
    """The evidence that was checked."""

    withheld: tuple[Text, ...]
    """Paths of what is absent, as it may be."""


class StepTold(AnswerNoun):
    """A step of the verification."""

    step: Count
    """Its number."""
    ok: bool
    """Whether it was passed."""


class FaultTold(AnswerNoun):
    """Something that is wrong."""

    code: Text
    """Machine word."""
    message: Text
    """One sentence."""


class VerifyAnswer(AnswerNoun):
    """Of `fedaudit verify`; where the bundle is refused, what was not proved is null or empty."""

    authentic: bool
    """Whether every step that was taken passed."""
    report: About | None
    """What it is."""
    signers: tuple[SignerTold, ...]
    """Trusted keys that signed."""
    subjects: tuple[SubjectTold, ...]
    """What it is about."""
    evidence: Present | None
    """What was checked."""
    trust_sha256: Sha256 | None
    """Digest of the trust file."""
    steps: tuple[StepTold, ...]
    """Those that were taken, in order."""
    faults: tuple[FaultTold, ...]
    """The first; with --all every one of the evidence."""
    warnings: tuple[Text, ...]
    """What a reader should know."""


class PolicyTold(AnswerNoun):
    """By what was judged."""

    name: Text
    """Of the policy."""
    sha256: Sha256
    """Its digest, without waivers."""


class GateAnswer(AnswerNoun):
    """Of `fedaudit gate`; with --lint, and where nothing was judged, the rest is null or empty."""

    result: Result | None
    """The verdict."""
    authentic: bool | None
    """True where it was verified, false where it is not authentic, null where nobody asked."""
    policy: PolicyTold | None
    """By what."""
    report: About | None
    """What was judged."""
    baseline: About | None
    """What it was compared with."""
    counts: Counts | None
    """Findings by status."""
    judgements: tuple[Judgement, ...]
    """In the order of the rules."""
    waivers: tuple[WaiverState, ...]
    """In the order of their file."""
    withheld: tuple[Text, ...]
    """Paths below `evidence/` of what is absent, as it may be."""
