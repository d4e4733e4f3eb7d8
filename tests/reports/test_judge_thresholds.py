"""The judge's rules c and d against a truth table written by hand: limits, and steps from a baseline."""

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from reports.errors import PolicyError
from reports.judge import Verdict, judge
from reports.judge_thresholds import trials_to_decide
from reports.model import Finding, Interval, Measurement, Report
from reports.policy import Policy

Found = Callable[..., Finding]
Reported = Callable[..., Report]
Ruled = Callable[..., Policy]
TODAY = date(2026, 11, 21)
LIMIT = {"check": "attack.membership", "measurement": "tpr", "op": "<=", "limit": 0.01}


def said(verdict: Verdict) -> list[tuple[str, str]]:
    return [(str(judgement.outcome), judgement.code) for judgement in verdict.judgements]


def tpr(
    value: float,
    low: float | None = None,
    high: float | None = None,
    *,
    n: int | None = 1000,
    confidence: float = 0.95,
    name: str = "tpr",
) -> Measurement:
    interval = None if low is None or high is None else Interval(low=low, high=high, confidence=confidence)
    return Measurement(name=name, value=value, interval=interval, n=n, method="counted")


# --- rule c: thresholds ---------------------------------------------------------------------------------------------

EXACT, STATISTICAL = "exact", "statistical"
RULE_C = [
    # rule, status, strength, measurement, outcome, code
    ({}, "pass", STATISTICAL, tpr(0.004, 0.001, 0.009), "ok", "ok"),
    ({}, "pass", STATISTICAL, tpr(0.004, 0.001, 0.01), "ok", "ok"),  # equality satisfies
    ({}, "pass", STATISTICAL, tpr(0.004, 0.001, 0.0100001), "incomplete", "threshold.undecided"),
    ({}, "pass", STATISTICAL, tpr(0.02, 0.01, 0.03), "incomplete", "threshold.undecided"),  # low on the limit
    ({}, "pass", STATISTICAL, tpr(0.02, 0.0100001, 0.03), "fail", "threshold.broken"),
    ({}, "fail", STATISTICAL, tpr(0.004, 0.001, 0.009), "ok", "ok"),  # the policy's limit may be laxer than the check's
    ({}, "inconclusive", STATISTICAL, tpr(0.004, 0.001, 0.009), "incomplete", "threshold.control"),
    ({}, "error", STATISTICAL, tpr(0.004, 0.001, 0.009), "incomplete", "threshold.control"),
    ({}, "skipped", STATISTICAL, tpr(0.004, 0.001, 0.009), "incomplete", "threshold.control"),
    ({}, "pass", STATISTICAL, tpr(0.004), "incomplete", "threshold.confidence"),
    ({}, "pass", "screening", tpr(0.004), "incomplete", "threshold.confidence"),
    ({}, "pass", EXACT, tpr(0.004, n=None), "ok", "ok"),
    ({}, "pass", EXACT, tpr(0.01, n=None), "ok", "ok"),
    ({}, "pass", EXACT, tpr(0.0100001, n=None), "fail", "threshold.broken"),
    ({}, "pass", EXACT, tpr(0.004, 0.001, 0.02), "incomplete", "threshold.undecided"),
    ({}, "pass", STATISTICAL, tpr(0.004, 0.001, 0.009, confidence=0.9), "incomplete", "threshold.confidence"),
    ({}, "pass", STATISTICAL, tpr(0.004, 0.001, 0.009, confidence=0.99), "ok", "ok"),
    ({"min_n": 1000}, "pass", STATISTICAL, tpr(0.004, 0.001, 0.009), "ok", "ok"),
    ({"min_n": 1001}, "pass", STATISTICAL, tpr(0.004, 0.001, 0.009), "incomplete", "threshold.trials"),
    ({"min_n": 1001}, "fail", STATISTICAL, tpr(0.5, 0.4, 0.6), "incomplete", "threshold.trials"),
    ({"min_n": 1}, "pass", STATISTICAL, tpr(0.004, 0.001, 0.009, n=None), "incomplete", "threshold.trials"),
    ({"min_n": 1}, "pass", EXACT, tpr(0.004, n=None), "incomplete", "threshold.trials"),
    ({"op": ">=", "limit": 0.9}, "pass", STATISTICAL, tpr(0.95, 0.91, 0.97), "ok", "ok"),
    ({"op": ">=", "limit": 0.9}, "pass", STATISTICAL, tpr(0.95, 0.9, 0.97), "ok", "ok"),
    ({"op": ">=", "limit": 0.9}, "pass", STATISTICAL, tpr(0.95, 0.89, 0.97), "incomplete", "threshold.undecided"),
    ({"op": ">=", "limit": 0.9}, "pass", STATISTICAL, tpr(0.85, 0.8, 0.9), "incomplete", "threshold.undecided"),
    ({"op": ">=", "limit": 0.9}, "pass", STATISTICAL, tpr(0.85, 0.8, 0.89), "fail", "threshold.broken"),
    ({"op": ">=", "limit": 0.9}, "pass", EXACT, tpr(0.9, n=None), "ok", "ok"),
    ({}, "pass", STATISTICAL, tpr(0.004, 0.001, 0.009, name="fpr"), "incomplete", "threshold.missing"),
    ({"check": "attack.*"}, "pass", STATISTICAL, tpr(0.004, 0.001, 0.009), "ok", "ok"),
    ({"check": "*"}, "pass", STATISTICAL, tpr(0.02, 0.011, 0.03), "fail", "threshold.broken"),
    ({"check": "attack.member*"}, "pass", STATISTICAL, tpr(0.004, 0.001, 0.009), "ok", "ok"),
    ({"check": "dp.*"}, "pass", STATISTICAL, tpr(0.004, 0.001, 0.009), "incomplete", "threshold.missing"),
    ({"check": "attack.members"}, "pass", STATISTICAL, tpr(0.004, 0.001, 0.009), "incomplete", "threshold.missing"),
]


