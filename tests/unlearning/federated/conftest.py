"""What the tests of engines and methods share: small federations, and ones that are asked to forget."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from unlearning.errors import TrainingDiverged
from unlearning.federated.data import ClientData, FederatedData, SimulatedFederation
from unlearning.federated.engine import Sequential
from unlearning.federated.methods.base import History, Setting
from unlearning.federated.recipe import TrainingRecipe
from unlearning.federated.request import UnlearningRequest, split
from unlearning.federated.rounds import Engine, Models, Phase, RoundOutcome, Stack, train_models
from unlearning.federated.stacked import StackedFederation

Build = Callable[[], nn.Module]
SIZES = (5, 3, 6, 2)
FEATURES, HIDDEN, CLASSES = 6, 5, 3


def examples(count: int, source: torch.Generator, dtype: torch.dtype = torch.float32) -> ClientData:
    """Examples of six features whose label is the largest of the first three, two times in three."""
    x = torch.randn(count, FEATURES, generator=source, dtype=torch.float64)
    y = x[:, :CLASSES].argmax(1)
    y[::3] = torch.randint(CLASSES, y[::3].shape, generator=source)
    return ClientData(x.to(dtype), y)


def perceptron() -> nn.Module:
    """One hidden layer, 53 parameters; built without the checks that `unlearning.models.mlp` makes."""
    return nn.Sequential(nn.Linear(FEATURES, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CLASSES))


def federation(
    *sizes: int, dtype: torch.dtype = torch.float32, untrained: Build | None = None, **recipe: Any
) -> SimulatedFederation:
    """A federation whose clients hold so many examples; a small perceptron by default."""
    source = torch.Generator().manual_seed(3)
    clients = tuple(examples(count, source, dtype) for count in sizes or SIZES)
    data = FederatedData(
        clients, examples(30, source, dtype), twin=examples(9, source, dtype), holdout=examples(20, source, dtype)
    )
    build = untrained or perceptron
    numbers = {"rounds": 4, "local_epochs": 2, "batch_size": 3, "learning_rate": 0.2, **recipe}
    return SimulatedFederation(data, TrainingRecipe.model_validate(numbers), lambda: build().to(dtype))


@dataclass(frozen=True)
class Spy:
    """An engine that remembers what it was asked for, and fails at the first so many max phases if told to."""

    engine: Engine
    failures: int = 0
    asked: list[tuple[Models, Phase]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.engine)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def round(self, models: Models, phase: Phase, *, record: bool = False) -> tuple[Models, RoundOutcome]:
        self.asked.append((models, phase))
        if phase.kind == "max" and len(self.phases("max")) <= self.failures:
            raise TrainingDiverged("training.diverged", "the loss is no longer finite", "Lower it.")
        return self.engine.round(models, phase, record=record)

    def phases(self, kind: str) -> list[Phase]:
        return [phase for _, phase in self.asked if phase.kind == kind]


@dataclass(frozen=True)
class Scenes:
    """Builds federations that are asked to forget."""

    spy: type[Spy] = Spy

    federation: Callable[..., SimulatedFederation] = federation

    def engines(self, given: SimulatedFederation, *seeds: int) -> tuple[Sequential, StackedFederation]:
        """Both engines, over the same models."""
        return Sequential(given, seeds), StackedFederation(given, seeds, chunk=2)

    def asked_for(self, given: Setting, request: str, **setting: Any) -> Setting:
        """Ask the same models to forget something else."""
        taken = split(given.engine.federation.data, UnlearningRequest.parse(request))
        return replace(given, split=taken, **setting)

    def asked(self, engine: Engine, request: str = "client:0", **setting: Any) -> Setting:
        """Train the models with everything recorded, and ask them to forget."""
        globals_: dict[int, Stack] = {}
        updates: dict[int, Mapping[int, Stack]] = {}
        weights: dict[int, Mapping[int, Tensor]] = {}

        def watch(before: Models, after: Models, outcome: RoundOutcome) -> None:
            globals_.setdefault(before.rounds, before.tensors)
            globals_[after.rounds] = after.tensors
            updates[after.rounds], weights[after.rounds] = outcome.deltas, outcome.weights

        data = engine.federation.data
        shares = dict(enumerate(data.clients))
        models = train_models(engine, shares, engine.federation.recipe, watch=watch, record=True)
        taken = split(data, UnlearningRequest.parse(request))
        history = History(globals_, updates, weights)
        given = Setting(engine, taken, models, history, twin=data.twin, unlabelled=data.holdout)
        return replace(given, **setting)


@pytest.fixture(scope="session")
def scenes() -> Scenes:
    return Scenes()


def flat(tensors: Mapping[str, Tensor]) -> Tensor:
    """All floating tensors of a stack in one, shape (M, p); of a state dict, flatten it first."""
    return torch.cat([one.double().reshape(len(one), -1) for one in tensors.values() if one.is_floating_point()], dim=1)


@pytest.fixture(scope="session")
def flattened() -> Callable[[Mapping[str, Tensor]], Tensor]:
    return flat
