"""The verdicts on made-up models: what was planted is found, what was not is not, and no pass comes unearned."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from reports.model import Effort, Severity, Status, Strength
from tests.unlearning.verification.made_up import World, answers
from unlearning.federated.schedule import Rounds
from unlearning.verification.evidence import Reference
from unlearning.verification.judge_side_effects import judge_over_forgetting
from unlearning.verification.relearn import anamnesis_index
from unlearning.verification.suite import VerificationReport
from unlearning.verification.thresholds import Thresholds, planned_models

PASS, FAIL, UNDECIDED = Status.PASS, Status.FAIL, Status.INCONCLUSIVE


ENOUGH = Thresholds(least_oracles=24)
"""What is tried here is the rule; the number of models is not."""


@pytest.fixture
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exchange and resample models thirty times, not two hundred: what is tried is the rule."""
    monkeypatch.setattr("unlearning.verification.likelihood_ratio.EXCHANGES", 30)
    monkeypatch.setattr("unlearning.verification.likelihood_ratio.RESAMPLES", 30)


def residual(report: VerificationReport) -> tuple[Status, str, str]:
    verdict = report.residual
    return verdict.outcome.status, verdict.outcome.reason, verdict.grade


def test_a_model_that_never_saw_the_data_passes() -> None:
    report = World().report()
    assert residual(report) == (PASS, "", "A")
    assert report.residual.strength is Strength.STATISTICAL
    assert report.residual.direction == ""


def test_a_model_that_kept_the_trace_fails_and_it_is_grave() -> None:
    report = World().report(delivered=1.0)
    assert residual(report) == (FAIL, "", "A")
    assert report.residual.outcome.severity is Severity.HIGH
    assert report.residual.direction == "remembers"


def test_a_model_pushed_beyond_retrained_ones_fails_too() -> None:
    report = World().report(delivered=-1.0)
    assert residual(report) == (FAIL, "", "A")
    assert report.residual.outcome.severity is Severity.MEDIUM
    assert report.residual.direction == "over-forgotten"


def test_a_model_that_stands_apart_in_neither_direction_fails() -> None:
    honest = World().evidence()
    wild = answers(3 * honest.after.scores())  # variable as no retrained model is
    report = VerificationReport(replace(honest, after=wild))
    assert residual(report) == (FAIL, "", "A")
    assert report.residual.direction in ("apart", "over-forgotten")
    assert report.residual.outcome.severity is Severity.MEDIUM


@pytest.mark.parametrize("delivered", [0.0, 1.0])
def test_where_there_is_no_trace_there_is_no_verdict(delivered: float) -> None:
    assert residual(World(trace=0.0).report(delivered=delivered)) == (UNDECIDED, "no-influence", "B")


def test_a_faint_trace_earns_no_pass() -> None:  # seen in some originals, not in four of five
    report = World(trace=0.45).report()
    assert report.rank is not None
    assert report.rank.level < report.rank.power_interval.low < 0.8
    assert residual(report)[:2] == (UNDECIDED, "no-influence")


def test_a_share_that_reaches_past_half_earns_no_pass() -> None:
    limits = Thresholds(most_residual=0.01)
    report = VerificationReport(World().evidence(), limits)
    assert residual(report) == (UNDECIDED, "share-not-bounded", "A")


def test_fewer_models_can_fail_and_never_pass() -> None:
    assert residual(World().report(models=32)) == (UNDECIDED, "budget", "B")
    failed = World().report(models=32, delivered=1.0)
    assert residual(failed) == (FAIL, "", "B")
    assert failed.residual.strength is Strength.SCREENING


def test_too_few_for_any_level_are_not_ranked() -> None:
    report = World().report(models=18)
    assert report.rank is None
    assert residual(report) == (UNDECIDED, "budget", "B")
    assert residual(World().report(models=18, delivered=1.0)) == (FAIL, "", "B")  # as far off the floor as before


