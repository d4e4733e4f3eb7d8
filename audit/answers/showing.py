"""The answers of the commands that show: reports, what changed between two, checks, attacks, the tour."""

from typing import Literal

from pydantic import Field

from audit.answers.common import About, AnswerNoun, Counts, ExitCode
from reports.compare import Comparison
from reports.model import CheckId, Finding, Fingerprint, Remedy
from reports.nouns import Count, Status, Strength, Text
from reports.proof import InclusionProof
from reports.verdict import Result


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
