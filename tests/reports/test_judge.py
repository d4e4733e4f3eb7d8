"""The judge's rules a, b and e against a truth table written by hand: what passes, fails, and cannot be told."""

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from reports.judge import Outcome, Result, Verdict, judge
from reports.model import ControlRow, Finding, Report
from reports.nouns import Strength
from reports.policy import Policy, policy_digest
from reports.verdict import Judgement, gathered

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


# --- rule a: findings -----------------------------------------------------------------------------------------------

RULE_A = [
    # status, severity, policy, what is said, exit code
    ("pass", "critical", {}, [], 0),
    ("skipped", "critical", {}, [], 0),
    ("fail", "critical", {}, [("fail", "finding.fail")], 1),
    ("fail", "medium", {}, [("fail", "finding.fail")], 1),
    ("fail", "low", {}, [("warn", "finding.fail")], 0),
    ("fail", "info", {"fail_on": "info"}, [("fail", "finding.fail")], 1),
    ("fail", "high", {"fail_on": "critical"}, [("warn", "finding.fail")], 0),
    ("error", "info", {}, [("incomplete", "finding.error")], 3),
    ("error", "critical", {"on_error": "warn"}, [("warn", "finding.error")], 0),
    ("inconclusive", "critical", {}, [("warn", "finding.inconclusive")], 0),
]


@pytest.mark.parametrize(("status", "severity", "rules", "expected", "exit_code"), RULE_A)
def test_a_finding_counts_by_status_and_severity(
    found: Found,
    report: Reported,
    policy: Ruled,
    status: str,
    severity: str,
    rules: dict[str, Any],
    expected: list[tuple[str, str]],
    exit_code: int,
) -> None:
    verdict = judge(report(found("attack.linear", status, severity=severity)), policy(**rules), TODAY)
    assert said(verdict) == expected
    assert verdict.exit_code == exit_code


def test_without_fail_on_no_severity_blocks_but_a_requirement_still_does(
    found: Found, report: Reported, policy: Ruled
) -> None:
    failing = report(found("attack.linear", "fail", severity="critical"), found("a.b", "pass"))
    rules = policy(fail_on=None, require=[{"check": "a.b"}])
    assert said(judge(failing, rules, TODAY)) == [("warn", "finding.fail"), ("ok", "ok")]
    rules = policy(fail_on=None, require=[{"check": "attack.linear"}])
    assert judge(failing, rules, TODAY).result is Result.INCOMPLETE


def test_a_failure_outweighs_what_is_incomplete(found: Found, report: Reported, policy: Ruled) -> None:
    both = report(found("a.b", "error"), found("a.c", "fail"))
    assert judge(both, policy(), TODAY).exit_code == 1


# --- rule b: requirements -------------------------------------------------------------------------------------------

RULE_B = [
    # (status, strength, severity) of each finding of the required check, min_strength, what rule b says
    ([], None, ("incomplete", "required.missing")),
    (["skipped"], None, ("incomplete", "required.skipped")),
    (["skipped", "skipped"], None, ("incomplete", "required.skipped")),
    (["pass"], None, ("ok", "ok")),
    (["pass", "skipped"], None, ("ok", "ok")),
    (["inconclusive"], None, ("incomplete", "required.inconclusive")),
    (["error"], None, ("incomplete", "required.error")),
    (["pass", "inconclusive"], None, ("incomplete", "required.inconclusive")),
    (["pass", "error"], None, ("incomplete", "required.error")),
    (["fail"], None, ("incomplete", "required.weak")),
    (["fail low"], None, ("incomplete", "required.weak")),
    (["pass", "fail low"], None, ("incomplete", "required.weak")),
    (["pass", "fail"], None, ("ok", "ok")),  # rule a fails the report; a waiver may excuse that one finding
    (["pass document"], "screening", ("incomplete", "required.weak")),
    (["pass screening"], "screening", ("ok", "ok")),
    (["pass screening"], "statistical", ("incomplete", "required.weak")),
    (["pass statistical"], "statistical", ("ok", "ok")),
    (["pass statistical"], "exact", ("incomplete", "required.weak")),
    (["pass exact"], "exact", ("ok", "ok")),
    (["pass exact"], "document", ("ok", "ok")),
    (["pass document", "pass exact"], "exact", ("ok", "ok")),
    (["fail exact"], "exact", ("incomplete", "required.weak")),
]


