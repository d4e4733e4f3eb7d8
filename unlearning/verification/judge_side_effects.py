"""Did the forgetting cost what it should not: members pushed beyond strangers, and the rest forgotten with them?"""

from dataclasses import dataclass

from reports.model import Interval
from unlearning.verification.evidence import Reference
from unlearning.verification.membership import Membership
from unlearning.verification.rank import RankResult
from unlearning.verification.relearn import Anamnesis
from unlearning.verification.thresholds import Thresholds
from unlearning.verification.utility import AccuracyGap
from unlearning.verification.verdict import PASS, Outcome, fail, skipped, undecided


@dataclass(frozen=True)
class MeanPower:
    """Share of held-out originals that the mean score alone rejects: how surely an overshoot as large would be seen."""

    value: float
    """Of the originals."""
    interval: Interval
    """Exact bounds, two-sided."""
    originals: int
    """How many there were."""


@dataclass(frozen=True, eq=False)
class OverForgettingVerdict:
    """Whether the forget set is known less than if it had never been seen."""

    outcome: Outcome
    """The answer."""
    twin: Membership | None = None
    """Forget set against its twin, by the loss alone; None without a twin of the same labels."""
    rank: RankResult | None = None
    """The rank test, of which the mean is looked at."""
    power: MeanPower | None = None
    """Of the mean alone."""
    anamnesis: Anamnesis | None = None
    """How quickly the forget set is learnt again, against retrained models."""


@dataclass(frozen=True)
class UtilityVerdict:
    """What is left of the model's accuracy."""

    outcome: Outcome
    """The answer."""
    gap: AccuracyGap | None = None
    """Test accuracy against retrained models; None without test examples, or models to compare with."""
    tug_of_war: float | None = None
    """ToW; None without retained examples, or with the model before in place of retrained ones."""
    untrained: float | None = None
    """The gap of a model that has learnt nothing: what the test can see."""
    against: str = "retrained"
    """What the models are that it was compared with: `retrained` or `before`."""


def judge_over_forgetting(
    reference: Reference,
    twin: Membership | None,
    rank: RankResult | None,
    power: MeanPower | None,
    anamnesis: Anamnesis | None = None,
    thresholds: Thresholds | None = None,
) -> OverForgettingVerdict:
    """Return the answer of the check `unlearning.federated.over-forgetting`.

    Fails where any of the three tests shows an overshoot; passes where the exact one could have and did not.

    Args:
        reference: What the retrained models are.
        twin: Population membership of the forget set against its twin.
        rank: The rank test against the references.
        power: Of its mean alone, over held-out originals.
        anamnesis: Relearning against retrained models.
        thresholds: The limits.
    """
    limits = thresholds or Thresholds()
    comparable = rank if reference.kind == "matched" and not reference.length_differs else None
    below = twin is not None and twin.interval.high < limits.least_twin_auc
    beyond = comparable is not None and comparable.mean_p_value <= comparable.level and comparable.mean_shift < 0
    relearnt = None if anamnesis is None else anamnesis.interval
    slower = relearnt is not None and relearnt.low > limits.most_anamnesis
    if below or beyond or slower:
        outcome = fail()
    elif comparable is None:
        outcome = undecided("length-mismatch" if reference.length_differs else "budget")
    elif power is None or power.interval.low < limits.least_power:
        outcome = undecided("no-power")
    elif reference.models < limits.least_oracles:
        outcome = undecided("budget")
    else:
        outcome = PASS
    return OverForgettingVerdict(outcome, twin, comparable, power, anamnesis)


def judge_utility(
    gap: AccuracyGap | None,
    *,
    tug_of_war: float | None = None,
    untrained: float | None = None,
    against: str = "retrained",
    thresholds: Thresholds | None = None,
) -> UtilityVerdict:
    """Return the answer of the check `unlearning.federated.utility`.

    Args:
        gap: Test accuracy minus that of the models it is compared with; None where there is nothing to compare.
        tug_of_war: ToW, where all three parts were asked about.
        untrained: Gap of a model that has learnt nothing.
        against: What it is compared with.
        thresholds: The limits.
    """
    limits = thresholds or Thresholds()
    if gap is None:
        return UtilityVerdict(skipped("missing:test"))
    seen = untrained is not None and untrained < -limits.seen_accuracy_loss
    if gap.excused < -limits.most_accuracy_loss:
        outcome = fail()
    elif not seen:
        outcome = undecided("control-failed")
    elif gap.value >= -limits.most_accuracy_loss and gap.interval.low > -limits.seen_accuracy_loss:
        outcome = PASS
    elif gap.interval.high < -limits.most_accuracy_loss:
        outcome = undecided("luck-of-training")
    else:
        outcome = undecided("too-few-examples")
    return UtilityVerdict(outcome, gap, tug_of_war, untrained, against)
