"""What the tests of secagg/ share: a system that declares secure aggregation, and a check that is asked of it."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from reports.check import Check, Context
from reports.evidence import suffix_of
from reports.model import Confidentiality, Effort, Evidence, Finding, System, evidence_path

SOURCE = {"path": "system.toml", "sha256": "0" * 64, "size": 1, "kind": "source"}
SOUND = {"clients": 100, "degree": 12, "threshold": 7, "corrupt_fraction": 0.05, "dropout_fraction": 0.05}


class Shelf:
    """An evidence store in memory, by digest."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def put_evidence(self, data: bytes, media_type: str, confidentiality: Confidentiality, name: str) -> Evidence:
        digest = hashlib.sha256(data).hexdigest()
        self.kept[digest] = data
        return Evidence(
            sha256=digest,
            path=evidence_path(digest, suffix_of(media_type)),
            size=len(data),
            media_type=media_type,
            confidentiality=confidentiality,
            name=name,
        )


def _secure_system(server_trust: str | None = "honest-but-curious", **changes: Any) -> System:
    federation = {"server_trust": server_trust, "secure_aggregation": {**SOUND, **changes}}
    return System.model_validate({"name": "ward", "version": "1", "source": SOURCE, "federation": federation})


def _ask(check: Check, system: System, shelf: Shelf | None = None) -> list[Finding]:
    context = Context(
        check=check,
        system=system,
        seed=7,
        effort=Effort.SMOKE,
        folder=Path(),
        now=datetime(2026, 11, 20, tzinfo=UTC),
        store=shelf or Shelf(),
    )
    return list(check.ask(system, context))


@pytest.fixture(scope="session")
def secure_system() -> Callable[..., System]:
    """A sound system of 100 clients, degree 12, threshold 7; keys of its secure aggregation can be changed."""
    return _secure_system


@pytest.fixture(scope="session")
def ask() -> Callable[..., list[Finding]]:
    """Ask a check of a system and return its findings."""
    return _ask


@pytest.fixture
def shelf() -> Shelf:
    """Where evidence goes; `kept` holds it by digest."""
    return Shelf()
