"""A small system and findings of it, for the tests of rows, claims and thresholds. No test itself."""

import hashlib
from datetime import date
from typing import Any

from reports.model import Artifact, Basis, Finding, Severity, Status, Strength, System, fingerprint

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
