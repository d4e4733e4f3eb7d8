"""What the tests of reports/ share: the smallest findings, reports and policies, with knobs."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from reports.model import Artifact, Basis, ControlRow, Finding, Measurement, Provenance, Report, System, fingerprint
from reports.nouns import Effort, Severity, Status, Strength
from reports.policy import Policy

SOURCE = Artifact(path="system.toml", sha256="0" * 64, size=1, kind="system")


def _found(
    check: str,
    status: str,
    *,
    key: str = "",
    severity: str = "high",
    strength: str = "statistical",
    measurements: Sequence[Measurement] = (),
    reason: str = "",
) -> Finding:
    return Finding(
        check=check,
        key=key,
        title="No record leaks",
        status=Status(status),
        severity=Severity(severity),
        strength=Strength(strength),
        basis=Basis.MEASURED,
        summary="What was found.",
        measurements=tuple(measurements),
        reason=reason,
        fingerprint=fingerprint("ward", check, key),
    )


def _report(*findings: Finding, controls: Sequence[ControlRow] = (), name: str = "ward", **run: Any) -> Report:
    moment = datetime(2026, 11, 20, 12, tzinfo=UTC)
    provenance = {
        "tool_version": "0.1.0",
        "root_seed": 7,
        "seed_source": "derived",
        "effort": Effort.STANDARD,
        "python": "3.11",
        "platform": "linux-x86_64",
        "threads": 1,
        "packages": {},
        "started": moment,
        "finished": moment,
        **run,
    }
    return Report(
        system=System(name=name, version="1", source=SOURCE),
        findings=tuple(sorted(findings, key=lambda finding: (finding.check, finding.key))),
        evidence=(),
        evidence_root="0" * 64,
        controls=tuple(controls),
        provenance=Provenance.model_validate(provenance),
    )


def _policy(**keys: Any) -> Policy:
    return Policy.model_validate({"version": 1, "name": "house", "fail_on": "medium", **keys})


@pytest.fixture(scope="session")
def found() -> Callable[..., Finding]:
    """A finding: check id, status, and what else matters."""
    return _found


@pytest.fixture(scope="session")
def report() -> Callable[..., Report]:
    """A report of findings; further keys go into its provenance."""
    return _report


@pytest.fixture(scope="session")
def policy() -> Callable[..., Policy]:
    """A policy: fail_on medium, unless the keys say otherwise."""
    return _policy
