"""What holds of every verdict: worse evidence or a stricter policy never turns a refusal into a pass."""

from datetime import date
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from reports.judge import Result, judge
from reports.model import (
    Artifact,
    Basis,
    ControlRow,
    Finding,
    Interval,
    Measurement,
    Provenance,
    Report,
    System,
    fingerprint,
)
from reports.nouns import Severity, Status, Strength
from reports.policy import Policy, Support

TODAY = date(2026, 11, 21)
CHECKS, NAMES, GRID = ("a.b", "a.c", "d.e"), ("m", "other"), (0.0, 0.25, 0.5, 0.75, 1.0)
MANY = settings(max_examples=100, deadline=None)


@st.composite
def measurements(draw: st.DrawFn) -> Measurement:
    low, value, high = sorted(draw(st.tuples(*[st.sampled_from(GRID)] * 3)))
    confidence = draw(st.sampled_from((0.9, 0.95, 0.99)))
    interval = draw(st.sampled_from((None, Interval(low=low, high=high, confidence=confidence))))
    n = draw(st.sampled_from((None, 0, 10, 100)))
    return Measurement(name=draw(st.sampled_from(NAMES)), value=value, interval=interval, n=n, method="counted")


@st.composite
def findings(draw: st.DrawFn, key: st.SearchStrategy[str], status: st.SearchStrategy[Status]) -> Finding:
    check, drawn = draw(st.sampled_from(CHECKS)), draw(key)
    return Finding(
        check=check,
        key=drawn,
        title="No record leaks",
        status=draw(status),
        severity=draw(st.sampled_from(Severity)),
        strength=draw(st.sampled_from(Strength)),
        basis=Basis.MEASURED,
        summary="What was found.",
        measurements=tuple(draw(st.lists(measurements(), max_size=2))),
        fingerprint=fingerprint("ward", check, drawn),
    )


FINDINGS = st.lists(
    findings(st.sampled_from(("", "k=1")), st.sampled_from([Status.PASS] * 4 + [*Status])),
    max_size=5,
    unique_by=lambda finding: finding.fingerprint,
)
"""Mostly passes, so that both verdicts are common."""

RULES = st.fixed_dictionaries(
    {
        "version": st.just(1),
        "name": st.just("house"),
        "fail_on": st.sampled_from([*Severity]),
        "confidence": st.sampled_from((0.9, 0.95)),
        "on_error": st.sampled_from(("incomplete", "warn")),
        "require": st.lists(
            st.fixed_dictionaries(
                {"check": st.sampled_from(CHECKS), "min_strength": st.sampled_from([None, *Strength])}
            ),
            max_size=2,
        ),
        "threshold": st.lists(
            st.fixed_dictionaries(
                {
                    "check": st.sampled_from((*CHECKS, "a.*", "*")),
                    "measurement": st.sampled_from(NAMES),
                    "op": st.sampled_from(("<=", ">=")),
                    "limit": st.sampled_from(GRID),
                    "min_n": st.sampled_from((None, 1, 10, 100)),
                    "max_regression": st.sampled_from((None, 0.0, 0.25)),
                }
            ),
            max_size=2,
        ),
    }
)


def report(found: list[Finding]) -> Report:
    run = {
        "tool_version": "0.1.0",
        "root_seed": 7,
        "seed_source": "derived",
        "effort": "standard",
        "python": "3.11",
        "platform": "linux-x86_64",
        "threads": 1,
        "packages": {},
        "started": "2026-11-20T12:00:00Z",
        "finished": "2026-11-20T12:00:00Z",
    }
    return Report(
        system=System(
            name="ward", version="1", source=Artifact(path="system.toml", sha256="0" * 64, size=1, kind="system")
        ),
        findings=tuple(sorted(found, key=lambda finding: (finding.check, finding.key))),
        evidence=(),
        evidence_root="0" * 64,
        provenance=Provenance.model_validate(run),
    )


def passes(found: list[Finding], rules: dict[str, Any], baseline: list[Finding] | None = None) -> bool:
    old = None if baseline is None else report(baseline)
    return judge(report(found), Policy.model_validate(rules), TODAY, old).result is Result.PASSED


@MANY
@given(
    found=FINDINGS,
    rules=RULES,
    baseline=st.none() | FINDINGS,
    worse=findings(st.just("k=2"), st.just(Status.INCONCLUSIVE)),
)
def test_another_undecided_finding_never_helps(
    found: list[Finding], rules: dict[str, Any], baseline: list[Finding] | None, worse: Finding
) -> None:
    assert passes(found, rules, baseline) or not passes([*found, worse], rules, baseline)


@MANY
@given(found=FINDINGS, rules=RULES, baseline=st.none() | FINDINGS, worse=findings(st.just("k=2"), st.just(Status.FAIL)))
def test_another_failure_never_helps(
    found: list[Finding], rules: dict[str, Any], baseline: list[Finding] | None, worse: Finding
) -> None:
    # a failure too mild for fail_on may bring the number that a threshold waited for; only then is it worth something
    bare = worse.model_copy(update={"measurements": ()})
    assert passes(found, rules, baseline) or not passes([*found, bare], rules, baseline)
    if worse.severity.at_least(Severity(rules["fail_on"])):
        assert not passes([*found, worse], rules, baseline)