@pytest.mark.parametrize(("rule", "status", "strength", "measurement", "outcome", "code"), RULE_C)
def test_a_limit_is_kept_or_broken_by_the_whole_interval(
    found: Found,
    report: Reported,
    policy: Ruled,
    rule: dict[str, Any],
    status: str,
    strength: str,
    measurement: Measurement,
    outcome: str,
    code: str,
) -> None:
    finding = found("attack.membership", status, strength=strength, severity="low", measurements=[measurement])
    verdict = judge(report(finding), policy(on_error="warn", threshold=[LIMIT | rule]), TODAY)
    [judged] = [judgement for judgement in verdict.judgements if judgement.rule == "threshold[0]"]
    assert (judged.outcome, judged.code) == (outcome, code)
    assert verdict.exit_code == {"ok": 0, "fail": 1, "incomplete": 3}[outcome]
    assert (judged.op, judged.limit) == ((LIMIT | rule)["op"], (LIMIT | rule)["limit"])
    if code != "threshold.missing":
        assert (judged.check, judged.fingerprint) == ("attack.membership", finding.fingerprint)
        assert (judged.value, judged.n) == (measurement.value, measurement.n)


def test_every_finding_and_every_measurement_of_the_name_has_to_keep_the_limit(
    found: Found, report: Reported, policy: Ruled
) -> None:
    sound, broken = tpr(0.004, 0.001, 0.009), tpr(0.02, 0.011, 0.03)
    for findings in (
        [found("attack.membership", "pass", measurements=[sound, broken])],
        [
            found("attack.membership", "pass", key="client=1", measurements=[sound]),
            found("attack.membership", "pass", key="client=2", measurements=[broken]),
        ],
    ):
        codes = [code for _, code in said(judge(report(*findings), policy(threshold=[LIMIT]), TODAY))]
        assert codes == ["ok", "threshold.broken"]


@pytest.mark.parametrize(
    ("measurement", "limit"),
    [
        (tpr(0.005, 0.0, 0.012, n=400), 0.01),
        (tpr(0.02, 0.005, 0.035, n=50), 0.01),
        (tpr(0.5, 0.49, 0.9, n=30), 0.8),
        (tpr(0.0099, 0.005, 0.015, n=1000), 0.01),
    ],
)
def test_the_advised_number_of_trials_takes_the_limit_out_of_the_interval(
    measurement: Measurement, limit: float
) -> None:
    needed = trials_to_decide(measurement, limit)
    assert needed is not None
    assert measurement.n is not None
    assert measurement.interval is not None
    shrunk = (measurement.n / needed) ** 0.5  # widths fall with the square root of the trials
    low = measurement.value - shrunk * (measurement.value - measurement.interval.low)
    high = measurement.value + shrunk * (measurement.interval.high - measurement.value)
    assert not low < limit < high
    fewer = (measurement.n / (needed / 1.5)) ** 0.5  # and a good deal fewer would leave it inside
    arm = measurement.interval.high - measurement.value
    if measurement.value > limit:
        arm = measurement.value - measurement.interval.low
    assert fewer * max(arm, (measurement.interval.high - measurement.interval.low) / 2) > abs(limit - measurement.value)


def test_the_advice_names_the_number_or_says_that_none_would_do(found: Found, report: Reported, policy: Ruled) -> None:
    near = judge(
        report(found("attack.membership", "pass", measurements=[tpr(0.005, -0.0025, 0.0125, n=100)])),
        policy(threshold=[LIMIT]),
        TODAY,
    )
    assert "about 230 trials would decide" in near.judgements[0].message  # 100 (0.0075 / 0.005)^2 = 225
    for hopeless in (tpr(0.01, 0.0, 0.02), tpr(0.004, 0.001, 0.02, n=None), tpr(-1e308, -1e308, 1e308)):
        assert trials_to_decide(hopeless, 0.01 if hopeless.value > -1 else -1e308) is None


# --- rule d: regressions --------------------------------------------------------------------------------------------

