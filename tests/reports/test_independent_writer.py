"""A bundle by somebody else: written from the published format alone, with nothing of ours but the verification."""

import base64
import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from reports.errors import VerificationError
from reports.trust import load_trust
from reports.verify import verify

NOW = datetime(2026, 11, 21, tzinfo=UTC)
TYPE = b"application/vnd.in-toto+json"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def canonical(value: object) -> bytes:
    """RFC 8785 of ASCII strings and small integers: there, sorted and without blanks is all that it asks."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def report(model: bytes, log: bytes) -> dict[str, Any]:
    """A report with one failed finding, one file of evidence, and a seed that nobody chose."""
    source, size = sha256(b"[system]"), len(log)
    seed = int(sha256(canonical([source, None, None]))[:13], 16)
    leaf = canonical([sha256(log), size, "text/plain", "public", "log"])
    finding = {
        "check": "other.check",
        "title": "Nothing leaks",
        "status": "fail",
        "severity": "high",
        "strength": "exact",
        "basis": "measured",
        "summary": "Something leaks.",
        "evidence": [sha256(log)],
        "fingerprint": sha256(canonical(["ward", "other.check", ""]))[:32],
    }
    return {
        "system": {
            "name": "ward",
            "version": "1",
            "source": {"path": "system.toml", "sha256": source, "size": 8, "kind": "source"},
            "model": {"checkpoint": {"path": "m", "sha256": sha256(model), "size": 7, "kind": "model.checkpoint"}},
        },
        "findings": [finding],
        "evidence": [
            {
                "sha256": sha256(log),
                "path": f"{sha256(log)[:2]}/{sha256(log)}.txt",
                "size": size,
                "media_type": "text/plain",
                "confidentiality": "public",
                "name": "log",
            }
        ],
        "evidence_root": sha256(b"\x00" + leaf),
        "controls": [],
        "provenance": {
            "tool_version": "other 1.0",
            "schema_version": 1,
            "root_seed": seed,
            "seed_source": "derived",
            "effort": "full",
            "python": "none",
            "platform": "none",
            "threads": 1,
            "packages": {},
            "started": "2026-11-20T00:00:00Z",
            "finished": "2026-11-20T01:00:00Z",
        },
    }


def test_it_is_verified(tmp_path: Path) -> None:
    model, log, key = b"weights", b"what happened", Ed25519PrivateKey.generate()
    subject = [{"name": "m", "digest": {"sha256": sha256(model)}}]
    body = canonical(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": subject,
            "predicateType": "urn:fedaudit:audit-report:v1",
            "predicate": report(model, log),
        }
    )
    message = b" ".join([b"DSSEv1", str(len(TYPE)).encode(), TYPE, str(len(body)).encode(), body])
    envelope = {
        "payloadType": TYPE.decode(),
        "payload": base64.urlsafe_b64encode(body).decode(),
        "signatures": [{"sig": base64.b64encode(key.sign(message)).decode()}],
    }
    place = tmp_path / "bundle" / "evidence" / sha256(log)[:2]
    place.mkdir(parents=True)
    (place / f"{sha256(log)}.txt").write_bytes(log)
    (tmp_path / "bundle" / "report.dsse.json").write_text(json.dumps(envelope, indent=2))
    (tmp_path / "m").write_bytes(model)
    (tmp_path / "k").write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    entry = '[[keys]]\nname = "A"\nrole = "auditor"\npublic_key = "k"\n'
    (tmp_path / "trust.toml").write_text(f"version = 1\n[require]\nauditor = 1\n{entry}")
    trust = load_trust(tmp_path / "trust.toml")
    verified = verify(tmp_path / "bundle", trust, [tmp_path / "m"], NOW)
    assert verified.statement.sha256 == sha256(body)
    assert verified.report.findings[0].summary == "Something leaks."
    (tmp_path / "m").write_bytes(b"other")  # the negative control
    with pytest.raises(VerificationError, match="not what the report is about"):
        verify(tmp_path / "bundle", trust, [tmp_path / "m"], NOW)
