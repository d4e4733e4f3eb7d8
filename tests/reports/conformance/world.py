"""The world that every conformance case starts from: one sound bundle, its trust file, its model, fixed keys, clock.

The keys are those of RFC 6979 (A.2.5, P-256) and RFC 8032 (7.1, tests 1 and 2): nothing here is random, and nothing is
secret. The same bytes come out on every machine whose OpenSSL signs deterministically (3.2 and later).
"""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from reports.bundle_writer import BundleWriter
from reports.canonical import canonical_json
from reports.digests import file_sha256
from reports.dsse import PAYLOAD_TYPE, Signature, sign
from reports.evidence import evidence_root
from reports.keys import PrivateKey, load_private
from reports.model import (
    Artifact,
    Basis,
    Confidentiality,
    ControlRow,
    Evidence,
    Finding,
    Interval,
    Measurement,
    Model,
    Provenance,
    Report,
    Severity,
    Status,
    Strength,
    System,
    Threshold,
    fingerprint,
)
from reports.nouns import Effort
from reports.seed import derived_seed
from reports.statement import declared_subjects, make_statement
from reports.trust import load_trust
from reports.verified import Verified
from reports.verify import verify

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
FINISHED = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
POLICY_SHA256 = "ab" * 32
RFC_6979_KEY = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721
RFC_8032_KEYS = (
    "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
)


def fixed_key(material: int | str) -> PrivateKey:
    """A P-256 key of that scalar, or an Ed25519 key of that seed in hex."""
    key: Any
    if isinstance(material, int):
        key = ec.derive_private_key(material, ec.SECP256R1())
    else:
        key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes.fromhex(material))
    return load_private(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), bytes)


AUDITOR = fixed_key(RFC_6979_KEY)
PROVIDER = fixed_key(RFC_8032_KEYS[0])
STRANGER = fixed_key(RFC_8032_KEYS[1])
RENDERED = {"report.html": b"<!doctype html><title>ward</title>", "report.md": b"# ward\n"}
TRUST: dict[str, Any] = {
    "version": 1,
    "max_age_days": 90,
    "withheld": '"allow"',
    "require": {"auditor": 1, "provider": 1},
    "keys": [
        {"name": '"A. Auditor"', "role": '"auditor"', "public_key": '"auditor.pub"'},
        {"name": '"P. Provider"', "role": '"provider"', "public_key": '"provider.pub"'},
    ],
}
"""trust.toml as data; strings hold TOML."""
PIECES = (
    (b'{"kind":"line"}', "application/json", Confidentiality.INTERNAL, "a plot"),
    (b"\x89PNG public", "image/png", Confidentiality.PUBLIC, "a figure"),
    (b"quotes", "text/plain", Confidentiality.CONFIDENTIAL, "quotes"),
    (b"digits", "image/png", Confidentiality.RESTRICTED, "recovered digits"),
)


