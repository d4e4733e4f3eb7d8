"""The desk at which `fedaudit gate` is tested: signed bundles, their model, whom to trust, a policy. No test itself."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from audit.cli.main import run
from reports.bundle_writer import BundleWriter
from reports.digests import file_sha256
from reports.dsse import sign
from reports.evidence import evidence_root
from reports.keys import PrivateKey, generate
from reports.model import (
    Artifact,
    Basis,
    Confidentiality,
    ControlRow,
    Finding,
    Interval,
    Measurement,
    Model,
    Provenance,
    Report,
    System,
    fingerprint,
)
from reports.nouns import Effort, Severity, Status, Strength
from reports.statement import declared_subjects, make_statement

NOW = "2026-11-21T12:00:00Z"
POLICY = 'version = 1\nname = "house"\nfail_on = "medium"\n'
TRUST = """version = 1
withheld = "allow"
[require]
auditor = 1
[[keys]]
name = "A. Auditor"
role = "auditor"
public_key = "auditor.pub"
"""


def finding(check: str, status: str, **more: Any) -> Finding:
    """A finding of the system `ward`; high, statistical and measured unless said otherwise."""
    given: dict[str, Any] = {
        "title": "No record leaks",
        "severity": Severity.HIGH,
        "strength": Strength.STATISTICAL,
        "basis": Basis.MEASURED,
        "summary": "What was found.",
        "fingerprint": fingerprint(more.pop("system", "ward"), check, more.get("key", "")),
        **more,
    }
    return Finding(check=check, status=Status(status), **given)


RATE = Measurement(
    name="rate", value=0.001, interval=Interval(low=0.0, high=0.004, confidence=0.95), n=900, method="counted",
    control=0.9,
)  # fmt: skip
SOUND = (
    finding("attack.linear", "pass", measurements=(RATE,)),
    finding("integrity.artifacts", "pass", measurements=(RATE,)),
)


@dataclass
class Desk:
    """A folder with a signed bundle, its model, whom to trust, and a policy."""

    folder: Path
    """Holds all of them."""
    key: PrivateKey = field(default_factory=generate)
    """The auditor's."""

    def __post_init__(self) -> None:
        (self.folder / "model.bin").write_bytes(b"weights")
        (self.folder / "auditor.pub").write_bytes(self.key.public.to_pem())
        self.write("trust.toml", TRUST)
        self.write("policy.toml", POLICY)

    def write(self, name: str, text: str) -> str:
        """Write a file; return its path."""
        (self.folder / name).write_text(text, encoding="utf-8")
        return str(self.folder / name)

    def write_policy(self, text: str) -> None:
        self.write("policy.toml", text)

    def bundle(
        self,
        *findings: Finding,
        name: str = "bundle",
        system: str = "ward",
        day: int = 20,
        controls: Sequence[ControlRow] = (),
        key: PrivateKey | None = None,
        source_sha256: str = "0" * 64,
    ) -> str:
        """Write a bundle of a run that finished on a day of November 2026; return its path."""
        moment = datetime(2026, 11, day, 12, tzinfo=UTC)
        checkpoint = Artifact(
            path="model.bin", sha256=file_sha256(self.folder / "model.bin"), size=7, kind="model.checkpoint"
        )
        source = Artifact(path="system.toml", sha256=source_sha256, size=1, kind="system")
        reviewed = System(name=system, version="1", model=Model(checkpoint=checkpoint), source=source)
        provenance = Provenance(
            tool_version="0.1.0",
            root_seed=7,
            seed_source="chosen",
            effort=Effort.STANDARD,
            python="3.11",
            platform="linux-x86_64",
            threads=1,
            packages={},
            started=moment,
            finished=moment,
        )
        with BundleWriter(self.folder / name) as writer:
            writer.put_evidence(b"plot", "text/plain", Confidentiality.PUBLIC, "a plot")
            writer.put_evidence(b"digits", "text/plain", Confidentiality.RESTRICTED, "digits")
            report = Report(
                system=reviewed,
                findings=tuple(sorted(findings or SOUND, key=lambda one: (one.check, one.key))),
                evidence=writer.evidence,
                evidence_root=evidence_root(writer.evidence),
                controls=tuple(controls),
                provenance=provenance,
            )
            body = make_statement(report, declared_subjects(reviewed)).body
            writer.finish(body, [sign(body, key or self.key)])
        return str(self.folder / name)

    def gate(self, *more: str) -> int:
        return run(["gate", str(self.folder / "bundle"), "--policy", str(self.folder / "policy.toml"), *more])

    def trusting(self, *more: str) -> int:
        trust, model = str(self.folder / "trust.toml"), str(self.folder / "model.bin")
        return self.gate("--trust", trust, "--subject", model, "--now", NOW, *more)

    def unsigned(self, *more: str) -> int:
        return self.gate("--unsigned", "--now", NOW, *more)
