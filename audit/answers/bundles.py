"""The answers of the commands that make, seal, judge and show a report."""

from typing import Literal

from pydantic import Field

from audit.answers.common import About, AnswerNoun, Counts, ExitCode, Total
from reports.compare import Comparison
from reports.model import CheckId, Finding, Fingerprint, Remedy
from reports.nouns import Count, Moment, Severity, Sha256, Status, Strength, Text
from reports.proof import InclusionProof
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


class RenderAnswer(AnswerNoun):
    """Of `fedaudit render`."""

    output: Text
    """The file."""
    bytes: Count
    """Its size."""


class ShowAnswer(AnswerNoun):
    """Of `fedaudit show`."""

    report: About
    """Which report."""
    counts: Counts
    """Findings by status, of the whole report."""
    findings: tuple[Finding, ...]
    """Those that were asked for, whole."""
    withheld: tuple[Text, ...]
    """Paths below `evidence/` of what is absent, as it may be."""


class ProofAnswer(AnswerNoun):
    """Of `fedaudit show --proof`."""

    report: About
    """Which report."""
    proof: InclusionProof
    """That the evidence is under its root."""


class CheckTimed(AnswerNoun):
    """How long one check took."""

    check: Text
    """Its id."""
    seconds: float
    """From question to answer."""
    trials: Count
    """Trials that are kept."""
    trial_seconds: float
    """Of all of them together."""
    median_seconds: float | None
    """Of a trial; null where there is none."""
    longest_seconds: float | None
    """Of a trial; null where there is none."""


class TimingsAnswer(AnswerNoun):
    """Of `fedaudit show --timings`."""

    report: About
    """Which report."""
    timings: tuple[CheckTimed, ...]
    """The longest check first; the word of the run store, which nobody signs."""


class DutyChange(AnswerNoun):
    """A duty whose state moved."""

    control: Text
    """Id of the catalogue."""
    direction: Literal["better", "worse", "new", "gone", "other"]
    """Which way."""
    old: Text | None
    """State before; null where there was no row."""
    new: Text | None
    """State now; null where there is no row."""


class StalledRemedy(AnswerNoun):
    """A remedy that is proposed again though nothing moved since."""

    fingerprint: Fingerprint
    """Of the finding."""
    check: CheckId
    """Its check."""
    key: Text
    """Its key."""
    remedy: Remedy
    """What is proposed."""
    proposed: Count
    """How often."""


class CompareAnswer(Comparison):
    """Of `fedaudit compare`."""

    duties: tuple[DutyChange, ...]
    """Rows of the law that moved."""
    exhausted: tuple[StalledRemedy, ...]
    """Remedies that moved nothing."""


class InitAnswer(AnswerNoun):
    """Of `fedaudit init`."""

    written: tuple[Text, ...]
    """Paths of the files."""


class CheckTold(AnswerNoun):
    """A check that there is."""

    id: CheckId
    """Its name."""
    title: Text
    """The sentence that is true when it passes."""
    strength: Strength
    """The kind of proof it gives."""
    needs: tuple[Text, ...]
    """Keys of the system file; `a|b` is either."""
    controls: tuple[Text, ...]
    """Duties that it speaks to."""
    runs: bool | None
    """Whether it would run on --system; null without one."""
    missing: tuple[Text, ...]
    """Why not."""


class ChecksAnswer(AnswerNoun):
    """Of `fedaudit checks`."""

    checks: tuple[CheckTold, ...]
    """In the order of their ids."""


class Toured(AnswerNoun):
    """A federation of the demo."""

    system: Text
    """Its system file."""
    bundle: Text
    """The bundle."""
    page: Text
    """The report as a page."""
    subject: Text
    """The model."""
    result: Result
    """The verdict."""
    gate_exit_code: ExitCode
    """Of the gate."""
    findings: dict[str, Status]
    """The gravest answer by check."""
    verify: Text
    """The line that verifies it."""
    gate: Text
    """The line that judges it."""


class DemoAnswer(AnswerNoun):
    """Of `fedaudit demo`."""

    folder: Text
    """Where everything lies."""
    policy: Text
    """By what was judged."""
    trust: Text
    """Whom to believe."""
    deviations: tuple[Text, ...]
    """Answers that are not those that were planted."""
    systems: dict[str, Toured] = Field(min_length=1)
    """By name."""


class AttackTold(AnswerNoun):
    """An attack that there is."""

    check: CheckId
    """Its name."""
    title: Text
    """The sentence that is true when it passes."""
    needs: tuple[Text, ...]
    """Keys of the system file."""
    controls: tuple[Text, ...]
    """Duties that it speaks to."""
    runs: bool | None
    """Whether it would run on --system; null without one."""
    reason: Text | None
    """Machine word of why not."""


class AttackListAnswer(AnswerNoun):
    """Of `fedaudit attack list`."""

    attacks: tuple[AttackTold, ...]
    """In the order of their ids."""


class AttackRunAnswer(AnswerNoun):
    """Of `fedaudit attack run`."""

    system: Text
    """Name of the system."""
    seed: Count
    """The root seed."""
    effort: Literal["smoke", "standard", "full"]
    """How much work it did."""
    device: Text
    """Where it computed."""
    engine: Text
    """How gradients were matched."""
    findings: tuple[Finding, ...]
    """What was found, whole."""
