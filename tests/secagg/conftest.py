"""What the tests of secagg/ share: a system that declares secure aggregation, and a check that is asked of it."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_bytes
from typing import Any

import numpy as np
import pytest

from reports.check import Check, Context
from reports.evidence import suffix_of
from reports.model import Confidentiality, Effort, Evidence, Finding, System, evidence_path
from secagg.client import SecAggClient
from secagg.keys import Identity
from secagg.policy import ClientPolicy
from secagg.records import Header, HeaderQuantization
from secagg.server import RingSum, SecAggServer
from secagg.source import MemorySource
from secagg.transcript import read_transcript

VECTORS = Path(__file__).parents[1] / "vectors/secagg"
SOURCE = {"path": "system.toml", "sha256": "0" * 64, "size": 1, "kind": "source"}
SOUND = {"clients": 100, "degree": 12, "threshold": 7, "corrupt_fraction": 0.05, "dropout_fraction": 0.05}
DIMENSION = 50


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


@dataclass
class Round:
    """A round of few clients against a malicious server, driven step by step."""

    count: int = 6
    threshold: int = 4
    changes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ids = [f"c{place}" for place in range(self.count)]
        self.identities = {one: Identity.generate() for one in ids}
        fields: dict[str, Any] = {
            "run": "test",
            "round": 1,
            "clients": {one: self.identities[one].public_key for one in ids},
            "degree": self.count - 1,
            "threshold": self.threshold,
            "beacon": token_bytes(32),
            "beacon_source": "simulation",
            "server_trust": "malicious",
            "signatures": True,
            "consistency_check": True,
            "modulus_bits": 32,
            "length": DIMENSION,
            "quantization": HeaderQuantization(8.0, 2**20),
        }
        self.header = Header(**(fields | dict(self.changes)))
        vouched = {one: key.public_key for one, key in self.identities.items()}
        policy = ClientPolicy(required_sigma=0, required_eta=0, identities=vouched)
        self.clients = {one: SecAggClient(one, self.identities[one], policy) for one in ids}
        self.server = SecAggServer(self.header)
        rng = np.random.default_rng(1)
        self.updates = {one: rng.normal(size=DIMENSION).astype(np.float32) for one in ids}

    def advertise(self) -> None:
        for client in self.clients.values():
            client.open(self.header)
            self.server.advertised(client.advertise())
        self.included = self.server.roster().included

    def share(self) -> None:
        self.advertise()
        for one, client in self.clients.items():
            self.server.shared(client.share(self.included, self.server.keys_for(one)))
        self.included = self.server.share_roster().included

    def mask(self, lost: tuple[str, ...] = ()) -> None:
        self.share()
        rng = np.random.default_rng(2)
        for one, client in self.clients.items():
            message, vector = client.mask(self.included, self.server.sealed_for(one), self.updates[one], rng=rng)
            if one not in lost:
                self.server.masked(message, vector)
        self.included = self.server.survivors().included

    def agree(self, lost: tuple[str, ...] = ()) -> None:
        self.mask(lost)
        for one in self.included:
            self.server.consistent(self.clients[one].consistency(self.included))

    def unmask(self, lost: tuple[str, ...] = ()) -> RingSum:
        self.agree(lost)
        for one in self.included:
            self.server.unmasked(self.clients[one].unmask(self.included, self.server.agreements_for(one)))
        return self.server.result()


def _secure_system(server_trust: str | None = "honest-but-curious", **changes: Any) -> System:
    federation = {"server_trust": server_trust, "secure_aggregation": {**SOUND, **changes}}
    return System.model_validate({"name": "ward", "version": "1", "source": SOURCE, "federation": federation})


def _ask(
    check: Check,
    system: System,
    shelf: Shelf | None = None,
    folder: Path = Path(),
    effort: Effort = Effort.SMOKE,
) -> list[Finding]:
    context = Context(
        check=check,
        system=system,
        seed=7,
        effort=effort,
        folder=folder,
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


@pytest.fixture(scope="session")
def drive() -> type[Round]:
    """Gives a round against a malicious server, complete graph, to be taken step by step."""
    return Round


def _vector_transcript(name: str) -> MemorySource:
    folder = VECTORS / f"transcript-{name}"
    lines = (folder / "transcript.jsonl").read_bytes().split(b"\n")[:-1]
    blobs = {path.name: path.read_bytes() for path in (folder / "blobs").iterdir()}
    return MemorySource(lines, blobs, read_transcript(folder).identities())


@pytest.fixture(scope="session")
def vector_transcript() -> Callable[[str], MemorySource]:
    """A round of another implementation: "a" is signed and on the complete graph, "b" neither."""
    return _vector_transcript
