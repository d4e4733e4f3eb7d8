"""What every judgement of a verification comes to, and how good its evidence is."""

from dataclasses import dataclass
from typing import Literal

from reports.model import Severity, Status, Strength
from unlearning.verification.rank import RankResult

Grade = Literal["A+", "A", "B", "C", "D"]
"""A+: an exact method, run again by the auditor to the same bytes. A: the exact rank test against 64 retrained models
or more of the auditor's own, with power shown. B: a few retrained models, or an owner's. C: none. D: a record alone."""
STRENGTHS: dict[Grade, Strength] = {
    "A+": Strength.EXACT,
    "A": Strength.STATISTICAL,
    "B": Strength.SCREENING,
    "C": Strength.SCREENING,
    "D": Strength.DOCUMENT,
}


@dataclass(frozen=True)
class Outcome:
    """An answer, and the machine's word for why there is none."""

    status: Status
    """pass, fail, inconclusive or skipped."""
    reason: str = ""
    """Empty for a pass and a fail."""
    severity: Severity | None = None
    """Of a failure; None for the check's own."""

    @property
    def passed(self) -> bool:
        """Whether it is a pass."""
        return self.status is Status.PASS

    @property
    def failed(self) -> bool:
        """Whether it is a fail."""
        return self.status is Status.FAIL


PASS = Outcome(Status.PASS)


def fail(severity: Severity | None = None) -> Outcome:
    """Return a failure."""
    return Outcome(Status.FAIL, severity=severity)


def undecided(reason: str) -> Outcome:
    """Return an answer that decides nothing, and why."""
    return Outcome(Status.INCONCLUSIVE, reason)


def skipped(reason: str) -> Outcome:
    """Return that nothing was asked, and why."""
    return Outcome(Status.SKIPPED, reason)


def sees_a_trace(rank: RankResult) -> bool:
    """Tell whether the rank test rejects originals oftener than its level: there is something to be forgotten."""
    return rank.residual is not None and rank.power_interval.low > rank.level
