"""V1 to V15 in order: one delivered model, one erasure request, every test that its evidence allows.

    Delivered ─▶ gather ─▶ Evidence ─▶ tests ─▶ verdicts

Nothing is computed before somebody asks for it: a check that is asked alone costs no more than itself.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field

from reports.executor import Executor
from reports.model import Effort
from reports.statistics import clopper_pearson
from unlearning.federated.delivered import Delivered
from unlearning.federated.oracles import OracleCache
from unlearning.verification.answers import Logits, Part
from unlearning.verification.backdoor import DeletionDecision, deletion_decision, retrained_hit_rate
from unlearning.verification.distance import LEAST_ORACLES, FloorRatio, activation_ratio, js_ratio
from unlearning.verification.evidence import Evidence, Sides
from unlearning.verification.exposure import Exposure, exposure
from unlearning.verification.forgetting_quality import forgetting_quality
from unlearning.verification.gather import gather
from unlearning.verification.judge_method import MethodVerdict, judge_method
from unlearning.verification.judge_residual import ResidualVerdict, judge_residual
from unlearning.verification.judge_screening import BackdoorVerdict, ScreeningVerdict, judge_backdoor, judge_screening
from unlearning.verification.judge_side_effects import (
    MeanPower,
    OverForgettingVerdict,
    UtilityVerdict,
    judge_over_forgetting,
    judge_utility,
)
from unlearning.verification.likelihood_ratio import ULiraResult, u_lira
from unlearning.verification.margins import MarginDivergence, margin_divergence
from unlearning.verification.membership import Membership, population_membership
from unlearning.verification.rank import RankResult, rank_test
from unlearning.verification.relearning import Relearning
from unlearning.verification.scores import Array
from unlearning.verification.thresholds import Thresholds
from unlearning.verification.utility import AccuracyGap, accuracy_gap, tug_of_war

__all__ = ["Thresholds", "VerificationReport", "verify"]


def _not_replayed() -> bool:
    """Say that nothing was run again."""
    return False


@dataclass(frozen=True, eq=False)
class VerificationReport:
    """The tests of one erasure request and what they say; each is computed when it is first asked for."""

    evidence: Evidence
    """What they rest on."""
    thresholds: Thresholds = field(default_factory=Thresholds)
    """What they are held to."""
    replayed: Callable[[], bool] = _not_replayed
    """Tells whether an exact method was run again by the auditor to the delivered bytes, on retained data free of
    duplicates of what was to be forgotten."""

    @functools.cached_property
    def rank(self) -> RankResult | None:
        """V14: the delivered model among the references; None where there are too few for any level."""
        return self._rank(self.evidence.after.scores()[0])

    @functools.cached_property
    def rank_before(self) -> RankResult | None:
        """V14 of the model before: where it stands, for the plot; it decides nothing."""
        return None if self.evidence.before is None else self._rank(self.evidence.before.scores()[0])

    @functools.cached_property
    def strict_rank(self) -> RankResult | None:
        """V14 against models retrained by the recipe alone: shown beside, since other lengths look like memory."""
        found = self.evidence
        level = self.thresholds.level(found.reference.models)
        if found.strict is None or found.strict_originals is None or level is None:
            return None
        return rank_test(found.after.scores()[0], found.strict, found.strict_originals, level=level)

    @functools.cached_property
    def mean_power(self) -> MeanPower | None:
        """How many held-out originals the mean alone rejects: as many as of models pushed as far the other way."""
        found = self.evidence
        if self.rank is None or found.references is None or found.originals is None:
            return None
        oracles, originals = found.references.scores(), found.originals
        ranked = [rank_test(one, oracles, originals[:2], level=self.rank.level) for one in originals]
        rejected = sum(one.mean_p_value <= one.level for one in ranked)
        return MeanPower(rejected / len(ranked), clopper_pearson(rejected, len(ranked)), len(ranked))

    def _rank(self, scores: Array) -> RankResult | None:
        found, level = self.evidence, self.thresholds.level(self.evidence.reference.models)
        if found.references is None or found.originals is None or level is None:
            return None
        return rank_test(scores, found.references.scores(), found.originals, level=level)

    @functools.cached_property
    def residual(self) -> ResidualVerdict:
        """Whether influence was detected in the delivered model."""
        few = self.rank is None
        return judge_residual(
            self.evidence.reference,
            self.rank,
            distance=self.distance("forget") if few else None,
            before_distance=self.distance("forget", before=True) if few else None,
            replayed=self.replayed(),
            method_failed=self.method is not None and self.method.outcome.failed,
            thresholds=self.thresholds,
        )

    @functools.cached_property
    def method(self) -> MethodVerdict | None:
        """V3 and V4: whether the method forgets, over seeds; None where its models were not trained."""
        found = self.evidence
        if found.references is None or found.unlearned is None or found.control is None or found.originals is None:
            return None
        references = found.references.scores()
        return judge_method(
            self._u_lira(found.unlearned, "unlearned"),
            self._u_lira(found.control, "control"),
            self._u_lira(found.originals, "original"),
            forgetting_quality(found.unlearned, references),
            forgetting_quality(found.control, references),
            models=len(found.unlearned),
            length_differs=found.reference.length_differs,
            thresholds=self.thresholds,
        )

    def _u_lira(self, side: Array, purpose: str) -> ULiraResult:
        found = self.evidence
        assert found.references is not None  # noqa: S101  `method` has looked
        return u_lira(side, found.references.scores(), rng=found.rng(f"u-lira/{purpose}"))

    def distance(self, part: Part, *, before: bool = False) -> FloorRatio | None:
        """V6: Jensen-Shannon ratio of the delivered model, or the one before, to the references' floor."""
        return self._ratio(js_ratio, part, before)

    def activation(self, part: Part, *, before: bool = False) -> FloorRatio | None:
        """V7: the same by the Euclidean distance of probabilities; it decides nothing."""
        return self._ratio(activation_ratio, part, before)

    def _ratio(self, measure: Callable[[Logits, Logits], FloorRatio], part: Part, before: bool) -> FloorRatio | None:
        asked, references = self.evidence.before if before else self.evidence.after, self.evidence.references
        if asked is None or references is None or len(references) < LEAST_ORACLES or not asked.has(part):
            return None
        return measure(asked.logits[part][0], references.logits[part])

    def margins(self, part: Part, *, control: bool = False) -> MarginDivergence | None:
        """V5 at effort full: KLoM of unlearned models, or of the control, on one part; it decides nothing."""
        found = self.evidence
        if found.effort is not Effort.FULL or found.references is None:
            return None
        sides = found.elsewhere.get(part)
        if part == "forget" and found.unlearned is not None and found.control is not None:
            sides = Sides(found.unlearned, found.control)
        if sides is None:
            return None
        return margin_divergence(sides.control if control else sides.unlearned, found.references.scores(part))

    @functools.cached_property
    def screening(self) -> ScreeningVerdict:
        """V6: whether it lies as near to retrained models as they lie to one another."""
        return judge_screening(
            self.evidence.reference,
            self.distance("forget"),
            self.distance("test"),
            self.distance("forget", before=True),
            self.thresholds,
        )

    @functools.cached_property
    def membership(self) -> Membership | None:
        """V2: the forget set against its twin by the loss alone; a twin of other labels is refused."""
        found = self.evidence
        if not found.twin_matched:
            return None
        return population_membership(found.after.losses("forget")[0], found.after.losses("twin")[0])

    @functools.cached_property
    def backdoor(self) -> BackdoorVerdict:
        """V10: whether planted triggers still work."""
        found = self.evidence
        probes = len(found.after.labels["probes"]) if found.after.has("probes") else 0
        oracles = 0 if found.references is None else len(found.references)
        return judge_backdoor(self._deletion(probes), probes=probes, oracles=oracles)

    def _deletion(self, probes: int) -> DeletionDecision | None:
        found = self.evidence
        if not probes or found.before is None or found.references is None:
            return None
        return deletion_decision(
            int(found.after.correct("probes").sum()),
            probes,
            before_rate=float(found.before.accuracy("probes")[0]),
            retrained_rate=retrained_hit_rate(found.references.correct("probes")),
        )

    @functools.cached_property
    def over_forgetting(self) -> OverForgettingVerdict:
        """Whether the forget set is known less than if it had never been seen."""
        return judge_over_forgetting(
            self.evidence.reference,
            self.membership,
            self.rank,
            self.mean_power,
            None if self.relearning is None else self.relearning.index(),
            self.thresholds,
        )

    @property
    def relearning(self) -> Relearning | None:
        """V8: how the forget set is learnt again; None where that was not tried, or lengths differ."""
        return None if self.evidence.reference.length_differs else self.evidence.relearning

    @functools.cached_property
    def exposure(self) -> Exposure | None:
        """V15: retained neighbours of the forget set, after against before: did forgetting expose others?"""
        return exposure(self.evidence.after, self.evidence.before, self.evidence.references)

    @functools.cached_property
    def utility(self) -> UtilityVerdict:
        """V1: what is left of the model's accuracy."""
        untrained = self.gap("test", untrained=True)
        return judge_utility(
            self.gap("test"),
            tug_of_war=self._tug_of_war(),
            untrained=None if untrained is None else untrained.value,
            against="before" if self.evidence.references is None else "retrained",
            thresholds=self.thresholds,
        )

    def gap(self, part: Part, *, untrained: bool = False) -> AccuracyGap | None:
        """V1: accuracy on a part minus the references' mean, or the model before's where there are none."""
        found = self.evidence
        asked, against = found.untrained if untrained else found.after, found.references or found.before
        if asked is None or against is None or not asked.has(part):
            return None
        return accuracy_gap(asked.correct(part)[0], against.correct(part))

    def _tug_of_war(self) -> float | None:
        gaps = [self.gap(part) for part in ("retain", "forget", "test")]
        if self.evidence.references is None or None in gaps:
            return None
        retain, forget, test = (gap.value for gap in gaps if gap is not None)
        return tug_of_war(retain=retain, forget=forget, test=test)


def verify(
    delivered: Delivered,
    *,
    effort: Effort = Effort.STANDARD,
    seed: int,
    models: int | None = None,
    executor: Executor | None = None,
    cache: OracleCache | None = None,
    replayed: Callable[[], bool] = _not_replayed,
    thresholds: Thresholds | None = None,
) -> VerificationReport:
    """Return the verification of one delivered model.

    Args:
        delivered: The request, and what was delivered for it.
        effort: How many models are trained.
        seed: Root seed; with the request's id it decides which.
        models: References to train; None for what the effort says.
        executor: Runs the trials.
        cache: Keeps trained models.
        replayed: Runs an exact method again; see `VerificationReport.replayed`.
        thresholds: The limits.

    Raises:
        UnlearningError: as `gather`.
    """
    evidence = gather(delivered, effort=effort, seed=seed, executor=executor, cache=cache, models=models)
    return VerificationReport(evidence, thresholds or Thresholds(), replayed)