@pytest.mark.parametrize("delivered", [0.0, 1.0])
def test_references_of_another_length_decide_nothing(delivered: float) -> None:
    reference = Reference("matched", 64, rounds=Rounds(train=7), delivered_rounds=Rounds(train=11))
    report = World().report(delivered=delivered, reference=reference)
    assert residual(report)[:2] == (UNDECIDED, "length-mismatch")


def test_rounds_that_nobody_told_are_no_mismatch() -> None:
    reference = Reference("matched", 64, rounds=Rounds(train=7))
    assert residual(World().report(reference=reference)) == (PASS, "", "A")


@pytest.mark.usefixtures("few_draws")
def test_a_method_that_does_not_forget_takes_the_pass_away_and_leaves_the_failure() -> None:
    evidence = World(examples=24).evidence(models=24, method=1.0)
    assert residual(VerificationReport(evidence, ENOUGH)) == (UNDECIDED, "method-failed", "A")
    remembers = VerificationReport(replace(evidence, after=evidence.before), ENOUGH)
    assert residual(remembers) == (FAIL, "", "A")
    replayed = VerificationReport(evidence, ENOUGH, lambda: True)
    assert residual(replayed) == (UNDECIDED, "method-failed", "A+")


def test_an_exact_replay_passes_where_there_is_nothing_to_see() -> None:
    for evidence in (World().evidence(), World(trace=0.0).evidence(), World().evidence(models=4)):
        report = VerificationReport(evidence, replayed=lambda: True)
        assert residual(report) == (PASS, "", "A+")
        assert report.residual.strength is Strength.EXACT


def test_a_rejection_beside_an_exact_replay_decides_nothing() -> None:
    report = VerificationReport(World().evidence(delivered=1.0), replayed=lambda: True)
    assert residual(report) == (UNDECIDED, "contradicts-replay", "A+")


def test_an_unknown_method_can_fail_by_its_trace_alone_and_never_pass() -> None:
    strict = Reference("strict", 64, rounds=Rounds(), delivered_rounds=Rounds())
    assert residual(World().report(reference=strict)) == (UNDECIDED, "unknown-method", "B")
    assert residual(World().report(reference=strict, delivered=1.0)) == (FAIL, "", "B")
    assert residual(World().report(reference=strict, delivered=-1.0)) == (UNDECIDED, "unknown-method", "B")


SUPPLIED = {"originals": None}


def test_an_owners_oracles_can_speak_against_a_model_and_never_for_it() -> None:
    supplied = Reference("supplied", 64, "owner")
    honest = World().report(reference=supplied, **SUPPLIED)
    assert residual(honest) == (UNDECIDED, "supplied-oracles", "B")
    assert residual(World().report(reference=supplied, delivered=1.0, **SUPPLIED)) == (FAIL, "", "B")


def test_copied_oracles_are_named_and_decide_nothing() -> None:
    copied = Reference("supplied", 1, "owner", dropped=("oracle 2: equal to the delivered model",))
    report = World().report(reference=copied, models=2, **SUPPLIED)
    assert residual(report) == (UNDECIDED, "oracles-not-independent", "B")
    assert report.screening.outcome.reason == "oracles-not-independent"


def test_without_any_oracle_there_is_grade_c() -> None:
    report = World().report(reference=Reference("none", 0), references=None, **SUPPLIED)
    assert residual(report) == (UNDECIDED, "missing:oracles", "C")
    assert report.screening.outcome.reason == "budget"


def method(models: int = 24, trace: float = 3.0, **made: Any) -> tuple[Status, str]:
    """What is said of a method, of few models and examples."""
    verdict = VerificationReport(World(trace, examples=24).evidence(models=models, **made), ENOUGH).method
    assert verdict is not None
    return verdict.outcome.status, verdict.outcome.reason


