"""Does the forgotten data still speak through one delivered model? The answer that all others lead up to.

A pass needs a test that could have failed: the same test must reject at least four in five originals, which did see the
data. A rejection needs less: that the test sees any trace at all. What neither excludes nor shows is inconclusive.
"""

from dataclasses import dataclass
from typing import Literal

from reports.model import Severity, Strength
from unlearning.verification.distance import FloorRatio
from unlearning.verification.evidence import Reference
from unlearning.verification.rank import RankResult
from unlearning.verification.thresholds import LEAST_RANKED, Thresholds
from unlearning.verification.verdict import PASS, STRENGTHS, Grade, Outcome, fail, sees_a_trace, undecided

Direction = Literal["remembers", "over-forgotten", "apart", ""]


@dataclass(frozen=True, eq=False)
class ResidualVerdict:
    """Whether influence was detected, and on what evidence."""

    outcome: Outcome
    """The answer."""
    grade: Grade
    """Of the evidence."""
    rank: RankResult | None = None
    """The exact rank test; None where there were too few models for it."""
    distance: FloorRatio | None = None
    """Where there is no rank test: the delivered model's distance to retrained ones."""
    before_distance: FloorRatio | None = None
    """The same of the model before."""

    @property
    def strength(self) -> Strength:
        """The kind of proof."""
        return STRENGTHS[self.grade]

    @property
    def direction(self) -> Direction:
        """On which side of the retrained models it stands, where the rank test rejects it."""
        if self.rank is None or not self.rank.rejected:
            return ""
        if self.rank.interval is not None and self.rank.interval.low > 0:
            return "remembers"
        beyond = self.rank.interval is not None and self.rank.interval.high < 0
        return "over-forgotten" if beyond or self.rank.mean_shift < 0 else "apart"


def judge_residual(
    reference: Reference,
    rank: RankResult | None,
    *,
    distance: FloorRatio | None = None,
    before_distance: FloorRatio | None = None,
    replayed: bool = False,
    method_failed: bool = False,
    thresholds: Thresholds | None = None,
) -> ResidualVerdict:
    """Return the answer of the check `unlearning.federated.residual`.

    Args:
        reference: What the models are that decide.
        rank: The rank test of the delivered model, where there were models enough.
        distance: Its Jensen-Shannon ratio on the forget set, where there were three oracles.
        before_distance: The same of the model before.
        replayed: Whether an exact method, run again by the auditor on retained data free of duplicates of what was to
            be forgotten, gave the delivered bytes. This decides; a rejection beside it only takes the pass away.
        method_failed: Whether the method was shown not to forget on this data.
        thresholds: The limits.
    """
    limits = thresholds or Thresholds()
    grade: Grade = "C"
    if reference.models and reference.kind != "none":
        grade = "B"
    if rank is not None and _ranks_soundly(reference, rank, limits):
        grade = "A"
    outcome = _by_models(reference, rank, distance, before_distance, limits)
    if replayed:
        grade, outcome = "A+", undecided("contradicts-replay") if outcome.failed else PASS
    if method_failed and not outcome.failed and outcome.reason != "contradicts-replay":
        outcome = undecided("method-failed")
    return ResidualVerdict(outcome, grade, rank, distance, before_distance)


def _ranks_soundly(reference: Reference, rank: RankResult, limits: Thresholds) -> bool:
    """Tell whether the rank test is evidence of grade A."""
    own = reference.kind == "matched" and reference.trained_by == "auditor" and not reference.length_differs
    return own and reference.models >= limits.least_oracles and rank.power_interval.low >= limits.least_power


def _by_models(
    reference: Reference,
    rank: RankResult | None,
    distance: FloorRatio | None,
    before: FloorRatio | None,
    limits: Thresholds,
) -> Outcome:
    """Return what the models say, no replay considered."""
    if reference.kind == "none":
        return undecided("missing:oracles")
    if reference.length_differs:
        return undecided("length-mismatch")
    if rank is None:
        off_floor = [one is not None and one.interval.low > limits.most_floor_ratio for one in (distance, before)]
        if all(off_floor):
            return fail()
        if reference.dropped and reference.models < LEAST_RANKED:
            return undecided("oracles-not-independent")
        return undecided("supplied-oracles" if reference.kind == "supplied" else "budget")
    if reference.kind != "matched":  # the strict reference is not the method's own: only a trace speaks against it
        traced = rank.rejected and sees_a_trace(rank) and rank.interval is not None and rank.interval.low > 0
        return fail(Severity.HIGH) if traced else undecided("unknown-method")
    return _by_rank(rank, reference.models, limits)


def _by_rank(rank: RankResult, models: int, limits: Thresholds) -> Outcome:
    """Return what the rank test against matched references says."""
    if not sees_a_trace(rank) or rank.interval is None:
        return undecided("no-influence")
    if rank.rejected:
        return fail(Severity.HIGH if rank.interval.low > 0 else Severity.MEDIUM)
    if rank.power_interval.low < limits.least_power:
        return undecided("no-influence")
    if models < limits.least_oracles:
        return undecided("budget")
    if rank.interval.high > limits.most_residual or rank.interval.low < limits.least_residual:
        return undecided("share-not-bounded")
    return PASS