def stricter(rules: dict[str, Any], change: str) -> dict[str, Any]:
    """Return the rules with every threshold or requirement made stricter in one way."""
    thresholds = [dict(rule) for rule in rules["threshold"]]
    requirements = [dict(rule) for rule in rules["require"]]
    whole = rules | {"threshold": thresholds, "require": requirements}
    if change == "confidence":
        whole["confidence"] = 0.99
    if change == "fail_on":
        whole["fail_on"] = "info"
    if change == "on_error":
        whole["on_error"] = "incomplete"
    if change == "another rule":
        requirements.append({"check": "a.b"})
    for rule in thresholds:
        if change == "min_n":
            rule["min_n"] = (rule["min_n"] or 0) + 50
        if change == "limit":
            rule["limit"] += -0.25 if rule["op"] == "<=" else 0.25
        if change == "max_regression":
            rule["max_regression"] = 0.0
    for rule in requirements:
        if change == "min_strength":
            rule["min_strength"] = "exact"
    return whole


CHANGES = ("confidence", "fail_on", "on_error", "another rule", "min_n", "limit", "max_regression", "min_strength")


@settings(max_examples=250, deadline=None)
@given(found=FINDINGS, rules=RULES, baseline=st.none() | FINDINGS, change=st.sampled_from(CHANGES))
def test_a_stricter_policy_never_helps(
    found: list[Finding], rules: dict[str, Any], baseline: list[Finding] | None, change: str
) -> None:
    assert passes(found, rules, baseline) or not passes(found, stricter(rules, change), baseline)


@MANY
@given(found=FINDINGS, rules=RULES)
def test_a_pass_is_earned(found: list[Finding], rules: dict[str, Any]) -> None:
    """The promise, written down again without looking at the judge."""
    if not passes(found, rules):
        return
    blocked = [f for f in found if f.status == "fail" and f.severity.rank >= Severity(rules["fail_on"]).rank]
    assert not blocked
    assert rules["on_error"] == "warn" or not [f for f in found if f.status == "error"]
    for rule in rules["require"]:
        mine = [f for f in found if f.check == rule["check"]]
        least = Strength(rule["min_strength"] or "document")
        assert [f for f in mine if f.status == "pass" and f.strength.rank >= least.rank]
        assert not [f for f in mine if f.status in ("fail", "inconclusive", "error")]
    for rule in rules["threshold"]:
        head = rule["check"].removesuffix("*")
        mine = [f for f in found if f.check == head or ("*" in rule["check"] and f.check.startswith(head))]
        pairs = [(f, m) for f in mine for m in f.measurements if m.name == rule["measurement"]]
        assert pairs
        for finding, number in pairs:
            assert finding.status in ("pass", "fail")
            ends = [number.value] if number.interval is None else [number.interval.low, number.interval.high]
            assert all(end <= rule["limit"] if rule["op"] == "<=" else end >= rule["limit"] for end in ends)
            assert number.interval is not None or finding.strength == "exact"
            assert rule["min_n"] is None or (number.n or 0) >= rule["min_n"]


STATES = ("supported", "insufficient", "not-assessed", "contradicted")
"""Of a row of the table of duties, best first."""
DUTY = "EU-AIA:15(5)"


@st.composite
def rows(draw: st.DrawFn) -> ControlRow:
    return ControlRow(
        control=draw(st.sampled_from((DUTY, DUTY, "EU-AIA:15(3)"))),
        title="Resist attacks",
        role="provider",
        law_version="2024-07-12",
        applicability="applies",
        applicability_reason="high-risk",
        ceiling="direct",
        state=draw(st.sampled_from(("supported",) * 3 + STATES)),  # type: ignore[arg-type]  # its words
        support=draw(st.sampled_from((None, *(str(support) for support in Support)))),  # type: ignore[arg-type]
        next_step="Run the attacks.",
    )


def required(support: Support | None, table: list[ControlRow]) -> Result:
    rule = {"control": DUTY} | ({"min_support": support} if support else {})
    shown = report([]).model_copy(update={"controls": tuple(table)})
    return judge(shown, Policy.model_validate({"version": 1, "name": "house", "require": [rule]}), TODAY).result


@MANY
@given(table=st.lists(rows(), max_size=3), least=st.sampled_from([None, *Support]), change=st.sampled_from(STATES[1:]))
def test_a_duty_with_less_behind_it_never_helps(table: list[ControlRow], least: Support | None, change: str) -> None:
    result = required(least, table)
    mine = [row for row in table if row.control == DUTY]
    enough = {str(support) for support in Support if support.at_least(least or Support.PARTIAL)}
    earned = bool(mine) and all(row.state == "supported" and row.support in enough for row in mine)
    assert (result is Result.PASSED) == earned
    if earned:
        return
    worse = [row.model_copy(update={"state": change}) for row in table]
    bare = [row.model_copy(update={"support": None}) for row in table]
    for other in (required(Support.DIRECT, table), required(least, worse), required(least, bare), required(least, [])):
        assert other is not Result.PASSED


@MANY
@given(found=FINDINGS, rules=RULES, baseline=st.none() | FINDINGS)
def test_the_same_question_gets_the_same_answer(
    found: list[Finding], rules: dict[str, Any], baseline: list[Finding] | None
) -> None:
    old = None if baseline is None else report(baseline)
    once, again = (judge(report(found), Policy.model_validate(rules), TODAY, old) for _ in range(2))
    assert once.model_dump_json() == again.model_dump_json()


def test_both_verdicts_are_common_in_what_these_properties_draw() -> None:
    """A property over policies that nobody passes would prove nothing."""
    seen: list[bool] = []

    @settings(max_examples=200, deadline=None, database=None, derandomize=True)
    @given(found=FINDINGS, rules=RULES)
    def draw(found: list[Finding], rules: dict[str, Any]) -> None:
        seen.append(passes(found, rules))

    draw()
    assert 0.1 < sum(seen) / len(seen) < 0.9
