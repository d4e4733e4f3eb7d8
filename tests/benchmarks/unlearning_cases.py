"""Whose forgetting is measured: digits and MNIST, how they are trained, and one planted case for each seed."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from unlearning.federated.data import SimulatedFederation
from unlearning.federated.methods import Method
from unlearning.federated.oracles import Questions
from unlearning.federated.recipe import TrainingRecipe
from unlearning.federated.request import Split, UnlearningRequest, split
from unlearning.federated.scenarios import SCENARIOS, PlantedForgetting, Sizes
from unlearning.models import cnn, mlp

Array = npt.NDArray[Any]

SCENARIO_NAMES = tuple(SCENARIOS)
CLIENTS = 10


SIZES_OF_MNIST = Sizes(clients=CLIENTS, test=0.1, holdout=0.12)
"""Less is held out of the larger set: with less to train on, its trigger is hardly learnt."""


@dataclass(frozen=True, eq=False)
class Source:
    """Images, and how a federation learns them."""

    name: str
    x: Array
    y: npt.NDArray[np.int64]
    recipe: TrainingRecipe
    build: Callable[[], nn.Module]
    sizes: Sizes = field(default_factory=lambda: Sizes(clients=CLIENTS))


@dataclass(frozen=True, eq=False)
class Case:
    """One federation that is asked to forget."""

    source: str
    seed: int
    planted: PlantedForgetting
    federation: SimulatedFederation
    split: Split

    @property
    def retrain_work(self) -> int:
        """Gradients of single examples that the recipe takes without the forget set."""
        recipe = self.federation.recipe
        return recipe.rounds * recipe.local_epochs * len(self.split.retained)

    def asked(self, method: Method, kept: int | None = None) -> Questions:
        """Return what oracles for this method are asked of."""
        return Questions(self.federation, self.split, method, kept, unlabelled=self.planted.data.holdout)


def perceptron() -> nn.Module:
    """4,810 parameters for a digit."""
    return mlp((64,), 64, 10)


def convolutions() -> nn.Module:
    """29,738 parameters for an MNIST image."""
    return cnn((1, 28, 28), 10)


def digits() -> Source:
    """Scikit-learn's 1,797 digits of 8 x 8, flat; 30 rounds of 2 epochs."""
    from sklearn.datasets import load_digits

    found = load_digits()
    recipe = TrainingRecipe(rounds=30, local_epochs=2, batch_size=32, learning_rate=0.1)
    return Source("digits", found.data / 16, found.target.astype(np.int64), recipe, perceptron)


def mnist(file: Path) -> Source:
    """10,000 MNIST images of `file` (npz: X uint8 [n, 28, 28], y); 15 rounds of 2 epochs."""
    with np.load(file, allow_pickle=False) as found:
        x, y = found["X"], found["y"].astype(np.int64)
    recipe = TrainingRecipe(rounds=15, local_epochs=2, batch_size=32, learning_rate=0.1)
    return Source("mnist", (x / 255).astype(np.float32)[:, None], y, recipe, convolutions, SIZES_OF_MNIST)


def case(source: Source, scenario: str, seed: int) -> Case:
    """Return one planted case; the seed decides who holds what."""
    planted = SCENARIOS[scenario](source.x, source.y, np.random.default_rng(seed), source.sizes)
    recipe = source.recipe.model_copy(update={"seed": seed})
    federation = SimulatedFederation(planted.data, recipe, source.build)
    request = UnlearningRequest.parse(planted.request)
    return Case(source.name, seed, planted, federation, split(planted.data, request))