@pytest.mark.parametrize(("answers", "least", "expected"), RULE_B)
def test_a_required_check_passes_with_enough_strength(
    found: Found, report: Reported, policy: Ruled, answers: list[str], least: str | None, expected: tuple[str, str]
) -> None:
    findings = []
    for index, answer in enumerate(answers):
        status, *words = answer.split()
        strength = next((word for word in words if word in [*Strength]), "statistical")
        severity = "low" if "low" in words else "high"
        findings.append(found("a.b", status, key=f"k={index}", strength=strength, severity=severity))
    rules = policy(require=[{"check": "a.b"} | ({"min_strength": least} if least else {})])
    verdict = judge(report(found("z.z", "pass"), *findings), rules, TODAY)
    [judged] = [judgement for judgement in verdict.judgements if judgement.rule == "require[0]"]
    assert (judged.outcome, judged.code) == expected
    if expected[0] != "ok" or any(answer == "fail" for answer in answers):
        assert verdict.result is not Result.PASSED


def test_an_error_in_a_required_check_blocks_even_where_errors_are_relaxed(
    found: Found, report: Reported, policy: Ruled
) -> None:
    rules = policy(on_error="warn", require=[{"check": "a.b"}])
    assert judge(report(found("a.b", "error")), rules, TODAY).exit_code == 3
    assert judge(report(found("a.c", "error"), found("a.b", "pass")), rules, TODAY).exit_code == 0


def test_an_inconclusive_finding_of_a_required_check_is_said_once(
    found: Found, report: Reported, policy: Ruled
) -> None:
    verdict = judge(report(found("a.b", "inconclusive")), policy(require=[{"check": "a.b"}]), TODAY)
    assert said(verdict) == [("incomplete", "required.inconclusive")]


def row(state: str, support: str | None) -> ControlRow:
    return ControlRow.model_validate(
        {
            "control": "EU-AIA:15(5)",
            "title": "Resist attacks",
            "role": "provider",
            "law_version": "2024-07-12",
            "applicability": "applies",
            "applicability_reason": "high-risk",
            "ceiling": "direct",
            "state": state,
            "support": support,
            "next_step": "Run the attacks.",
        }
    )


RULE_B_CONTROLS = [
    (("supported", "direct"), None, "ok", 0),
    (("supported", "partial"), None, "ok", 0),
    (("supported", "document"), None, "required.control", 3),
    (("supported", "attestation"), None, "required.control", 3),
    (("supported", None), None, "required.control", 3),
    (("supported", "partial"), "direct", "required.control", 3),
    (("supported", "direct"), "direct", "ok", 0),
    (("supported", "document"), "document", "ok", 0),
    (("supported", "attestation"), "document", "required.control", 3),
    (("insufficient", "partial"), None, "required.control", 3),
    (("not-assessed", None), None, "required.control", 3),
    (("contradicted", "direct"), None, "required.contradicted", 1),
    (None, None, "required.control", 3),
]


@pytest.mark.parametrize(("state", "least", "code", "exit_code"), RULE_B_CONTROLS)
def test_a_required_duty_is_supported_enough(
    report: Reported, policy: Ruled, state: tuple[str, str | None] | None, least: str | None, code: str, exit_code: int
) -> None:
    rows = [] if state is None else [row(*state)]
    rule = {"control": "EU-AIA:15(5)"} | ({"min_support": least} if least else {})
    verdict = judge(report(controls=rows), policy(require=[rule]), TODAY)
    assert [judgement.code for judgement in verdict.judgements] == [code]
    assert verdict.exit_code == exit_code
    assert verdict.judgements[0].key == "control=EU-AIA:15(5)"


# --- rule e: the report itself --------------------------------------------------------------------------------------

