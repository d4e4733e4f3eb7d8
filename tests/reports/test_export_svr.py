"""The verdict as an SVR: what the published format of version 0.2 asks, which properties hold, and nobody's to bend."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest
from securesystemslib.dsse import Envelope as TheirEnvelope
from securesystemslib.exceptions import VerificationError as TheirVerificationError
from securesystemslib.signer import SSlibKey

from reports.canonical import canonical_json, strict_json
from reports.dsse import PAYLOAD_TYPE, Envelope, sign
from reports.errors import BundleError
from reports.export_svr import export_svr
from reports.judge import judge
from reports.model import Finding, Report
from reports.policy import Policy, policy_digest
from reports.statement import Statement, Subject, SubjectDigest, make_statement, parse_statement
from tests.reports.conformance.world import AUDITOR, STRANGER

Found = Callable[..., Finding]
Reported = Callable[..., Report]
Ruled = Callable[..., Policy]
NOW, TODAY = datetime(2026, 11, 21, 12, 30, 5, tzinfo=UTC), date(2026, 11, 21)
MODEL = Subject(name="model.safetensors", digest=SubjectDigest(sha256="a" * 64))
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


def attested(report: Report, policy: Policy) -> tuple[dict[str, Any], Statement, bytes]:
    statement = make_statement(report, (MODEL,))
    verdict = judge(report, policy, TODAY, report_sha256=statement.sha256)
    body = export_svr(statement, verdict, NOW)
    document = strict_json(body)
    assert isinstance(document, dict)
    assert canonical_json(document) == body
    return document, statement, body


def test_it_says_all_that_the_format_asks_and_nothing_else(found: Found, report: Reported, policy: Ruled) -> None:
    rules = policy()
    document, statement, _ = attested(report(found("attack.linear", "pass")), rules)
    assert document == {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "model.safetensors", "digest": {"sha256": "a" * 64}}],
        "predicateType": "https://in-toto.io/attestation/svr/v0.2",
        "predicate": {
            "verifier": {
                "id": "urn:fedaudit:gate:v1",
                "policies": [{"name": "house", "digest": {"sha256": policy_digest(rules)}}],
            },
            "timeCreated": "2026-11-21T12:30:05Z",
            "properties": [
                "FEDAUDIT_GATE_PASSED",
                f"FEDAUDIT_POLICY_SHA256_{policy_digest(rules)}",
                f"FEDAUDIT_REPORT_SHA256_{statement.sha256}",
                "FEDAUDIT_GATE_WITHOUT_WAIVER",
            ],
        },
    }


@pytest.mark.parametrize(
    ("status", "word"), [("pass", "PASSED"), ("fail", "FAILED"), ("error", "INCOMPLETE"), ("skipped", "PASSED")]
)
def test_of_the_three_results_exactly_one_is_attested(
    found: Found, report: Reported, policy: Ruled, status: str, word: str
) -> None:
    document, _, _ = attested(report(found("attack.linear", status)), policy())
    properties = document["predicate"]["properties"]
    said = [f"FEDAUDIT_GATE_{result}" for result in ("PASSED", "FAILED", "INCOMPLETE")]
    assert [one for one in properties if one in said] == [f"FEDAUDIT_GATE_{word}"]


def test_what_a_waiver_excused_is_told(found: Found, report: Reported, policy: Ruled) -> None:
    document, _, _ = attested(report(found("attack.linear", "fail")), policy(waivers=[WAIVER]))
    properties = document["predicate"]["properties"]
    assert "FEDAUDIT_GATE_PASSED" in properties
    assert "FEDAUDIT_WAIVED_BY_W-7" in properties
    assert "FEDAUDIT_GATE_WITHOUT_WAIVER" not in properties
    document, _, _ = attested(report(found("attack.linear", "pass")), policy(waivers=[WAIVER]))
    assert "FEDAUDIT_GATE_WITHOUT_WAIVER" in document["predicate"]["properties"]  # it excused nothing


def test_nobody_takes_it_for_a_report(found: Found, report: Reported, policy: Ruled) -> None:
    _, statement, body = attested(report(found("attack.linear", "pass")), policy())
    assert parse_statement(statement.body).report == statement.report
    with pytest.raises(BundleError) as refused:
        parse_statement(body)
    assert refused.value.code == "statement.predicate_type"


def test_somebody_else_s_code_verifies_the_signed_one(found: Found, report: Reported, policy: Ruled) -> None:
    _, _, body = attested(report(found("attack.linear", "pass")), policy())
    data = json.loads(Envelope(PAYLOAD_TYPE, body, (sign(body, AUDITOR),)).to_bytes())
    theirs = TheirEnvelope.from_dict(json.loads(json.dumps(data)))

    def key(of: Any) -> SSlibKey:
        return SSlibKey(of.keyid, "ecdsa", "ecdsa-sha2-nistp256", {"public": of.public.to_pem().decode()})

    assert theirs.verify([key(AUDITOR)], 1)
    with pytest.raises(TheirVerificationError):
        theirs.verify([key(STRANGER)], 1)
    altered = base64.b64decode(data["payload"]).replace(b"GATE_PASSED", b"GATE_FAILED")
    data["payload"] = base64.b64encode(altered).decode()
    with pytest.raises(TheirVerificationError):
        TheirEnvelope.from_dict(data).verify([key(AUDITOR)], 1)
