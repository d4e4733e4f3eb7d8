"""The verdict as an in-toto Simple Verification Result, version 0.2 (in-toto/attestation: spec/predicates/svr.md).

It says of the files that the report is about which properties hold, so that whoever admits a model need not read the
report. The format has no place for a verdict of "no": a reader asks for the properties that it wants, and a missing one
denies. `timeCreated` is the time of the call; the day on which waivers were looked at stands in the verdict.
"""

from collections.abc import Iterator
from datetime import datetime

from reports.canonical import canonical_json
from reports.nouns import moment_text
from reports.statement import STATEMENT_TYPE, Statement
from reports.verdict import Verdict

SVR_TYPE = "https://in-toto.io/attestation/svr/v0.2"
VERIFIER = "urn:fedaudit:gate:v1"
"""Who decided; the version changes when the rules of the judge do."""


def export_svr(statement: Statement, verdict: Verdict, now: datetime) -> bytes:
    """Return the statement that attests a verdict on a report, RFC 8785 bytes; unsigned, to be put into an envelope.

    Args:
        statement: the report and its subjects; whoever signs the result should have verified them.
        verdict: what a policy says of it.
        now: the time of judging, UTC.
    """
    policy = {"name": verdict.policy_name, "digest": {"sha256": verdict.policy_sha256}}
    return canonical_json(
        {
            "_type": STATEMENT_TYPE,
            "subject": [subject.model_dump(mode="json") for subject in statement.subjects],
            "predicateType": SVR_TYPE,
            "predicate": {
                "verifier": {"id": VERIFIER, "policies": [policy]},
                "timeCreated": moment_text(now),
                "properties": list(_properties(statement, verdict)),
            },
        }
    )


def _properties(statement: Statement, verdict: Verdict) -> Iterator[str]:
    """Yield the result, on which digests it rests, and what was excused: a waived failure stays visible here too."""
    yield f"FEDAUDIT_GATE_{verdict.result.upper()}"
    yield f"FEDAUDIT_POLICY_SHA256_{verdict.policy_sha256}"
    yield f"FEDAUDIT_REPORT_SHA256_{statement.sha256}"
    applied = [waiver.id for waiver in verdict.waivers if waiver.state == "applied"]
    if not applied:
        yield "FEDAUDIT_GATE_WITHOUT_WAIVER"
    yield from (f"FEDAUDIT_WAIVED_BY_{waiver}" for waiver in applied)
