"""The matrix says what the definitions say, for every answer that checks can give; power has its closed forms."""

import dataclasses
from datetime import UTC, datetime
from itertools import product
from typing import Any

import pytest

from audit.selftest.flaw import Flaw
from audit.selftest.matrix import Matrix, Row, rows_of, why_left_out
from audit.selftest.play import Case, Observed
from audit.selftest.power import power_of
from reports.model import Effort, Status
from reports.self_test import CheckPower

NOW = datetime(2026, 11, 22, tzinfo=UTC)
ANSWERS = (None, *Status)
CHECKS = ("a.one", "a.two")


def said(*answers: Status | None, checks: tuple[str, ...] = (*CHECKS, "b.other")) -> dict[str, Status]:
    return {check: status for check, status in zip(checks, answers, strict=False) if status is not None}


def row(flawed: dict[str, Status], twin: dict[str, Status], expects: Status = Status.FAIL, **more: Any) -> Row:
    return Row("some-flaw", "Something is wrong", CHECKS, expects, 1, flawed, twin, 0.5, **more)


@pytest.mark.parametrize("expects", [Status.FAIL, Status.INCONCLUSIVE])
def test_detected_alarm_and_undecided_are_what_is_defined_for_all_answers(expects: Status) -> None:
    for one, two, other in product(ANSWERS, repeat=3):
        flawed = said(one, two, other)
        found = row(flawed, {}, expects)
        noticed = [check for check in CHECKS if check in flawed and flawed[check] == expects]
        broke = "error" in {str(status) for status in flawed.values()}
        passed = "pass" in {str(flawed.get(check)) for check in CHECKS}
        assert found.detected == (len(noticed) > 0 and not broke and not (expects is Status.INCONCLUSIVE and passed))
        assert list(found.caught) == noticed
        assert found.also == (("b.other",) if other is Status.FAIL else ())
        assert bool(found.errors) == broke
    for one, two, other in product(ANSWERS, repeat=3):
        twin = said(one, two, other)
        found = row(said(expects), twin, expects)
        assert set(found.alarms) == {check for check in twin if str(twin[check]) == "fail"}
        assert set(found.undecided) == {check for check in CHECKS if str(twin.get(check)) == "inconclusive"}
        switched_off = expects is Status.INCONCLUSIVE and str(twin.get("a.one")) == "inconclusive"
        assert found.detected == ("error" not in {str(status) for status in twin.values()} and not switched_off)


@pytest.mark.parametrize("expects", [Status.INCONCLUSIVE, Status.SKIPPED])
def test_a_check_that_says_of_flaw_and_twin_that_it_cannot_tell_has_noticed_nothing(expects: Status) -> None:
    off = row(said(expects, expects), said(expects, expects), expects)
    assert (off.detected, off.caught, off.noun.detected) == (False, (), False)
    matrix = Matrix(Effort.SMOKE, (1,), (off,))
    assert not matrix.is_clean
    [power] = [one for one in power_of(matrix.rows, ()) if one.check == "a.one"]
    assert (power.trials, power.caught) == (1, 0)
    on = row(said(expects, expects), said(expects, Status.PASS), expects)
    assert (on.detected, on.caught, on.noun.detected) == (True, ("a.two",), True)


def test_every_row_can_be_told_as_evidence_and_skips_are_not_in_it() -> None:
    for one, two, other in product(ANSWERS, repeat=3):
        told = row(said(one, two), said(two, one, other)).noun
        assert Status.SKIPPED not in {*told.flaw.values(), *told.twin.values()}
        assert told.false_alarm == (Status.FAIL in {one, two, other})


def test_a_check_that_accuses_the_twin_too_has_noticed_nothing_else() -> None:
    assert row(said(Status.FAIL, None, Status.FAIL), said(None, None, Status.FAIL)).also == ()


def test_what_could_not_be_played_is_an_error_and_never_detected() -> None:
    found = row(said(Status.FAIL), said(Status.PASS), faults=("the twin could not be played: no disk",))
    assert (found.detected, found.errors) == (False, ("the twin could not be played: no disk",))


