"""Does the method forget on this data, over seeds? Unlearned models against matched references, example by example."""

from dataclasses import dataclass

from unlearning.verification.forgetting_quality import ForgettingQuality
from unlearning.verification.likelihood_ratio import ULiraResult
from unlearning.verification.thresholds import Thresholds
from unlearning.verification.verdict import PASS, Outcome, fail, undecided


@dataclass(frozen=True, eq=False)
class MethodVerdict:
    """What U-LiRA and the forgetting quality say of a method."""

    outcome: Outcome
    """The answer."""
    unlearned: ULiraResult
    """Of models that the method has made to forget, against references."""
    control: ULiraResult
    """Of more references: what there is to see where there is nothing."""
    original: ULiraResult
    """Of originals: what there is to see where nothing was forgotten."""
    quality: ForgettingQuality
    """V4 of the unlearned models."""
    control_quality: ForgettingQuality
    """V4 of the control."""
    models: int
    """Unlearned models."""

    @property
    def quality_share(self) -> float:
        """F over the control's."""
        return self.quality.score / self.control_quality.score


def judge_method(
    unlearned: ULiraResult,
    control: ULiraResult,
    original: ULiraResult,
    quality: ForgettingQuality,
    control_quality: ForgettingQuality,
    *,
    models: int,
    length_differs: bool = False,
    thresholds: Thresholds | None = None,
) -> MethodVerdict:
    """Return the answer of the check `unlearning.federated.method`.

    A control that can itself be told from references shows that the test is not calibrated: then nothing is decided.

    Args:
        unlearned: Unlearned models against references.
        control: More references against references.
        original: Originals against references.
        quality: V4 of the first.
        control_quality: V4 of the second.
        models: Unlearned models.
        length_differs: Whether the delivered model took other rounds than the method would.
        thresholds: The limits.
    """
    limits = thresholds or Thresholds()
    share = quality.score / control_quality.score
    within = limits.lowest_auc <= unlearned.interval.low and unlearned.interval.high <= limits.highest_auc
    if not control.interval.low <= 0.5 <= control.interval.high:
        outcome = undecided("control-failed")
    elif unlearned.interval.low > limits.highest_auc or unlearned.interval.high < limits.lowest_auc:
        outcome = fail()
    elif original.interval.low < limits.least_original_auc:
        outcome = undecided("no-influence")
    elif length_differs:
        outcome = undecided("length-mismatch")
    elif models < limits.least_oracles:
        outcome = undecided("budget")
    elif within and unlearned.tpr_interval.high <= limits.most_found and share >= limits.least_quality:
        outcome = PASS
    else:
        outcome = undecided("not-excluded")
    return MethodVerdict(outcome, unlearned, control, original, quality, control_quality, models)
