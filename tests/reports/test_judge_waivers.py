"""The judge's rule f: waivers excuse what they name, on their days, and stay visible."""

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from reports.judge import Outcome, Verdict, judge
from reports.judge_waivers import foreseen
from reports.model import Finding, Measurement, Report, fingerprint
from reports.policy import Policy, Waiver

Found = Callable[..., Finding]
Reported = Callable[..., Report]
Ruled = Callable[..., Policy]
TODAY = date(2026, 11, 21)
LIMIT = {"check": "attack.membership", "measurement": "tpr", "op": "<=", "limit": 0.01}
WAIVER = {
    "id": "W-7",
    "check": "attack.linear",
    "system": "ward",
    "reason": "Retraining is scheduled for March.",
    "owner": "lead@example.org",
    "approved_by": "dpo@example.org",
    "created": date(2026, 11, 1),
    "expires": date(2027, 1, 31),
}


def said(verdict: Verdict) -> list[tuple[str, str]]:
    return [(str(judgement.outcome), judgement.code) for judgement in verdict.judgements]


# --- rule f: waivers ------------------------------------------------------------------------------------------------


def waiver(**keys: Any) -> Waiver:
    return Waiver.model_validate(WAIVER | keys)


@pytest.fixture
def failing(found: Found, report: Reported) -> Report:
    return report(found("attack.linear", "fail"))


@pytest.mark.parametrize(
    ("today", "state", "exit_code"),
    [
        (date(2026, 10, 31), "not-yet", 1),
        (date(2026, 11, 1), "applied", 0),
        (date(2027, 1, 31), "applied", 0),
        (date(2027, 2, 1), "expired", 1),
    ],
)
def test_a_waiver_holds_from_its_first_day_through_its_last(
    policy: Ruled, failing: Report, today: date, state: str, exit_code: int
) -> None:
    for verdict in (
        judge(failing, policy(), today, waivers=[waiver()]),
        judge(failing, policy(waivers=[WAIVER]), today),
    ):
        assert [(one.id, one.state) for one in verdict.waivers] == [("W-7", state)]
        assert verdict.exit_code == exit_code
        if state != "applied":
            assert ("warn", f"waiver.{state.replace('-', '_')}") in said(verdict)


@pytest.mark.parametrize(
    ("today", "said_so"),
    [
        (date(2027, 1, 16), ""),
        (date(2027, 1, 17), "in 14 days, on 2027-01-31"),
        (date(2027, 1, 30), "in 1 day, on 2027-01-31"),
        (date(2027, 1, 31), "after today, 2027-01-31"),
    ],
)
def test_a_waiver_that_excuses_something_warns_before_it_lapses(
    policy: Ruled, failing: Report, today: date, said_so: str
) -> None:
    verdict = judge(failing, policy(), today, waivers=[waiver()])
    assert verdict.exit_code == 0
    warned = [j for j in verdict.judgements if j.code == "waiver.expires_soon"]
    assert [(str(j.outcome), j.waiver, j.rule) for j in warned] == [("warn", "W-7", "waivers[0]")] * bool(said_so)
    assert all(said_so in j.message and "lead@example.org" in j.message for j in warned)


def test_a_waiver_that_excuses_nothing_need_not_be_renewed(policy: Ruled, report: Reported, found: Found) -> None:
    verdict = judge(report(found("attack.linear", "pass")), policy(), date(2027, 1, 31), waivers=[waiver()])
    assert said(verdict) == [("warn", "waiver.unused")]


def test_without_a_report_a_waiver_tells_whether_it_is_in_force() -> None:
    held = [waiver(id="W-8", expires=date(2026, 12, 1)), waiver(id="W-9", created=date(2026, 12, 1)), waiver()]
    for today, codes in (
        (TODAY, ["waiver.expires_soon", "waiver.not_yet"]),
        (date(2026, 12, 2), ["waiver.expired"]),
        (date(2027, 2, 1), ["waiver.expired"] * 3),
    ):
        assert [one.code for one in foreseen(held, today)] == codes


def test_a_waived_failure_stays_visible(policy: Ruled, failing: Report) -> None:
    [judged] = judge(failing, policy(), TODAY, waivers=[waiver()]).judgements
    assert (judged.outcome, judged.code, judged.waiver) == (Outcome.WAIVED, "finding.fail", "W-7")
    [bare] = judge(failing, policy(), TODAY).judgements
    assert judged.message == bare.message


OTHER = "f" * 64


