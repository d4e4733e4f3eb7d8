"""What the fuzzers start from: one sound report with a little of everything, and the key that signs it.

The key is that of RFC 6979 (A.2.5, P-256): public for everybody, so nothing here is secret or random.
"""

import base64
import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from reports.evidence import evidence_root
from reports.keys import PrivateKey, load_private
from reports.model import Evidence, Report, evidence_path, fingerprint
from reports.statement import declared_subjects, make_statement
from reports.timestamp import token_in

SCALAR = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721


def auditor_key() -> PrivateKey:
    """The key of the one auditor."""
    key = ec.derive_private_key(SCALAR, ec.SECP256R1())
    return load_private(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), bytes)


def authority_pem() -> bytes:
    """A time-stamping authority's certificate and its issuer's."""
    return str(_stamped()["authority"]).encode()


def foreign_token() -> bytes:
    """A sound time-stamp by that authority, about something else than any seed here."""
    return token_in(base64.b64decode(_stamped()["reply"]), str(_stamped()["message"]).encode())


def _stamped() -> dict[str, Any]:
    vector = Path(__file__).parents[1] / "vectors/reports/timestamps.json"
    return dict(json.loads(vector.read_text(encoding="utf-8")))


def _finding(check: str, status: str, **more: Any) -> dict[str, Any]:
    return {
        "check": check,
        "title": "No record leaks",
        "status": status,
        "severity": "high",
        "strength": "exact",
        "basis": "measured",
        "summary": "What was found.",
        "fingerprint": fingerprint("ward", check, more.get("key", "")),
        **more,
    }


def sound_report() -> Report:
    """A report that verifies: findings of every status, a measurement, a remedy, a control row, evidence."""
    sha256 = "ab" * 32
    evidence = Evidence(
        sha256=sha256, path=evidence_path(sha256, ".json"), size=3, media_type="application/json",
        confidentiality="restricted", name="scores",
    )  # fmt: skip
    measurement = {
        "name": "rate", "value": 0.004, "interval": {"low": 0.001, "high": 0.009, "confidence": 0.95}, "n": 1000,
        "method": "counted", "threshold": {"op": "<=", "limit": 0.05}, "control": 0.9,
    }  # fmt: skip
    row = {
        "control": "EU-AIA:15(5)", "title": "Resist attacks", "role": "provider", "law_version": "2024-07-12",
        "applies_from": "2026-08-02", "applicability": "applies", "applicability_reason": "high-risk",
        "ceiling": "direct", "state": "supported", "support": "partial", "next_step": "Repeat it at effort full.",
        "findings": [fingerprint("ward", "attack.linear", "client=1")],
    }  # fmt: skip
    remedy = {"parameter": "federation.rounds", "direction": "lower", "value": "3", "text": "Train fewer rounds."}
    findings = [
        _finding("attack.labels", "fail", remedy=remedy, limitations=["Few records."]),
        _finding("attack.linear", "pass", key="client=1", measurements=[measurement], evidence=[sha256]),
        _finding("attack.linear", "inconclusive", key="client=2", reason="control-failed", measurements=[measurement]),
        _finding("dp.accounting", "error", reason="exception:ValueError"),
        _finding("secagg.parameters", "skipped", reason="missing:federation.secure_aggregation"),
    ]
    provenance = {
        "tool_version": "0.1.0", "root_seed": 7, "seed_source": "chosen", "effort": "standard", "python": "3.11",
        "platform": "linux-x86_64", "threads": 1, "packages": {"numpy": "2.0"}, "auditor": {"name": "A. Auditor"},
        "started": "2026-11-20T12:00:00Z", "finished": "2026-11-20T12:00:00Z",
    }  # fmt: skip
    source = {"path": "system.toml", "sha256": "0" * 64, "size": 1, "kind": "system"}
    checkpoint = {"path": "model.safetensors", "sha256": "1" * 64, "size": 1, "kind": "model.checkpoint"}
    return Report.model_validate(
        {
            "system": {"name": "ward", "version": "1", "model": {"checkpoint": checkpoint}, "source": source},
            "findings": findings,
            "evidence": [evidence],
            "evidence_root": evidence_root([evidence]),
            "controls": [row],
            "provenance": provenance,
        }
    )


def sound_statement() -> bytes:
    """The bytes that are signed."""
    report = sound_report()
    return make_statement(report, declared_subjects(report.system)).body


POLICY = b"""version = 1
name = "house"
fail_on = "medium"
confidence = 0.95
on_error = "warn"
min_effort = "smoke"
max_report_age_days = 30
max_waiver_days = 180
require_commitment = false
require_trust = false
require_derived_seed = false
withheld = "allow"
pinned = []
[[require]]
check = "attack.linear"
min_strength = "exact"
waivable = false
[[require]]
control = "EU-AIA:15(5)"
min_support = "partial"
[[threshold]]
check = "attack.*"
measurement = "rate"
op = "<="
limit = 0.01
min_n = 1000
max_regression = 0.003
[[waivers]]
id = "W-7"
check = "attack.labels"
system = "ward"
outcome = "fail"
reason = "Retraining is scheduled for March."
owner = "lead@example.org"
approved_by = "dpo@example.org"
created = 2026-11-01
expires = 2027-01-31
"""
