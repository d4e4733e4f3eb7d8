"""What judging a report comes to: one judgement a rule and finding, and the verdict that follows from them all."""

from collections import Counter
from collections.abc import Iterable
from enum import StrEnum
from typing import Literal

from reports.model import Finding, Fingerprint, Key, MeasurementName
from reports.nouns import Count, Day, FiniteNumber, Noun, Sha256, Text, Word


class Outcome(StrEnum):
    """What one judgement means for the verdict."""

    OK = "ok"
    WARN = "warn"
    WAIVED = "waived"
    INCOMPLETE = "incomplete"
    FAIL = "fail"


class Result(StrEnum):
    """The verdict in a word."""

    PASSED = "passed"
    FAILED = "failed"
    INCOMPLETE = "incomplete"


class Judgement(Noun):
    """What one rule says, of one finding or measurement where it speaks of one."""

    rule: Word
    """The place in the policy, such as `fail_on`, `require[0]`, `threshold[2]` or `waivers[1]`."""
    check: Text = ""
    """Id of the check it speaks of; a glob where no check matched one; empty where the rule is about the report."""
    key: Key = ""
    """Key of the finding, or `control=ID`."""
    fingerprint: Fingerprint | None = None
    """Of the finding."""
    measurement: MeasurementName | None = None
    """Name of the measurement."""
    outcome: Outcome
    """What it means for the verdict."""
    code: Word
    """Stable machine word, such as `threshold.undecided`."""
    value: FiniteNumber | None = None
    """Of the measurement."""
    low: FiniteNumber | None = None
    """Lower end of its interval."""
    high: FiniteNumber | None = None
    """Upper end of its interval."""
    n: Count | None = None
    """Trials behind it."""
    op: Literal["<=", ">="] | None = None
    """Which side of the limit satisfies."""
    limit: FiniteNumber | None = None
    """What it was held to."""
    message: Text
    """One sentence, with advice where something is to be done."""
    waiver: Word | None = None
    """Id of the waiver that excuses it, or that it speaks of."""


class WaiverState(Noun):
    """What became of one waiver."""

    id: Word
    """The waiver."""
    state: Literal["applied", "expired", "not-yet", "unused"]
    """Whether it excused something today, and if not, why not."""


class Verdict(Noun):
    """What a policy says of a report on a day."""

    result: Result
    """Failed where anything failed; else incomplete where anything is; else passed."""
    system: Word
    """Name of the system."""
    policy_name: Word
    """Name of the policy."""
    policy_sha256: Sha256
    """Digest of the policy."""
    report_sha256: Sha256 | None = None
    """Id of the report, where the caller knew it."""
    today: Day
    """The day (UTC) on which it was judged."""
    judgements: tuple[Judgement, ...]
    """In the order of the rules."""
    waivers: tuple[WaiverState, ...]
    """In the order of the policy."""

    @property
    def exit_code(self) -> int:
        """0 passed, 1 failed, 3 incomplete."""
        return {Result.PASSED: 0, Result.FAILED: 1, Result.INCOMPLETE: 3}[self.result]

    @property
    def counts(self) -> dict[Outcome, int]:
        """Number of judgements by outcome, gravest last; every outcome is there."""
        return {outcome: sum(j.outcome is outcome for j in self.judgements) for outcome in Outcome}


MOST_ALIKE = 3
"""Warnings of one check that are told one by one."""


def gathered(judgements: Iterable[Judgement]) -> tuple[Judgement, ...]:
    """Return judgements for people: where a check warns more often than `MOST_ALIKE`, one sentence counts the rest.

    What blocks or is excused stays, one by one; the verdict itself holds every judgement.
    """
    listed = tuple(judgements)
    alike = Counter(_kind(one) for one in listed if one.outcome is Outcome.WARN)
    told: set[tuple[str, str, str]] = set()
    shown: list[Judgement] = []
    for one in listed:
        count = alike[_kind(one)] if one.outcome is Outcome.WARN else 1
        if count <= MOST_ALIKE:
            shown.append(one)
        elif _kind(one) not in told:
            told.add(_kind(one))
            message = f"{count} findings of {one.check} warn alike; the first: {one.message}"
            shown.append(one.model_copy(update={"key": "", "message": message}))
    return tuple(shown)


def _kind(judgement: Judgement) -> tuple[str, str, str]:
    return judgement.rule, judgement.code, judgement.check


def result_of(judgements: Iterable[Judgement]) -> Result:
    """Return failed if any judgement fails, else incomplete if any is, else passed."""
    outcomes = {judgement.outcome for judgement in judgements}
    if Outcome.FAIL in outcomes:
        return Result.FAILED
    return Result.INCOMPLETE if Outcome.INCOMPLETE in outcomes else Result.PASSED


def called(finding: Finding) -> str:
    """Return how a message names a finding: its check, and its key where it has one."""
    return f"{finding.check} [{finding.key}]" if finding.key else finding.check