@pytest.mark.parametrize(
    ("keys", "applies"),
    [
        ({}, True),
        ({"fingerprint": fingerprint("ward", "attack.linear", "")}, True),
        ({"subject_sha256": "a" * 64}, True),
        ({"check": "attack.labels"}, False),
        ({"system": "another"}, False),
        ({"fingerprint": fingerprint("ward", "attack.linear", "client=1")}, False),
        ({"subject_sha256": OTHER}, False),
        ({"outcome": "incomplete"}, False),
    ],
)
def test_a_waiver_excuses_the_very_thing_it_names(
    policy: Ruled, failing: Report, keys: dict[str, Any], applies: bool
) -> None:
    verdict = judge(failing, policy(), TODAY, waivers=[waiver(**keys)], subject_sha256s=["a" * 64])
    assert verdict.exit_code == (0 if applies else 1)
    assert verdict.waivers[0].state == ("applied" if applies else "unused")
    assert applies or ("warn", "waiver.unused") in said(verdict)


def test_a_waiver_by_fingerprint_leaves_the_other_findings_of_the_check(
    found: Found, report: Reported, policy: Ruled
) -> None:
    two = report(found("attack.linear", "fail", key="client=1"), found("attack.linear", "fail", key="client=2"))
    only = waiver(fingerprint=fingerprint("ward", "attack.linear", "client=1"))
    assert [o for o, _ in said(judge(two, policy(), TODAY, waivers=[only]))] == ["waived", "fail"]
    assert [o for o, _ in said(judge(two, policy(), TODAY, waivers=[waiver()]))] == ["waived", "waived"]


def test_what_is_incomplete_needs_a_waiver_that_says_incomplete(found: Found, report: Reported, policy: Ruled) -> None:
    broken, rules = report(found("attack.linear", "error")), policy()
    assert judge(broken, rules, TODAY, waivers=[waiver()]).exit_code == 3
    assert judge(broken, rules, TODAY, waivers=[waiver(outcome="incomplete")]).exit_code == 0


def test_a_rule_that_is_not_waivable_is_never_waived(policy: Ruled, failing: Report) -> None:
    rules = policy(require=[{"check": "attack.linear", "waivable": False}])
    both = [waiver(), waiver(id="W-8", outcome="incomplete")]
    verdict = judge(failing, rules, TODAY, waivers=both)
    assert said(verdict)[:2] == [("fail", "finding.fail"), ("incomplete", "required.weak")]
    assert [one.state for one in verdict.waivers] == ["unused", "unused"]
    assert "not waivable" in verdict.judgements[-1].message
    rules = policy(require=[{"check": "attack.linear"}])  # the twin that may be waived
    assert judge(failing, rules, TODAY, waivers=both).exit_code == 0


@pytest.mark.parametrize("waivable", [True, False])
def test_a_threshold_is_waived_only_where_it_may_be(
    found: Found, report: Reported, policy: Ruled, waivable: bool
) -> None:
    over = Measurement(name="tpr", value=0.02, method="counted")
    broken = report(found("attack.membership", "pass", strength="exact", measurements=[over]))
    rules = policy(threshold=[LIMIT | {"waivable": waivable}])
    verdict = judge(broken, rules, TODAY, waivers=[waiver(check="attack.membership")])
    assert verdict.exit_code == (0 if waivable else 1)


def test_what_is_asked_of_the_report_as_a_whole_cannot_be_waived(policy: Ruled, failing: Report) -> None:
    old = policy(min_effort="full")
    assert judge(failing, old, TODAY, waivers=[waiver(), waiver(id="W-8", outcome="incomplete")]).exit_code == 3


@pytest.mark.parametrize("waivable", [True, False])
def test_a_step_from_the_baseline_is_waived_only_where_its_rule_may_be(
    found: Found, report: Reported, policy: Ruled, waivable: bool
) -> None:
    before, now = (
        report(
            found(
                "attack.membership",
                "pass",
                strength="exact",
                measurements=[Measurement(name="tpr", value=value, method="counted")],
            )
        )
        for value in (0.001, 0.009)
    )
    rules = policy(threshold=[LIMIT | {"max_regression": 0.001, "waivable": waivable}])
    verdict = judge(now, rules, TODAY, baseline=before, waivers=[waiver(check="attack.membership")])
    assert verdict.exit_code == (0 if waivable else 1)


@pytest.mark.parametrize("waivable", [True, False])
def test_a_lost_answer_is_waived_only_where_its_check_may_be(
    found: Found, report: Reported, policy: Ruled, waivable: bool
) -> None:
    before = report(found("attack.linear", "pass", key="k=1"), found("attack.linear", "pass", key="k=2"))
    now = report(found("attack.linear", "skipped", key="k=1"), found("attack.linear", "pass", key="k=2"))
    rules = policy(require=[{"check": "attack.linear", "waivable": waivable}])
    verdict = judge(now, rules, TODAY, baseline=before, waivers=[waiver(outcome="incomplete")])
    assert verdict.exit_code == (0 if waivable else 3)
