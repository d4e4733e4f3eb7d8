"""Findings from a bundle or a file, to hold the claims of documents against."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from compliance.errors import JudgeFileError
from compliance.json_file import read_value
from reports.bundle_files import is_bundle
from reports.model import Artifact, Finding, System, fingerprint
from reports.tomlfile import fault

__all__ = ["Given", "nobody", "read_findings"]

NEEDED = ("check", "status", "strength", "measurements")
_DEFAULTS: Mapping[str, object] = {"severity": "medium", "basis": "measured"}


@dataclass(frozen=True)
class Given:
    """Findings, and whose they are."""

    findings: tuple[Finding, ...] = ()
    """Of an audit."""
    system: System | None = None
    """That was audited; None where only findings were given."""


def nobody() -> System:
    """Return a system that declares nothing, for documents that come without one."""
    source = Artifact(path="system.toml", sha256=hashlib.sha256(b"").hexdigest(), size=0, kind="source")
    return System(name="documents", version="unknown", source=source)


def read_findings(path: Path) -> Given:
    """Return the findings of a bundle (a folder, or a zip of what is in it) or of a JSON file.

    A file holds a list of findings, or an object with the member `findings`. A finding may leave out everything but
    `check`, `status`, `strength` and `measurements`.

    Raises:
        BundleError: the folder, or the zip, is no bundle.
        JudgeFileError: `findings.not_found`, `.too_large`, `.syntax` (no JSON that every reader reads alike), or
            `.value`: it holds something else; names the finding and the member.
    """
    if is_bundle(path):
        from reports.bundle import read_bundle

        report = read_bundle(path).statement.report
        return Given(report.findings, report.system)
    value = read_value(path, JudgeFileError, "findings")
    listed = value.get("findings") if isinstance(value, dict) else value
    if not isinstance(listed, list):
        raise _wrong(path, "holds no list of findings", 'Write a list, or {"findings": [...]}.')
    return Given(tuple(_finding(path, number, one) for number, one in enumerate(listed)))


def _finding(path: Path, number: int, value: object) -> Finding:
    if not isinstance(value, dict):
        raise _wrong(path, f"findings[{number}] is no JSON object", "Write one object for each finding.")
    if lacking := [name for name in NEEDED if name not in value]:
        raise _wrong(path, f"findings[{number}].{lacking[0]} is missing", f"Add {lacking[0]!r}.")
    check, key = str(value["check"]), str(value.get("key", ""))
    known = {**_DEFAULTS, "title": check, "summary": check, "fingerprint": fingerprint("", check, key)}
    try:
        return Finding.model_validate({**known, **value})
    except ValidationError as error:
        first = fault(Finding, error.errors()[0])
        raise _wrong(path, f"findings[{number}].{first.key}: {first.problem}", first.mend) from error


def _wrong(path: Path, problem: str, mend: str) -> JudgeFileError:
    return JudgeFileError("findings.value", f"{path}: {problem}", mend)
