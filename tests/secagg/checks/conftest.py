"""Rounds on disk, for checks that read transcripts."""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reports.check import Check, Context
from reports.digests import artifact_sha256
from reports.model import (
    Artifact,
    Confidentiality,
    Effort,
    Evidence,
    Federation,
    Finding,
    SecureAggregation,
    System,
    evidence_path,
)
from secagg.drops import DropPlan
from secagg.failures import MALICIOUS
from secagg.keys import Identity
from secagg.records import Header
from secagg.setting import RoundConfig, make_identities
from secagg.simulate import simulate_round
from secagg.transcript import TranscriptWriter

ROUND = {"clients": 14, "length": 8, "corrupt_fraction": 0.15, "dropout_fraction": 0.15}


def _record_rounds(folder: Path, *rounds: dict[str, Any]) -> tuple[Artifact, ...]:
    artifacts = []
    for number, changes in enumerate(rounds, start=1):
        settings = {**ROUND, "round": number, **changes}
        drop = DropPlan({"masked-input": settings.pop("dropped", ())})
        config = RoundConfig(**settings)
        path = f"round-{number:04d}"
        rng = np.random.default_rng(number)
        with TranscriptWriter(folder / path) as recorder:
            result = simulate_round(config, rng.normal(size=(config.clients, 8)), drop=drop, rng=rng, recorder=recorder)
        assert result.status == "ok"
        digest = artifact_sha256(folder / path)
        artifacts.append(Artifact(path=path, sha256=digest, size=1, kind="federation.secure_aggregation.transcripts"))
    return tuple(artifacts)


@pytest.fixture(scope="session")
def record_rounds() -> Callable[..., tuple[Artifact, ...]]:
    """Simulate rounds of fourteen clients, each with settings of its own, and return their transcripts in a folder."""
    return _record_rounds


@dataclass(frozen=True)
class Ward:
    """A system of seven clients with recorded rounds on disk."""

    folder: Path
    system: System

    def asked(self, check: Check, effort: Effort = Effort.SMOKE, shelf: Any = None) -> Finding:
        """Return the one finding of a check."""
        [finding] = check.ask(self.system, self.context(check, effort, shelf))
        return finding

    def declaring(self, **keys: Any) -> "Ward":
        """Return it with other keys in its section on secure aggregation."""
        federation = self.system.federation
        assert federation is not None
        assert federation.secure_aggregation is not None
        section = federation.secure_aggregation.model_copy(update=keys)
        federation = federation.model_copy(update={"secure_aggregation": section})
        return Ward(self.folder, self.system.model_copy(update={"federation": federation}))

    def context(self, check: Check, effort: Effort = Effort.SMOKE, shelf: Any = None) -> Context:
        """Return what a check of it is given."""
        now = datetime(2026, 11, 20, tzinfo=UTC)
        return Context(check, self.system, 7, effort, self.folder, now, shelf or _Nowhere())


class _Nowhere:
    """An evidence store that forgets."""

    def put_evidence(self, data: bytes, media_type: str, confidentiality: Confidentiality, name: str) -> Evidence:
        digest = hashlib.sha256(data).hexdigest()
        path = evidence_path(digest)
        return Evidence(
            sha256=digest, path=path, size=1, media_type=media_type, confidentiality=confidentiality, name=name
        )


CLIENTS, LENGTH = 7, 200


@dataclass(frozen=True)
class Sourced(RoundConfig):
    """A round whose header says something else of its beacon than that it is a simulation's."""

    beacon_source: str = "simulation"

    def header(self, beacon: bytes, identities: Mapping[str, Identity] | None) -> Header:
        return replace(super().header(beacon, identities), beacon_source=self.beacon_source)


def _ward(
    folder: Path,
    *rounds: dict[str, Any],
    server_trust: str = "honest-but-curious",
    vouched: bool = True,
    length: int = LENGTH,
    spoil: Callable[[Path], None] | None = None,
    **declared: Any,
) -> Ward:
    known = make_identities(tuple(f"c{place:05d}" for place in range(1, CLIENTS + 1)))
    public = {client: identity.public_key for client, identity in known.items()}
    folder.mkdir(parents=True, exist_ok=True)
    for number, changes in enumerate(rounds, start=1):
        settings: dict[str, Any] = {"degree": CLIENTS - 1, "threshold": 5, "server_trust": server_trust} | changes
        if settings["server_trust"] != MALICIOUS and "plant" not in settings:
            settings.setdefault("signatures", False)  # most of the time is spent on verifying them
        more = {name: settings.pop(name) for name in ("plant", "drop", "client") if name in settings}
        keep_blobs = settings.pop("keep_blobs", True)
        config = Sourced(CLIENTS, length, round=number, required_sigma=0, required_eta=0, **settings)
        rng = np.random.default_rng(number)
        with TranscriptWriter(folder / f"round-{number:04d}", keep_blobs=keep_blobs) as recorder:
            updates = rng.normal(size=(CLIENTS, length)).astype(np.float32)
            simulate_round(config, updates, rng=rng, recorder=recorder, identities=known, **more)
    if spoil is not None:
        spoil(folder)
    section = SecureAggregation(
        transcripts=tuple(_artifact(folder / f"round-{place:04d}") for place in range(1, len(rounds) + 1)),
        identities=_vouching(folder / "identities.json", public) if vouched else None,
        **declared,
    )
    federation = Federation(server_trust=server_trust, secure_aggregation=section)
    source = Artifact(path="system.toml", sha256="0" * 64, size=1, kind="source")
    return Ward(folder, System(name="ward", version="1", source=source, federation=federation))


def _artifact(path: Path) -> Artifact:
    return Artifact(path=path.name, sha256=artifact_sha256(path), size=1, kind="federation.secure_aggregation")


def _vouching(path: Path, keys: Mapping[str, bytes]) -> Artifact:
    path.write_text(json.dumps({client: base64.b64encode(key).decode() for client, key in keys.items()}))
    return _artifact(path)


@pytest.fixture(scope="session")
def ward() -> Callable[..., Ward]:
    """Record rounds of seven clients and declare them; `plant`, `client` or a field of `Sourced` changes one."""
    return _ward