RULE_E = [
    ({"min_effort": "standard"}, {}, "ok", 0),
    ({"min_effort": "smoke"}, {}, "ok", 0),
    ({"min_effort": "full"}, {}, "effort.too_low", 3),
    ({"require_derived_seed": True}, {}, "ok", 0),
    ({"require_derived_seed": True}, {"seed_source": "chosen"}, "seed.chosen", 3),
    ({"require_commitment": True}, {}, "policy.not_committed", 1),
    ({"require_commitment": True}, {"policy_sha256": "0" * 64}, "policy.not_committed", 1),
]


@pytest.mark.parametrize(("rules", "run", "code", "exit_code"), RULE_E)
def test_the_run_is_what_the_policy_asks(
    report: Reported, policy: Ruled, rules: dict[str, Any], run: dict[str, Any], code: str, exit_code: int
) -> None:
    verdict = judge(report(**run), policy(**rules), TODAY)
    assert [judgement.code for judgement in verdict.judgements] == [code]
    assert verdict.exit_code == exit_code


def test_a_run_that_was_fixed_on_this_policy_keeps_the_commitment_whatever_its_waivers(
    report: Reported, policy: Ruled
) -> None:
    rules = policy(require_commitment=True)
    committed = report(policy_sha256=policy_digest(rules))
    assert judge(committed, rules, TODAY).exit_code == 0
    assert judge(committed, policy(require_commitment=True, waivers=[WAIVER]), TODAY).exit_code == 0
    moved = policy(require_commitment=True, threshold=[LIMIT])
    assert judge(committed, moved, TODAY).exit_code == 1


@pytest.mark.parametrize(
    ("today", "exit_code"),
    [
        (date(2026, 11, 18), 3),  # a clock that is wrong
        (date(2026, 11, 19), 0),  # midnight between two clocks
        (date(2026, 11, 20), 0),
        (date(2026, 12, 20), 0),  # the thirtieth day
        (date(2026, 12, 21), 3),
    ],
)
def test_a_report_ages_by_days(report: Reported, policy: Ruled, today: date, exit_code: int) -> None:
    assert judge(report(), policy(max_report_age_days=30), today).exit_code == exit_code
    assert judge(report(), policy(), today).exit_code == 0


def test_withheld_evidence_counts_where_the_policy_denies_it(report: Reported, policy: Ruled) -> None:
    for rules, withheld, exit_code in (("deny", ["ab"], 3), ("deny", [], 0), ("allow", ["ab"], 0)):
        assert judge(report(), policy(withheld=rules), TODAY, withheld=withheld).exit_code == exit_code


# --- the verdict ----------------------------------------------------------------------------------------------------


def test_the_verdict_says_whom_by_what_and_when(found: Found, report: Reported, policy: Ruled) -> None:
    rules = policy()
    verdict = judge(report(found("attack.linear", "fail")), rules, TODAY, report_sha256="b" * 64)
    assert (verdict.system, verdict.policy_name, verdict.today) == ("ward", "house", TODAY)
    assert (verdict.policy_sha256, verdict.report_sha256) == (policy_digest(rules), "b" * 64)
    assert Verdict.model_validate_json(verdict.model_dump_json()) == verdict
    assert verdict.counts == {
        Outcome.OK: 0,
        Outcome.WARN: 0,
        Outcome.WAIVED: 0,
        Outcome.INCOMPLETE: 0,
        Outcome.FAIL: 1,
    }


def test_many_warnings_of_one_check_are_told_once_and_nothing_that_blocks_is(found: Found) -> None:
    def judgement(outcome: Outcome, check: str, key: str) -> Judgement:
        return Judgement(rule="findings", check=check, key=key, outcome=outcome, code="c", message=f"{check} {key}.")

    warned = [judgement(Outcome.WARN, "a.many", f"{n}") for n in range(5)]
    failed = [judgement(Outcome.FAIL, "b.failed", f"{n}") for n in range(5)]
    few = [judgement(Outcome.WARN, "c.few", f"{n}") for n in range(3)]
    shown = gathered([*failed, *warned, *few])
    assert [one.check for one in shown] == ["b.failed"] * 5 + ["a.many"] + ["c.few"] * 3
    assert shown[5].message == "5 findings of a.many warn alike; the first: a.many 0."