@dataclass
class World:
    """A folder with `bundle/`, `trust.toml`, `auditor.pub`, `provider.pub`, `model.bin`, and how verify is called."""

    folder: Path
    call: dict[str, Any] = field(default_factory=dict)

    @property
    def bundle(self) -> Path:
        """The bundle."""
        return self.folder / "bundle"

    @property
    def envelope(self) -> Path:
        """Its envelope."""
        return self.bundle / "report.dsse.json"

    def members(self) -> dict[str, Any]:
        """The members of the envelope."""
        return dict(json.loads(self.envelope.read_bytes()))

    def statement(self) -> dict[str, Any]:
        """The statement inside."""
        return dict(json.loads(base64.b64decode(self.members()["payload"])))

    def evidence(self, name: str) -> Path:
        """The file of the evidence called `name`."""
        path = next(e["path"] for e in self.statement()["predicate"]["evidence"] if e["name"] == name)
        return self.bundle / "evidence" / str(path)

    def set_envelope(self, **members: Any) -> None:
        """Replace members of the envelope; None removes one."""
        kept = {name: value for name, value in (self.members() | members).items() if value is not None}
        self.envelope.write_text(json.dumps(kept))

    def sign(self, body: bytes, *keys: PrivateKey) -> None:
        """Have `keys` (auditor and provider, unless said) sign other bytes."""
        signatures = [signature_member(sign(body, key)) for key in keys or (AUDITOR, PROVIDER)]
        self.set_envelope(payload=base64.b64encode(body).decode(), payloadType=PAYLOAD_TYPE, signatures=signatures)

    def edit(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Change the statement and have it signed again, in canonical form: the signers lie, or were careless."""
        statement = self.statement()
        change(statement)
        self.sign(canonical_json(statement))

    def write_trust(self, **keys: Any) -> None:
        """Write the trust file anew with some keys replaced; None removes one."""
        (self.folder / "trust.toml").write_text(toml(TRUST | keys))

    def verify(self) -> Verified:
        """Call verify as the case wants it."""
        call: dict[str, Any] = {"subjects": [self.folder / "model.bin"], "now": NOW} | self.call
        path = call.pop("bundle", self.bundle)
        return verify(path, load_trust(self.folder / "trust.toml"), call.pop("subjects"), call.pop("now"), **call)


def signature_member(signature: Signature) -> dict[str, str]:
    """A signature as the envelope holds it."""
    return {"keyid": signature.keyid, "sig": base64.b64encode(signature.sig).decode()}


def toml(tables: Mapping[str, Any]) -> str:
    """Tables as TOML; strings stand as they are."""
    lines = [f"{k} = {v}" for k, v in tables.items() if v is not None and not isinstance(v, dict | list)]
    for name, table in tables.items():
        if isinstance(table, dict):
            lines += [f"[{name}]", *(f"{k} = {v}" for k, v in table.items())]
        elif isinstance(table, list):
            for entry in table:
                lines += [f"[[{name}]]", *(f"{k} = {v}" for k, v in entry.items() if v is not None)]
    return "\n".join(lines) + "\n"


def sound_world(folder: Path) -> World:
    """Write the world in which everything is as it should be."""
    folder.mkdir(parents=True, exist_ok=True)
    model = folder / "model.bin"
    model.write_bytes(b"weights")
    (folder / "auditor.pub").write_bytes(AUDITOR.public.to_pem())
    (folder / "provider.pub").write_bytes(PROVIDER.public.to_pem())
    world = World(folder)
    with BundleWriter(world.bundle) as writer:
        for piece in PIECES:
            writer.put_evidence(*piece)
        report = sound_report(file_sha256(model), writer.evidence)
        statement = make_statement(report, declared_subjects(report.system))
        writer.finish(statement.body, [sign(statement.body, key) for key in (AUDITOR, PROVIDER)], RENDERED)
    world.write_trust()
    return world


def sound_report(model_sha256: str, evidence: tuple[Evidence, ...] = ()) -> Report:
    """A small report that contradicts itself nowhere: a statistical pass, an exact failure, one row of the law."""
    source = Artifact(path="system.toml", sha256="cd" * 32, size=10, kind="source")
    checkpoint = Artifact(path="model.bin", sha256=model_sha256, size=7, kind="model.checkpoint")
    system = System(name="ward", version="1", source=source, model=Model(checkpoint=checkpoint))
    findings = (
        finding("attack.linear", Status.PASS, Strength.STATISTICAL, (measurement(),)),
        finding("secagg.parameters", Status.FAIL, Strength.EXACT, cites=tuple(piece.sha256 for piece in evidence)),
        finding("secagg.parameters", Status.PASS, Strength.EXACT, key="client=1"),
    )
    return Report(
        system=system,
        findings=findings,
        evidence=evidence,
        evidence_root=evidence_root(evidence),
        controls=(control_row(findings[0].fingerprint),),
        provenance=provenance(derived_seed(source.sha256, POLICY_SHA256, "nonce")),
    )


def measurement() -> Measurement:
    """No record of 100 recovered; unprotected, all of them."""
    return Measurement(
        name="recovered_records",
        value=0.0,
        interval=Interval(low=0.0, high=0.04, confidence=0.95),
        n=100,
        method="Clopper-Pearson",
        threshold=Threshold(op="<=", limit=0.05),
        control=1.0,
    )


def finding(
    check: str,
    status: Status,
    strength: Strength,
    measurements: tuple[Measurement, ...] = (),
    *,
    key: str = "",
    cites: tuple[str, ...] = (),
) -> Finding:
    """A finding on the system `ward`."""
    return Finding(
        check=check,
        key=key,
        title="No record leaks",
        status=status,
        severity=Severity.HIGH,
        strength=strength,
        basis=Basis.MEASURED,
        summary="What was found.",
        measurements=measurements,
        evidence=cites,
        fingerprint=fingerprint("ward", check, key),
    )


def control_row(cited: str) -> ControlRow:
    """A duty that rests on one finding."""
    return ControlRow(
        control="EU-AIA:15(5)",
        title="Withstand attacks",
        role="provider",
        law_version="2024-07-12",
        applicability="applies",
        applicability_reason="high-risk",
        ceiling="direct",
        state="supported",
        support="direct",
        next_step="Nothing.",
        findings=(cited,),
    )


def provenance(root_seed: int) -> Provenance:
    """A run of the evening before."""
    return Provenance(
        tool_version="0.1.0",
        root_seed=root_seed,
        seed_source="derived",
        nonce="nonce",
        effort=Effort.STANDARD,
        python="3.11.7",
        platform="linux-x86_64",
        threads=1,
        packages={"numpy": "2.4.6"},
        policy_sha256=POLICY_SHA256,
        started=FINISHED,
        finished=FINISHED,
    )
