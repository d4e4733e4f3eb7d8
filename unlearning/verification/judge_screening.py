"""Quick looks that can find a memory and never exclude one: distance over the floor, and planted triggers."""

from dataclasses import dataclass

from unlearning.verification.backdoor import LEAST_PROBES, DeletionDecision
from unlearning.verification.distance import FloorRatio
from unlearning.verification.evidence import Reference
from unlearning.verification.thresholds import Thresholds
from unlearning.verification.verdict import Outcome, fail, skipped, undecided


@dataclass(frozen=True)
class ScreeningVerdict:
    """How far the delivered model lies from retrained ones, in units of their own distances."""

    outcome: Outcome
    """fail or inconclusive."""
    forget: FloorRatio | None = None
    """On the forget set; None where there were too few oracles."""
    test: FloorRatio | None = None
    """On the test set; None without one."""
    before: FloorRatio | None = None
    """Of the model before, on the forget set: what the test can see."""


@dataclass(frozen=True)
class BackdoorVerdict:
    """Whether planted triggers still work."""

    outcome: Outcome
    """fail or inconclusive."""
    decision: DeletionDecision | None = None
    """The exact binomial test; None where there are no probes, or nothing to compare with."""


def judge_screening(
    reference: Reference,
    forget: FloorRatio | None,
    test: FloorRatio | None,
    before: FloorRatio | None,
    thresholds: Thresholds | None = None,
) -> ScreeningVerdict:
    """Return the answer of the check `unlearning.federated.screening`: near the floor is not forgetting.

    Args:
        reference: What the retrained models are.
        forget: Ratio of the delivered model on the forget set; None with fewer than three oracles.
        test: The same on the test set.
        before: Of the model before, on the forget set.
        thresholds: The limits.
    """
    limit = (thresholds or Thresholds()).most_floor_ratio
    if forget is None:
        outcome = undecided("oracles-not-independent" if reference.dropped else "budget")
    elif reference.length_differs:
        outcome = undecided("length-mismatch")
    elif any(one is not None and one.interval.low > limit for one in (forget, test)):
        outcome = fail()
    elif before is not None and before.interval.low <= limit:
        outcome = undecided("no-influence")
    else:
        outcome = undecided("screening-only")
    return ScreeningVerdict(outcome, forget, test, before)


def judge_backdoor(decision: DeletionDecision | None, *, probes: int, oracles: int) -> BackdoorVerdict:
    """Return the answer of the check `unlearning.federated.backdoor`: a patched trigger looks like a forgotten one.

    Args:
        decision: The binomial test, where there was something to compare with.
        probes: How many there are.
        oracles: Retrained models that were asked.
    """
    if not probes:
        return BackdoorVerdict(skipped("missing:probes"))
    if decision is None:
        return BackdoorVerdict(undecided("budget" if not oracles else "missing:before"))
    if probes < LEAST_PROBES:
        return BackdoorVerdict(undecided("budget"), decision)
    if decision.rejected:
        return BackdoorVerdict(fail(), decision)
    return BackdoorVerdict(undecided("screening-only" if decision.informative else "no-influence"), decision)
