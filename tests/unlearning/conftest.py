"""What the tests of delivered models share: a small federation that honours an erasure request into a folder."""

import functools
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import torch

from audit.manifest import load_system
from reports.check import Check, Context, Options
from reports.model import Confidentiality, Effort, Evidence, Finding, System, evidence_path
from unlearning.federated.data import ClientData, FederatedData, SimulatedFederation
from unlearning.federated.delivered import Delivered, load_delivered
from unlearning.federated.erasure import Erasure, carry_out, train_first
from unlearning.federated.methods import method
from unlearning.federated.recipe import TrainingRecipe
from unlearning.federated.request import UnlearningRequest
from unlearning.federated.transcript import Close, Header, Round, TranscriptWriter, read_transcript
from unlearning.models import build_layers, layer_list

Items = tuple[tuple[str, Any], ...]
LAYERS = layer_list("mlp", (6,), 3, hidden=5)
SYSTEM = """
[system]
name = "eraser"
version = "1"

[model]
layers = "layers.json"

[[unlearning]]
id = "r1"
kind = "{kind}"
method = "{method}"
before = "before.safetensors"
after = "after.safetensors"
forget = "forget.npz"
retain = "retain.npz"
twin = "twin.npz"
transcript = "transcript.jsonl"
"""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small matrices on a shared machine are fastest on one thread, and then always summed in the same order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def examples(count: int, source: torch.Generator) -> ClientData:
    """Examples of six features whose label is the largest of the first three."""
    x = torch.randn(count, 6, generator=source)
    return ClientData(x, x[:, :3].argmax(1))


@functools.cache
def small_federation(**recipe: Any) -> SimulatedFederation:
    """Four clients with 26 examples in all, and a perceptron of 53 parameters."""
    source = torch.Generator().manual_seed(4)
    clients = tuple(examples(count, source) for count in (8, 6, 7, 5))
    data = FederatedData(clients, examples(20, source), holdout=examples(60, source), probes=examples(9, source))
    numbers = {"rounds": 4, "batch_size": 4, "learning_rate": 0.2, **recipe}
    return SimulatedFederation(data, TrainingRecipe(**numbers), functools.partial(build_layers, LAYERS))


@functools.cache
def trained(federation: SimulatedFederation) -> Any:
    """The model before, and all that was recorded of its training."""
    return train_first(federation)


@dataclass
class Kept:
    """An evidence store in memory."""

    def put_evidence(self, data: bytes, media_type: str, confidentiality: Confidentiality, name: str) -> Evidence:
        return Evidence(
            sha256="0" * 64, path=evidence_path("0" * 64), size=len(data), media_type=media_type,
            confidentiality=confidentiality, name=name,
        )  # fmt: skip


@dataclass(frozen=True)
class Erased:
    """The folder of an erasure request that was carried out."""

    folder: Path

    @property
    def system(self) -> System:
        return load_system(self.folder / "system.toml").system

    def delivered(self, *, trust_code: bool = False) -> Delivered:
        """What the readers make of it."""
        system = self.system
        return load_delivered(system, system.unlearning[0], self.folder, trust_code=trust_code)

    def ask(self, check: Check, effort: Effort = Effort.STANDARD, *, trust_code: bool = False) -> Finding:
        """The one finding of a check."""
        system, now = self.system, datetime(2026, 11, 20, tzinfo=UTC)
        options = Options(trust_code=trust_code)
        context = Context(check, system, 7, effort, self.folder, now, Kept(), options)
        (finding,) = check.ask(system, context)
        return finding

    def edit(self, old: str, new: str, file: str = "system.toml") -> None:
        """Replace words in a text file; they are there."""
        text = (self.folder / file).read_text()
        assert old in text
        (self.folder / file).write_text(text.replace(old, new))

    def declare(self, lines: str) -> None:
        """Add lines to the system file."""
        with (self.folder / "system.toml").open("a") as file:
            file.write(lines)

    def retell(
        self,
        header: Callable[[Header], Header] = lambda one: one,
        rounds: Callable[[tuple[Round, ...]], tuple[Round, ...]] = lambda all_: all_,
        close: Callable[[Close], Close] = lambda one: one,
    ) -> None:
        """Write the transcript anew with other contents and a sound chain, as a careful forger would."""
        path = self.folder / "transcript.jsonl"
        told = read_transcript(path)
        assert told.close is not None
        path.unlink()
        with TranscriptWriter(path) as writer:
            for line in (header(told.header), *rounds(told.rounds), close(told.close)):
                writer.write(line)


@pytest.fixture(scope="session")
def carried(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Carry out a request on the small federation, once a session where all of it has a hash, and declare it."""

    def write(request: str, name: str, recipe: Items, erasure: Items, parameters: Items) -> Path:
        federation = small_federation(**dict(recipe))
        before, history = trained(federation)
        asked = UnlearningRequest.parse(request)
        given = Erasure(federation, asked, method(name, **dict(parameters)), before, seed=5, history=history)
        folder = tmp_path_factory.mktemp("carried")
        carry_out(replace(given, **dict(erasure)), folder)
        (folder / "layers.json").write_text(json.dumps(LAYERS))
        (folder / "system.toml").write_text(SYSTEM.format(kind=asked.kind, method=name))
        return folder

    return functools.cache(write)


@pytest.fixture
def erased(tmp_path: Path, carried: Callable[..., Path]) -> Callable[..., Erased]:
    """A folder of one's own in which a request was carried out."""

    def copied(
        request: str = "client:1", name: str = "rapid-retrain", *,
        recipe: Any = None, erasure: Any = None, **parameters: Any,
    ) -> Erased:  # fmt: skip
        asked = (tuple((one or {}).items()) for one in (recipe, erasure, parameters))
        shutil.copytree(carried(request, name, *asked), tmp_path / "system")
        return Erased(tmp_path / "system")

    return copied


@pytest.fixture(scope="session")
def small() -> Callable[..., SimulatedFederation]:
    """The federation that `erased` is carried out on."""
    return small_federation
