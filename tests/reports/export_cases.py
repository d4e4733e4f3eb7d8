"""Reports and verdicts that every export is shown. No test itself."""

from datetime import date
from typing import Any

from reports.judge import Verdict, judge
from reports.model import ControlRow, Report, Status, fingerprint
from reports.policy import Policy
from tests.reports.sample_report import Sample, sample

SAMPLE = sample()
TODAY = date(2026, 11, 22)
WAIVER = {
    "id": "W-7", "check": "attack.linear", "system": "ward-triage", "reason": "Retraining is scheduled for March.",
    "owner": "lead@example.org", "approved_by": "dpo@example.org", "created": date(2026, 11, 1),
    "expires": date(2027, 1, 31),
}  # fmt: skip


LIMIT = {"check": "integrity.accuracy", "measurement": "accuracy", "op": ">=", "limit": 0.95}
"""Of a policy, stricter than the check's own: the check passes, the rule does not."""


def verdict_on(report: Report, **keys: Any) -> Verdict:
    """Return what a policy says of a report: medium failures block, unless the keys say otherwise."""
    policy = Policy.model_validate({"version": 1, "name": "house", "fail_on": "medium", **keys})
    return judge(report, policy, TODAY)


def row(control: str, state: str, support: str | None, *findings: str, **more: Any) -> ControlRow:
    """Return a duty that applies, in a state."""
    return ControlRow.model_validate(
        {
            "control": control, "title": "Resist attempts at reading the training data", "role": "provider",
            "law_version": "2024", "applicability": "applies", "applicability_reason": "The system is high-risk.",
            "ceiling": "direct", "state": state, "support": support, "missing": (), "next_step": "Ask more.",
            "findings": findings, **more,
        }
    )  # fmt: skip


def with_rows() -> Report:
    """Return the sample report with a duty in each state, and one that is none of the system's."""
    of = {finding.check: finding.fingerprint for finding in SAMPLE.report.findings}
    rows = (
        row("EU-AIA:12(1)", "supported", "direct", of["integrity.artifacts"]),
        row("EU-AIA:15(3)", "supported", "partial", of["integrity.accuracy"]),
        row("EU-AIA:15(5)#confidentiality", "contradicted", "direct", of["attack.linear"], of["attack.labels"]),
        row("EU-AIA:11(1)", "insufficient", None, of["compliance.documents"]),
        row("EU-AIA:14(1)", "not-assessed", None),
        row("EU-AIA:53(1)", "not-assessed", None, applicability="not_addressed"),
    )
    return SAMPLE.report.model_copy(update={"controls": rows})


def many(count: int) -> Report:
    """Return the sample report with one failed finding told `count` times."""
    [failed] = [one for one in SAMPLE.report.findings if one.check == "attack.labels"]
    keys = [f"client={number:06}" for number in range(count)]
    copies = [
        failed.model_copy(update={"key": key, "fingerprint": fingerprint("ward-triage", failed.check, key)})
        for key in keys
    ]
    return SAMPLE.report.model_copy(update={"findings": tuple(copies)})


def statuses(made: Sample, *wanted: Status) -> set[str]:
    """Return the checks of a sample that answered so."""
    return {finding.check for finding in made.report.findings if finding.status in wanted}
