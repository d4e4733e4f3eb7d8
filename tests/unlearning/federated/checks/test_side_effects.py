"""What is told beside a verdict: learning again, neighbours, activations and margins, of planted and honest models."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from reports.model import Effort, Measurement, Status
from tests.unlearning.federated.checks.test_verified import Asked, ask, broken_rules
from tests.unlearning.verification.made_up import World, answers
from unlearning.federated.checks.margins import BY_CHANCE, margin_measurements, margin_plot
from unlearning.federated.checks.method import method
from unlearning.federated.checks.over_forgetting import over_forgetting
from unlearning.federated.checks.screening import screening
from unlearning.federated.checks.side_effects import AT_CHANCE, CHOSEN, NO_NEIGHBOURS, NO_RELEARNING, NOT_RELEARNT
from unlearning.federated.schedule import Rounds
from unlearning.verification.evidence import Reference, Sides
from unlearning.verification.relearning import Relearning
from unlearning.verification.suite import VerificationReport
from unlearning.verification.thresholds import Thresholds

STEPS = 200
MADE = World()


def figure(asked: Asked, name: str) -> Measurement:
    return next(one for one in asked.finding.measurements if one.name == name)


def names(asked: Asked) -> set[str]:
    return {one.name for one in asked.finding.measurements}


def curve(steps: int) -> Any:
    """A loss that falls from 4 to the goal, 1, in so many steps, and on."""
    return 1.05 * (4 / 1.05) ** (1 - np.arange(STEPS + 1) / max(steps, 1)) if steps else np.ones(STEPS + 1)


def learnt(delivered: int, references: tuple[int, ...] = (19, 20, 21, 20), **changed: Any) -> Relearning:
    """Learning again in so many steps; the originals need three."""
    made = Relearning(
        1.0, curve(delivered), np.stack([curve(one) for one in references]), np.stack([curve(3), curve(3)]),
        learning_rate=0.01, examples=60, chance=np.log(10),
    )  # fmt: skip
    return replace(made, **changed)


def with_relearning(delivered: int, **changed: Any) -> Asked:
    return ask(over_forgetting, MADE.report(effort=Effort.FULL, relearning=learnt(delivered, **changed)))


def test_a_model_that_learns_the_forgotten_as_quickly_as_retrained_ones_passes_as_before() -> None:
    asked = with_relearning(22)
    assert asked.finding.status is ask(over_forgetting, MADE.report()).finding.status is Status.PASS
    index = figure(asked, "anamnesis_index")
    assert index.value == pytest.approx(22 / 20)
    assert index.interval is not None
    assert index.interval.low <= 1 <= index.interval.high
    assert (index.n, index.control) == (4, pytest.approx(3 / 20))
    assert not broken_rules(asked.finding)
    curves = next(plot for plot in asked.plots if plot.kind == "line")
    assert [series.label.split(" ")[0] for series in curves.series] == ["delivered", "retrained", "originals"]
    assert curves.limit == pytest.approx(1.05)


def test_a_model_that_learns_it_suspiciously_slowly_fails_and_the_summary_says_why() -> None:
    asked = with_relearning(120)
    assert asked.finding.status is Status.FAIL
    assert "learnt again in 6.0 times the steps" in asked.finding.summary


def test_one_that_may_be_slow_by_chance_does_not_fail_and_breaks_no_rule_of_a_pass() -> None:
    asked = with_relearning(70, references=(12, 20, 28, 20))
    index = figure(asked, "anamnesis_index")
    assert index.value > 3
    assert index.interval is not None
    assert index.interval.low < 3
    assert asked.finding.status is Status.PASS
    assert not broken_rules(asked.finding)


def test_one_that_learns_it_suspiciously_quickly_is_told_and_does_not_fail_here() -> None:
    asked = with_relearning(2)
    index = figure(asked, "anamnesis_index")
    assert index.interval is not None
    assert index.interval.high < 1
    assert asked.finding.status is Status.PASS  # memory is the residual's to find


@pytest.mark.parametrize(
    ("changed", "told"),
    [({"references": (2, 3, 4)}, "fewer than ten steps"), ({"references": (20, 900, 20)}, "1 of 3 retrained models")],
)
def test_an_index_that_cannot_be_had_is_said_and_no_number_given(changed: Any, told: str) -> None:
    asked = with_relearning(20, **changed)
    assert "anamnesis_index" not in names(asked)
    assert any(told in one for one in asked.finding.limitations)
    assert asked.finding.status is Status.PASS


def test_what_was_not_tried_is_said() -> None:
    assert NOT_RELEARNT in ask(over_forgetting, MADE.report()).finding.limitations
    at_full = ask(over_forgetting, MADE.report(effort=Effort.FULL)).finding
    assert NO_RELEARNING in at_full.limitations
    longer = Reference("matched", 64, rounds=Rounds(train=7), delivered_rounds=Rounds(train=9))
    other = MADE.report(effort=Effort.FULL, relearning=learnt(120), reference=longer)
    assert "anamnesis_index" not in names(ask(over_forgetting, other))
    assert AT_CHANCE in with_relearning(22, chance=0.9).finding.limitations
    assert AT_CHANCE not in with_relearning(22).finding.limitations


def near(after: float, references: float = 0.0, *, all_retained: float = 0.0, **changed: Any) -> Asked:
    """Neighbours, and all retained examples, whose scores have moved by so much since the model before."""
    rng = np.random.default_rng(5)
    before, retained = rng.normal(size=(1, 50)), rng.normal(size=(1, 200))
    report = MADE.report(
        after=answers(MADE.scores(1, 1), neighbours=before + after, retain=retained + all_retained),
        before=answers(MADE.scores(2, 1, 1.0), neighbours=before, retain=retained),
        references=answers(MADE.scores(3, 64), neighbours=before + references + 0.1 * rng.normal(size=(64, 50))),
        **changed,
    )  # fmt: skip
    return ask(over_forgetting, report)


def test_an_exposed_neighbour_is_told_beside_everybody_and_beside_retrained_models_and_decides_nothing() -> None:
    still, exposed = near(0.0), near(1.5)
    assert still.finding.status is exposed.finding.status is Status.PASS
    quiet, loud = (figure(asked, "neighbour_exposure_auc") for asked in (still, exposed))
    assert quiet.interval is not None
    assert loud.interval is not None
    assert quiet.interval.low <= 0.5 <= quiet.interval.high
    assert loud.interval.low > 0.5
    assert loud.n == 50
    assert loud.control == pytest.approx(0.5, abs=0.05)
    assert figure(exposed, "retained_exposure_auc").value == 0.5
    rows = next(plot for plot in exposed.plots if plot.x.startswith("AUC of -loss, after")).rows
    assert [row.label for row in rows] == ["neighbours", "all retained", "64 retrained (floor)"]


def test_where_everybody_is_known_better_it_is_not_the_neighbours_alone() -> None:
    asked = near(1.5, 1.5, all_retained=1.5)
    everybody = figure(asked, "retained_exposure_auc")
    assert everybody.interval is not None
    assert everybody.interval.low > 0.5
    control = figure(asked, "neighbour_exposure_auc").control
    assert control is not None
    assert control > 0.8


def test_who_named_the_neighbours_is_said_and_where_there_are_none() -> None:
    assert CHOSEN in near(0.0).finding.limitations
    assert CHOSEN not in near(0.0, neighbours_declared=True).finding.limitations
    assert NO_NEIGHBOURS in ask(over_forgetting, MADE.report()).finding.limitations


def test_activation_distance_stands_beside_that_of_the_model_before_and_decides_nothing() -> None:
    close, off = ask(screening, MADE.report()), ask(screening, MADE.report(delivered=1.0))
    one, other = (figure(asked, "activation_forget_ratio") for asked in (close, off))
    assert one.interval is not None
    assert other.interval is not None
    assert one.interval.high < other.interval.low
    assert one.control == pytest.approx(figure(off, "activation_forget_ratio").value, rel=0.2)
    assert one.threshold is None
    assert (close.finding.status, off.finding.status) == (Status.INCONCLUSIVE, Status.FAIL)  # as by V6 alone
    assert [plot.x for plot in close.plots] == ["Jensen-Shannon ratio", "Euclidean ratio of probabilities"]


def margins(share: float, effort: Effort = Effort.FULL) -> VerificationReport:
    """Of a method that leaves a share of the trace, of 24 models; on the test set it is like the references."""
    made = World(examples=12)
    test = [np.random.default_rng([8, side]).normal(size=(24, 30)) for side in range(3)]
    evidence = made.evidence(
        models=24, method=share, effort=effort, references=answers(made.scores(3, 24), test=test[0]),
        elsewhere={"test": Sides(test[1], test[2])} if effort is Effort.FULL else {},
    )  # fmt: skip
    return VerificationReport(evidence, Thresholds(least_oracles=24))


def test_margins_are_told_at_effort_full_beside_their_control_and_change_no_verdict() -> None:
    forgets, keeps = ask(method, margins(0.0)), ask(method, margins(1.0))
    assert (forgets.finding.status, keeps.finding.status) == (Status.PASS, Status.FAIL)
    honest, planted = (figure(asked, "klom_forget") for asked in (forgets, keeps))
    assert honest.interval is not None
    assert honest.control is not None
    assert planted.interval is not None
    assert planted.control is not None
    assert honest.interval.low <= honest.control <= honest.interval.high
    assert planted.interval.low > planted.control
    assert (honest.n, honest.unit, honest.threshold) == (24, "nats", None)
    assert {"klom_forget", "klom_test"} <= names(forgets)
    assert "klom_retain" not in names(forgets)  # nobody was asked there
    rows = forgets.plots[-1].rows
    assert [row.label for row in rows] == ["forget set", "forget set (control)", "test set", "test set (control)"]
    assert not broken_rules(forgets.finding)
    assert BY_CHANCE in forgets.finding.limitations
    at_standard = margins(0.0, Effort.STANDARD)
    assert margin_measurements(at_standard) == []
    assert margin_plot(at_standard) is None