RULE_D = [
    # op, old, new, code
    ("<=", tpr(0.004, 0.002, 0.006), tpr(0.004, 0.002, 0.006), "ok"),
    ("<=", tpr(0.25, 0.125, 0.5), tpr(0.25, 0.125, 0.75), "ok"),  # to the step exactly (binary fractions)
    ("<=", tpr(0.25, 0.125, 0.5), tpr(0.25, 0.125, 0.7501), "regression"),
    ("<=", tpr(0.25, 0.125, 0.5), tpr(0.25, 0.0, 0.26), "ok"),  # better
    (">=", tpr(0.75, 0.5, 0.8), tpr(0.75, 0.25, 0.8), "ok"),
    (">=", tpr(0.75, 0.5, 0.8), tpr(0.75, 0.2499, 0.8), "regression"),
    (">=", tpr(0.75, 0.5, 0.8), tpr(0.75, 0.7, 0.71), "ok"),
]


@pytest.mark.parametrize(("op", "old", "new", "code"), RULE_D)
def test_the_worse_end_may_move_only_so_far(
    found: Found, report: Reported, policy: Ruled, op: str, old: Measurement, new: Measurement, code: str
) -> None:
    rule = LIMIT | {"op": op, "limit": 1.0 if op == "<=" else 0.0, "max_regression": 0.25}
    reports = [report(found("attack.membership", "pass", measurements=[m])) for m in (old, new)]
    verdict = judge(reports[1], policy(threshold=[rule]), TODAY, baseline=reports[0])
    [judged] = [judgement for judgement in verdict.judgements if judgement.rule == "threshold[0].max_regression"]
    assert judged.code == code
    assert verdict.exit_code == (1 if code == "regression" else 0)


def test_what_the_baseline_does_not_hold_is_said_and_does_not_block(
    found: Found, report: Reported, policy: Ruled
) -> None:
    rule = LIMIT | {"max_regression": 0.001}
    now = report(found("attack.membership", "pass", measurements=[tpr(0.004, 0.002, 0.006)]))
    undecided = report(found("attack.membership", "inconclusive", measurements=[tpr(0.0, 0.0, 0.0)]))
    for baseline, code in (
        (None, "regression.no_baseline"),
        (report(), "regression.new"),
        (undecided, "regression.new"),
    ):
        verdict = judge(now, policy(threshold=[rule]), TODAY, baseline=baseline)
        assert said(verdict) == [("ok", "ok"), ("warn", code)]
        assert verdict.exit_code == 0


@pytest.mark.parametrize(
    ("before", "now", "lost"),
    [
        (["pass"], ["pass"], False),
        (["pass"], [], True),
        (["pass"], ["skipped"], True),
        (["pass"], ["inconclusive"], True),
        (["pass"], ["error"], True),
        (["pass"], ["fail"], True),  # too mild for rule a to block: it may not be worth more than silence
        (["pass", "pass"], ["pass", "fail"], True),
        (["fail", "pass"], ["fail", "pass"], False),
        (["fail"], [], False),
        (["inconclusive"], [], False),
        (["pass", "pass"], ["pass", "inconclusive"], True),
        (["pass", "pass"], ["pass"], False),  # another key went away with its client; the check still answers
        (["inconclusive", "pass"], ["inconclusive", "pass"], False),
    ],
)
def test_an_answer_that_got_lost_is_incomplete(
    found: Found, report: Reported, policy: Ruled, before: list[str], now: list[str], lost: bool
) -> None:
    old, new = (
        report(*(found("a.b", s, key=f"k={i}", severity="low") for i, s in enumerate(statuses)))
        for statuses in (before, now)
    )
    verdict = judge(new, policy(on_error="warn"), TODAY, baseline=old)
    assert ("incomplete", "regression.lost") in said(verdict) or not lost
    assert verdict.exit_code == (3 if lost else 0)


def test_a_failure_that_blocks_is_not_counted_twice_as_lost(found: Found, report: Reported, policy: Ruled) -> None:
    before, now = report(found("a.b", "pass")), report(found("a.b", "fail", severity="low"))
    assert said(judge(now, policy(fail_on="low"), TODAY, baseline=before)) == [("fail", "finding.fail")]
    [warned, lost] = judge(now, policy(fail_on="medium"), TODAY, baseline=before).judgements
    assert (warned.code, lost.code) == ("finding.fail", "regression.lost")
    assert "too mildly for fail_on to block" in lost.message


def test_a_baseline_of_another_system_is_refused(report: Reported, policy: Ruled) -> None:
    with pytest.raises(PolicyError) as refused:
        judge(report(), policy(), TODAY, baseline=report(name="another"))
    assert (refused.value.code, refused.value.exit_code) == ("baseline.other_system", 2)


def test_of_several_earlier_numbers_the_best_is_what_counts(found: Found, report: Reported, policy: Ruled) -> None:
    old = [tpr(0.25, 0.125, 0.5), tpr(0.25, 0.125, 0.25)]
    before = report(found("attack.membership", "pass", measurements=old))
    now = report(found("attack.membership", "pass", measurements=[tpr(0.25, 0.125, 0.5)]))
    rules = policy(threshold=[LIMIT | {"limit": 1.0, "max_regression": 0.125}])
    assert judge(now, rules, TODAY, baseline=before).exit_code == 1
    assert judge(before, rules, TODAY, baseline=now).exit_code == 0