@pytest.mark.usefixtures("few_draws")
def test_a_method_that_forgets_passes_and_one_that_does_not_fails_on_either_side() -> None:
    assert method(method=0.0) == (PASS, "")
    assert method(method=1.0) == (FAIL, "")
    assert method(method=-1.0) == (FAIL, "")  # a likelihood ratio tells either side apart
    assert World().report().method is None


@pytest.mark.usefixtures("few_draws")
def test_a_method_is_not_judged_where_originals_are_not_told_apart() -> None:
    assert method(trace=0.1, method=0.0) == (UNDECIDED, "no-influence")


@pytest.mark.usefixtures("few_draws")
def test_a_control_that_is_told_apart_decides_nothing() -> None:
    odd = World(examples=24).scores(4, 24, 0.7)
    assert method(method=1.0, control=odd) == (UNDECIDED, "control-failed")


@pytest.mark.usefixtures("few_draws")
def test_few_models_pass_no_method() -> None:
    assert method(models=20, method=0.0) == (UNDECIDED, "budget")


@pytest.mark.usefixtures("few_draws")
def test_references_of_another_length_pass_no_method() -> None:
    longer = Reference("matched", 24, rounds=Rounds(train=7), delivered_rounds=Rounds(train=11))
    assert method(method=0.0, reference=longer) == (UNDECIDED, "length-mismatch")


def test_distance_to_retrained_models_fails_and_never_passes() -> None:
    assert World().report(delivered=1.0).screening.outcome.failed
    near = World().report().screening.outcome
    assert (near.status, near.reason) == (UNDECIDED, "screening-only")
    blind = World(trace=0.0).report().screening.outcome
    assert (blind.status, blind.reason) == (UNDECIDED, "no-influence")


def with_probes(after: float, probes: int = 40) -> VerificationReport:
    """Evidence whose delivered model hits a share of the probes; half of them were hit before, hardly any retrained."""

    def asked(scores: Any, rate: float) -> Any:
        hits = np.where(np.arange(probes) < rate * probes, 1.0, -1.0)
        return answers(scores, probes=np.tile(hits, (len(scores), 1)))

    made = World()
    return made.report(
        after=asked(made.scores(1, 1), after), before=asked(made.scores(2, 1, 1.0), 0.5),
        references=asked(made.scores(3, 64), 0.025),
    )  # fmt: skip


def test_a_trigger_that_works_fails_and_one_that_does_not_proves_nothing() -> None:
    assert with_probes(0.5).backdoor.outcome.failed
    gone = with_probes(0.0).backdoor
    assert (gone.outcome.status, gone.outcome.reason) == (UNDECIDED, "screening-only")
    assert gone.decision is not None
    assert gone.decision.informative


def test_few_probes_decide_nothing_and_none_are_not_asked() -> None:
    few = with_probes(1.0, probes=20).backdoor.outcome
    assert (few.status, few.reason) == (UNDECIDED, "budget")
    assert World().report().backdoor.outcome.status is Status.SKIPPED


def test_an_overshoot_fails_by_rank_and_by_twin() -> None:
    by_rank = World().report(delivered=-1.0).over_forgetting.outcome
    assert by_rank.failed
    low, high = np.full((1, 60), -3.0), np.full((1, 60), 3.0)
    report = World().report(after=answers(low, twin=high), twin_matched=True)
    assert report.membership is not None
    assert report.over_forgetting.outcome.failed


def test_no_overshoot_passes_only_where_one_would_have_been_seen() -> None:
    report = World().report()
    assert report.mean_power is not None
    assert report.mean_power.interval.low >= 0.8
    assert report.over_forgetting.outcome.passed
    faint = World(trace=0.45).report()
    assert (faint.over_forgetting.outcome.status, faint.over_forgetting.outcome.reason) == (UNDECIDED, "no-power")
    assert World().report(models=32).over_forgetting.outcome.reason == "budget"


def test_a_model_that_remembers_did_not_overshoot() -> None:
    assert World().report(delivered=1.0).over_forgetting.outcome.passed


