"""A small system and findings of it, for the tests of rows, claims and thresholds. No test itself."""

import hashlib
from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from reports.check import Check, Context
from reports.context import Options
from reports.model import (
    Artifact,
    Basis,
    Confidentiality,
    Document,
    Effort,
    Evidence,
    Finding,
    Severity,
    Status,
    Strength,
    System,
    evidence_path,
    fingerprint,
)

NAME = "ward"


def artifact(path: str, kind: str = "model.checkpoint") -> Artifact:
    """Return an artifact whose digest follows from its path."""
    return Artifact(path=path, sha256=hashlib.sha256(path.encode()).hexdigest(), size=1, kind=kind)


def system(**given: Any) -> System:
    """Return a high-risk system of a provider; conditions undeclared unless given."""
    given = {"risk_class": "high-risk", "placed_on_market": date(2028, 1, 1), **given}
    return System(name=NAME, version="1", source=artifact("system.toml", "system"), **given)


def finding(check: str, status: Status = Status.PASS, **given: Any) -> Finding:
    """Return a finding; statistical, measured and of medium harm unless said otherwise."""
    given = {
        "title": "A sentence that is true",
        "summary": "What was found.",
        "severity": Severity.MEDIUM,
        "strength": Strength.STATISTICAL,
        "basis": Basis.MEASURED,
        "fingerprint": fingerprint(NAME, check, given.get("key", "")),
        **given,
    }
    return Finding(check=check, status=status, **given)


class Shelf:
    """Keeps evidence in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[bytes, Confidentiality]] = {}

    def put_evidence(self, data: bytes, media_type: str, confidentiality: Confidentiality, name: str) -> Evidence:
        """Keep bytes under their digest."""
        sha256 = hashlib.sha256(data).hexdigest()
        self.kept[sha256] = (data, confidentiality)
        return Evidence(
            sha256=sha256, path=evidence_path(sha256), size=len(data), media_type=media_type,
            confidentiality=confidentiality, name=name,
        )  # fmt: skip


def ask(
    check: Check,
    declared: System,
    folder: Path,
    findings: Iterable[Finding] = (),
    *,
    now: datetime = datetime(2027, 6, 1, 9, tzinfo=UTC),
    shelf: Shelf | None = None,
    options: Options | None = None,
) -> list[Finding]:
    """Return what a check answers about a system in a folder, after the given findings."""
    context = Context(
        check=check, system=declared, seed=7, effort=Effort.SMOKE, folder=folder, now=now, store=shelf or Shelf(),
        findings=tuple(findings), options=options or Options(),
    )  # fmt: skip
    return list(check.ask(declared, context))


def document(folder: Path, name: str, text: str, kind: str = "technical-documentation", **given: Any) -> Document:
    """Write a document and return how the system file names it."""
    (folder / name).write_text(text, encoding="utf-8")
    return Document(path=artifact(name, "documents.path"), kind=kind, **{"classification": "internal", **given})
