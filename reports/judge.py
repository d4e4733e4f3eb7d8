"""Judge a report by a policy on a day: pure, so the same three always give the same verdict.

Six rules, asked in this order; a pass needs all of them:

a. findings: a failure from `fail_on` up fails, an error is incomplete;
b. requirements: a required check passes with enough strength, a required duty is supported;
c. thresholds: the whole confidence interval keeps the limit (reports.judge_thresholds);
d. regressions: nothing got worse than the baseline allows (reports.judge_thresholds);
e. the report itself: effort, age, commitment, seed, withheld evidence;
f. waivers: excuse, for a time, what rules a to d found (reports.judge_waivers).
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Literal, NamedTuple

from reports.errors import PolicyError
from reports.judge_thresholds import judge_regressions, judge_thresholds
from reports.judge_waivers import apply_waivers
from reports.model import Finding, Report
from reports.nouns import Status, Strength
from reports.policy import Policy, Requirement, Support, Waiver, policy_digest
from reports.verdict import Judgement, Outcome, Result, Verdict, WaiverState, called, result_of

__all__ = ["Judgement", "Outcome", "Result", "Verdict", "WaiverState", "judge"]


class Ruling(NamedTuple):
    """What a rule decides, before it is written down for one place of the policy."""

    outcome: Outcome
    code: str
    message: str


def judge(
    report: Report,
    policy: Policy,
    today: date,
    baseline: Report | None = None,
    waivers: Sequence[Waiver] = (),
    *,
    withheld: Sequence[str] = (),
    report_sha256: str | None = None,
    subject_sha256s: Sequence[str] = (),
) -> Verdict:
    """Return what `policy` says of `report` on `today`.

    Args:
        report: what was found.
        policy: what must hold; its own waivers count too.
        today: the day in UTC; a waiver holds through its last day.
        baseline: an earlier report of the same system, for rule d.
        waivers: further ones, from a file that the change under review cannot edit (`reports.policy.load_waivers`).
        withheld: digests of evidence that the bundle cites and does not hold.
        report_sha256: id of the report, noted in the verdict.
        subject_sha256s: digests of the report's subjects, for waivers that name one.

    Raises:
        PolicyError: `baseline.other_system`.
    """
    if baseline is not None and baseline.system.name != report.system.name:
        raise PolicyError(
            "baseline.other_system",
            f"the baseline is of {baseline.system.name!r}, the report of {report.system.name!r}",
            "Give a baseline of the same system.",
        )
    findings = by_check(report.findings)
    judgements = [
        *judge_findings(report.findings, policy),
        *judge_requirements(report, findings, policy),
        *judge_thresholds(findings, policy),
        *judge_regressions(findings, policy, None if baseline is None else by_check(baseline.findings)),
        *judge_report(report, policy, today, withheld),
    ]
    waived = apply_waivers(judgements, (*policy.waivers, *waivers), policy, today, report.system.name, subject_sha256s)
    return Verdict(
        result=result_of(waived.judgements),
        system=report.system.name,
        policy_name=policy.name,
        policy_sha256=policy_digest(policy),
        report_sha256=report_sha256,
        today=today,
        judgements=waived.judgements,
        waivers=waived.states,
    )


def by_check(findings: Sequence[Finding]) -> dict[str, list[Finding]]:
    """Return the findings by the id of their check, in their order."""
    grouped: dict[str, list[Finding]] = {}
    for finding in findings:
        grouped.setdefault(finding.check, []).append(finding)
    return grouped


def judge_findings(findings: Sequence[Finding], policy: Policy) -> Iterator[Judgement]:
    """Rule a: a failure blocks from `fail_on` up, an error unless relaxed; what is undecided is at least said."""
    required = {requirement.check for requirement in policy.require}
    for finding in findings:
        if ruling := _of_finding(finding, policy, finding.check in required):
            yield Judgement(
                rule="findings",
                check=finding.check,
                key=finding.key,
                fingerprint=finding.fingerprint,
                **ruling._asdict(),
            )


def _of_finding(finding: Finding, policy: Policy, required: bool) -> Ruling | None:
    name = called(finding)
    match finding.status:
        case Status.FAIL:
            outcome = Outcome.FAIL if policy.blocks(finding.severity) else Outcome.WARN
            return Ruling(outcome, "finding.fail", f"{name} failed ({finding.severity}): {finding.summary}")
        case Status.ERROR:
            outcome = Outcome.WARN if policy.on_error == "warn" else Outcome.INCOMPLETE
            return Ruling(outcome, "finding.error", f"{name} broke ({finding.reason}): {finding.summary}")
        case Status.INCONCLUSIVE if not required:  # rule b speaks of a required one
            return Ruling(Outcome.WARN, "finding.inconclusive", f"{name} is undecided: {finding.summary}")
        case _:
            return None


def judge_requirements(
    report: Report, findings: Mapping[str, Sequence[Finding]], policy: Policy
) -> Iterator[Judgement]:
    """Rule b: each required check passes with enough strength, each required duty is supported enough."""
    for index, requirement in enumerate(policy.require):
        rule = f"require[{index}]"
        if requirement.check is not None:
            found = findings.get(requirement.check, ())
            ruling = _required_check(requirement.check, requirement.min_strength, found, policy)
            yield Judgement(rule=rule, check=requirement.check, **ruling._asdict())
        elif requirement.control is not None:
            for ruling in _required_control(requirement.control, requirement, report):
                yield Judgement(rule=rule, key=f"control={requirement.control}"[:200], **ruling._asdict())


def _required_check(check: str, least: Strength | None, found: Sequence[Finding], policy: Policy) -> Ruling:
    """Judge one required check.

    A failure that `fail_on` lets through still leaves the requirement unmet: a check that is required has to pass.
    One that blocks under rule a is not counted twice, so that one waiver can excuse it beside findings that pass.
    """
    if not found:
        return Ruling(Outcome.INCOMPLETE, "required.missing", f"{check} is required and was not asked; run it.")
    if all(finding.status is Status.SKIPPED for finding in found):
        why = found[0]
        message = f"{check} is required and was skipped ({why.reason}): {why.summary}"
        return Ruling(Outcome.INCOMPLETE, "required.skipped", message)
    for status in (Status.ERROR, Status.INCONCLUSIVE):
        if undecided := [finding for finding in found if finding.status is status]:
            message = f"{called(undecided[0])} is required and ended as {status}: {undecided[0].summary}"
            return Ruling(Outcome.INCOMPLETE, f"required.{status}", message)
    if mild := [f for f in found if f.status is Status.FAIL and not policy.blocks(f.severity)]:
        message = f"{called(mild[0])} is required to pass and failed, though too mildly for fail_on to block."
        return Ruling(Outcome.INCOMPLETE, "required.weak", message)
    passed = [finding for finding in found if finding.status is Status.PASS]
    if not passed:
        return Ruling(Outcome.INCOMPLETE, "required.weak", f"{check} is required to pass, and nothing passed.")
    best = max((finding.strength for finding in passed), key=lambda strength: strength.rank)
    if least is not None and not best.at_least(least):
        message = f"{check} passed, but its proof is {best} where {least} is required; give it stronger evidence."
        return Ruling(Outcome.INCOMPLETE, "required.weak", message)
    return Ruling(Outcome.OK, "ok", f"{check} passed ({best}).")


def _required_control(control: str, requirement: Requirement, report: Report) -> Iterator[Ruling]:
    least = requirement.min_support or Support.PARTIAL
    rows = [row for row in report.controls if row.control == control]
    if not rows:
        message = f"{control} is required and the report has no row for it; run the checks that bear on it."
        yield Ruling(Outcome.INCOMPLETE, "required.control", message)
    for row in rows:
        if row.state == "contradicted":
            yield Ruling(Outcome.FAIL, "required.contradicted", f"{control}: evidence against. {row.next_step}")
        elif row.state != "supported":
            yield Ruling(Outcome.INCOMPLETE, "required.control", f"{control} is {row.state}. {row.next_step}")
        elif row.support is None or not Support(row.support).at_least(least):
            message = f"{control} has {row.support or 'no'} support where {least} is required. {row.next_step}"
            yield Ruling(Outcome.INCOMPLETE, "required.control", message)
        else:
            yield Ruling(Outcome.OK, "ok", f"{control} is supported ({row.support}).")


def judge_report(report: Report, policy: Policy, today: date, withheld: Sequence[str]) -> Iterator[Judgement]:
    """Rule e: what the policy asks of the run and of the bundle as a whole."""
    run = report.provenance
    if policy.min_effort is not None:
        enough = run.effort.at_least(policy.min_effort)
        message = f"The run's effort was {run.effort}; the policy asks for {policy.min_effort}."
        yield _asked("min_effort", enough, "effort.too_low", message)
    if policy.max_report_age_days is not None:
        age = (today - run.finished.date()).days
        # one day ahead is midnight between two clocks; more is a wrong clock or a wrong --today
        message = f"The report is {age} days old; the policy allows {policy.max_report_age_days}."
        yield _asked("max_report_age_days", -1 <= age <= policy.max_report_age_days, "report.age", message)
    if policy.require_commitment:
        same = run.policy_sha256 == policy_digest(policy)
        message = "The run was fixed on this policy." if same else "The run was not fixed on this policy; run --policy."
        yield _asked("require_commitment", same, "policy.not_committed", message, otherwise=Outcome.FAIL)
    if policy.require_derived_seed:
        derived = run.seed_source == "derived"
        message = f"The seed was {run.seed_source}." if derived else "The seed was chosen; run without --seed."
        yield _asked("require_derived_seed", derived, "seed.chosen", message)
    if policy.withheld == "deny":
        message = f"{len(withheld)} pieces of evidence are withheld" + (f", first {withheld[0]}." if withheld else ".")
        yield _asked("withheld", not withheld, "evidence.withheld", message)


def _asked(
    rule: str,
    satisfied: bool,
    code: str,
    message: str,
    otherwise: Literal[Outcome.FAIL, Outcome.INCOMPLETE] = Outcome.INCOMPLETE,
) -> Judgement:
    if satisfied:
        return Judgement(rule=rule, outcome=Outcome.OK, code="ok", message=message)
    return Judgement(rule=rule, outcome=otherwise, code=code, message=message)
