"""What the tests of the attacks share: small federations on real digits, recorded by `audit.capture`, and one check."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from audit.capture import Capture
from audit.load import Truth
from audit.manifest import load_system
from audit.twin import Scale, clear_update
from reports.check import Check, Context
from reports.model import Confidentiality, Effort, Evidence, Finding, evidence_path

Array = npt.NDArray[np.float64]
Defend = Callable[[Mapping[str, Array], np.random.Generator], Mapping[str, Array]]
PLAIN = Scale(np.zeros(1), np.ones(1))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small matrices on a shared machine are fastest on one thread, and then always summed in the same order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@dataclass
class Kept:
    """An evidence store in memory."""

    data: dict[str, bytes] = field(default_factory=dict)
    pieces: dict[str, Evidence] = field(default_factory=dict)

    def put_evidence(self, data: bytes, media_type: str, confidentiality: Confidentiality, name: str) -> Evidence:
        digest = hashlib.sha256(data).hexdigest()
        piece = Evidence(
            sha256=digest,
            path=evidence_path(digest),
            size=len(data),
            media_type=media_type,
            confidentiality=confidentiality,
            name=name,
        )
        self.data[digest], self.pieces[digest] = data, piece
        return piece


@dataclass
class Asked:
    """One check's answer, and the evidence it left."""

    findings: list[Finding]
    kept: Kept

    @property
    def finding(self) -> Finding:
        (only,) = self.findings
        return only

    def value(self, name: str) -> float:
        (found,) = [one for one in self.finding.measurements if one.name == name]
        return found.value


def _ask(check: Check, folder: Path, *, seed: int = 7, effort: Effort = Effort.SMOKE, **given: Any) -> Asked:
    loaded = load_system(folder / "system.toml")
    kept = Kept()
    now = datetime(2026, 11, 20, tzinfo=UTC)
    context = Context(check, loaded.system, seed, effort, loaded.folder, now, kept, **given)
    return Asked(list(check.ask(loaded.system, context)), kept)


@pytest.fixture(scope="session")
def ask() -> Callable[..., Asked]:
    """Put one check to the system in a folder."""
    return _ask


@dataclass(frozen=True)
class Digits:
    """Scikit-learn's handwritten digits in a fixed order, pixels in [0, 1]."""

    x: npt.NDArray[np.float32]
    y: npt.NDArray[np.int64]


@pytest.fixture(scope="session")
def digits() -> Digits:
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    return Digits((x[order] / 16).astype(np.float32), y[order].astype(np.int64))


def _perceptron(width: int = 128, *, bias: bool = True, seed: int = 0, dead: bool = False) -> nn.Sequential:
    torch.manual_seed(seed)
    first = nn.Linear(64, width, bias=bias)
    if dead:
        nn.init.constant_(first.bias, -1e3)
    return nn.Sequential(first, nn.ReLU(), nn.Linear(width, 10))


@pytest.fixture(scope="session")
def perceptron() -> Callable[..., nn.Sequential]:
    """A two-layer perceptron for digits, untrained; `dead` ones never activate a hidden unit."""
    return _perceptron


def _no_defence(update: Mapping[str, Array], _: np.random.Generator) -> Mapping[str, Array]:
    return update


@pytest.fixture
def planted(tmp_path: Path, digits: Digits) -> Callable[..., Path]:
    """Write a federation whose clients plant digits, each update and each sum through a defence; its folder."""

    def write(
        *,
        clients: int = 64,
        rounds: int = 1,
        batch: int = 1,
        model: nn.Module | None = None,
        defend: Defend = _no_defence,
        reference: int = 1000,
        kind: str = "gradient",
        aggregates: Defend | None = None,
        federation: Mapping[str, Any] | None = None,
        scale: Scale = PLAIN,
        name: str = "system",
        **capture: Any,
    ) -> Path:
        net = _perceptron() if model is None else model
        rng = np.random.default_rng(5)
        folder = tmp_path / name
        total = clients * rounds * batch
        public = slice(total, total + reference)
        known = (digits.x[public], digits.y[public]) if reference else None
        names = [name for name, _ in net.named_parameters()]
        rows = iter(range(0, total, batch))
        with Capture(
            folder, net, name="digits", classes=10, reference=known, federation=federation or {}, **capture
        ) as recording:
            for number in range(rounds):
                sums: dict[str, Array] = {}
                for client in range(clients):
                    row = next(rows)
                    records = digits.x[row : row + batch], digits.y[row : row + batch]
                    truth = Truth(*map(torch.from_numpy, records))
                    sent = defend(clear_update(net, truth, scale, names, of=kind), rng)
                    sums = {name: sums.get(name, 0.0) + value for name, value in sent.items()}
                    _record(recording, net, kind, sent, records, f"c{client}", number)
                if aggregates is not None:
                    seen = {name: torch.from_numpy(value).float() for name, value in aggregates(sums, rng).items()}
                    recording.record_aggregate(seen, clients=clients, round=number, of=kind)
        return folder

    return write


def _record(
    recording: Capture, net: nn.Module, kind: str, sent: Mapping[str, Array], batch: Any, client: str, number: int
) -> None:
    """Record an update that went through a defence, by the two doors that a user has."""
    tensors = {name: torch.from_numpy(np.asarray(value)).float() for name, value in sent.items()}
    if kind == "gradient":
        for name, parameter in net.named_parameters():
            parameter.grad = tensors[name]
        recording.record_gradient(net, batch, client=client, round=number)
        return
    before = net.state_dict()
    after = {name: tensor + tensors.get(name, 0.0) for name, tensor in before.items()}
    recording.record_update(before, after, batch, client=client, round=number)