@pytest.mark.parametrize(
    ("flawed", "twin", "numbers"),
    [
        ((Status.FAIL,), (Status.PASS,), (1, 1, 0, 0, 0)),
        ((Status.PASS,), (Status.PASS,), (1, 0, 0, 0, 0)),
        ((Status.FAIL,), (Status.PASS, Status.FAIL), (1, 1, 1, 0, 0)),
        ((Status.FAIL,), (Status.INCONCLUSIVE, Status.INCONCLUSIVE), (1, 1, 0, 1, 0)),
        ((Status.ERROR,), (Status.PASS,), (1, 0, 0, 0, 1)),
    ],
)
def test_the_summary_counts_flaws_not_checks(flawed: Any, twin: Any, numbers: tuple[int, ...]) -> None:
    matrix = Matrix(Effort.SMOKE, (1,), (row(said(*flawed), said(*twin)),))
    assert tuple(matrix.summary.model_dump().values()) == numbers
    assert matrix.is_clean == (numbers[:3] == (1, 1, 0) and numbers[4] == 0)


def flaw(name: str, **more: Any) -> Flaw:
    def build(make: Any, *, planted: bool) -> Any:
        raise AssertionError((make, planted))

    return Flaw(name, "Something is wrong", CHECKS, build, **more)


def observed(name: str, seed: int, planted: bool, *answers: Status, error: str | None = None) -> Observed:
    return Observed(Case(name, planted, seed, Effort.SMOKE, NOW), said(*answers), 0.25, error)


def test_rows_come_by_seed_and_id_in_whatever_order_cases_end_and_never_from_half_a_pair() -> None:
    flaws = (flaw("b"), flaw("a"))
    seen = [observed(name, seed, planted, Status.FAIL) for seed in (2, 1) for planted in (False, True) for name in "ab"]
    rows = rows_of(flaws, [*seen[1:], observed("a", 3, True, Status.FAIL)])
    assert [(one.seed, one.flaw) for one in rows] == [(1, "a"), (1, "b"), (2, "b")]
    assert {one.seconds for one in rows} == {0.5}


def test_a_case_that_broke_says_which_one() -> None:
    [found] = rows_of([flaw("a")], [observed("a", 1, True, error="no room"), observed("a", 1, False, Status.PASS)])
    assert found.faults == ("the flaw could not be played: no room",)


@pytest.mark.parametrize(
    ("least", "extra", "effort", "why"),
    [
        (Effort.SMOKE, None, Effort.SMOKE, ""),
        (Effort.STANDARD, None, Effort.SMOKE, "effort:standard"),
        (Effort.STANDARD, None, Effort.FULL, ""),
        (Effort.SMOKE, "llm", Effort.SMOKE, ""),
        (Effort.SMOKE, "pdf", Effort.SMOKE, "extra:pdf"),
        (Effort.FULL, "pdf", Effort.SMOKE, "extra:pdf"),
    ],
)
def test_a_flaw_is_left_out_for_want_of_effort_or_of_an_extra(
    least: Effort, extra: str | None, effort: Effort, why: str
) -> None:
    assert why_left_out(flaw("a", least=least, extra=extra), effort, {"extra:llm"}) == why


def test_power_counts_each_check_that_should_notice_and_every_twin_that_was_decided() -> None:
    rows = [
        row(said(Status.FAIL, Status.PASS, Status.FAIL), said(Status.PASS, Status.SKIPPED, Status.FAIL)),
        row(said(Status.FAIL, Status.FAIL), said(Status.INCONCLUSIVE, Status.PASS)),
        row(said(Status.SKIPPED, Status.FAIL), said(Status.PASS, Status.ERROR)),
        row({}, {}, faults=("nothing was built",)),
    ]
    one, two, other, silent = power_of(rows, ("b.other", "c.silent"))
    assert counts(one) == ("a.one", 3, 2, 3, 0)
    assert counts(two) == ("a.two", 3, 2, 1, 0)
    assert counts(other) == ("b.other", 0, 0, 1, 1)
    assert counts(silent) == ("c.silent", 0, 0, 0, 0)
    assert (silent.flaws, silent.caught_at_least, silent.false_alarms_at_most) == ((), 0.0, 1.0)


@pytest.mark.parametrize("n", [1, 20, 59])
def test_the_bounds_of_power_are_those_of_the_binomial(n: int) -> None:
    clean = row(said(Status.FAIL), said(Status.PASS))
    [found, _] = power_of([dataclasses.replace(clean, seed=seed) for seed in range(n)], ())
    assert found.caught_at_least == pytest.approx(0.05 ** (1 / n))  # P[n of n] = p^n
    assert found.false_alarms_at_most == pytest.approx(1 - 0.05 ** (1 / n))  # P[0 of n] = (1 - p)^n


def counts(one: CheckPower) -> tuple[str, int, int, int, int]:
    return one.check, one.trials, one.caught, one.twins, one.false_alarms