def test_a_twin_of_other_labels_is_refused() -> None:
    low, high = np.full((1, 60), -3.0), np.full((1, 60), 3.0)
    report = World().report(after=answers(low, twin=high), twin_matched=False, references=None)
    assert report.membership is None


def with_accuracy(after: float, examples: int = 2000) -> VerificationReport:
    """Evidence on a model with this test accuracy; retrained ones have 0.9, an untrained one 0.1."""
    made = World()

    def asked(scores: Any, accuracy: float, purpose: int) -> Any:
        rng = np.random.default_rng(purpose)
        right = np.where(rng.random((len(scores), examples)) < accuracy, 1.0, -1.0)
        return answers(scores, test=right, retain=right)

    return made.report(
        after=asked(made.scores(1, 1), after, 1), references=asked(made.scores(3, 64), 0.9, 2),
        untrained=asked(made.scores(7, 1), 0.1, 3),
    )  # fmt: skip


def test_lost_accuracy_fails_kept_accuracy_passes_and_few_examples_say_neither() -> None:
    assert with_accuracy(0.8).utility.outcome.failed
    kept = with_accuracy(0.9).utility
    assert kept.outcome.passed
    assert kept.tug_of_war is not None
    assert kept.untrained is not None
    assert kept.untrained < -0.7
    assert with_accuracy(0.9, 50).utility.outcome.reason == "too-few-examples"


def test_accuracy_that_an_untrained_model_has_too_says_nothing() -> None:
    made = with_accuracy(0.9)
    blind = VerificationReport(replace(made.evidence, untrained=made.evidence.after))
    assert blind.utility.outcome.reason == "control-failed"


def test_without_retrained_models_the_model_before_stands_in() -> None:
    made = with_accuracy(0.9)
    rest = replace(made.evidence, before=made.evidence.after, references=None, originals=None)
    assert VerificationReport(rest).utility.against == "before"
    assert VerificationReport(rest).utility.tug_of_war is None


def test_the_effort_says_how_many_models_and_a_hand_overrules_it() -> None:
    assert planned_models(Effort.SMOKE) == (4, 0)
    assert planned_models(Effort.STANDARD) == (64, 64)
    assert planned_models(Effort.FULL) == (128, 64)
    assert planned_models(Effort.FULL, 18) == (18, 0)
    assert planned_models(Effort.SMOKE, 24) == (24, 24)


def test_the_level_falls_with_the_number_of_oracles_and_there_is_none_below_nineteen() -> None:
    limits = Thresholds()
    assert [limits.level(n) for n in (18, 19, 63, 64, 127, 128)] == [None, 0.05, 0.05, 0.02, 0.02, 0.01]


@pytest.mark.parametrize(("steps", "status"), [(15, PASS), (90, FAIL)])
def test_a_model_that_takes_far_longer_to_learn_it_again_overshot(steps: int, status: Status) -> None:
    report = World().report()
    relearnt = anamnesis_index(steps, (14, 15, 16, 15, 14, 17, 15, 16), budget=200)
    found = judge_over_forgetting(report.evidence.reference, None, report.rank, report.mean_power, relearnt)
    assert found.outcome.status is status


def test_neighbours_that_are_known_better_than_before_are_reported() -> None:
    made = World()
    low, high = np.full((1, 30), -1.0), np.full((1, 30), 1.0)
    report = made.report(
        after=answers(made.scores(1, 1), neighbours=high), before=answers(made.scores(2, 1, 1.0), neighbours=low)
    )
    assert report.exposure is not None
    assert report.exposure.neighbours.auc == 1.0
    assert made.report().exposure is None


def test_activation_distance_tells_near_from_far() -> None:
    near, far = World().report().activation("forget"), World().report(delivered=1.0).activation("forget")
    assert near is not None
    assert far is not None
    assert near.interval.high < far.interval.low
