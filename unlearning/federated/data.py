"""The data of a federation: who holds which examples; and a simulated federation read from its folder."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from unlearning.errors import FederationFileError
from unlearning.federated.example_file import read_examples
from unlearning.federated.federation_file import FederationFile, ModelChoice, read_federation_file
from unlearning.federated.partition import dirichlet_partition, equal_shards
from unlearning.federated.recipe import TrainingRecipe
from unlearning.federated.twins import label_distance, label_matched, near_duplicates, twin_set
from unlearning.models import build, build_layers, drawing_from, layer_list

__all__ = [
    "ClientData",
    "FederatedData",
    "SimulatedFederation",
    "dirichlet_partition",
    "equal_shards",
    "label_distance",
    "label_matched",
    "load_federation",
    "near_duplicates",
    "twin_set",
]


@dataclass(frozen=True, eq=False)
class ClientData:
    """Labelled examples."""

    x: Tensor
    """Shape (n, *input_shape), float32."""
    y: Tensor
    """Labels, shape (n,), int64."""

    def __post_init__(self) -> None:
        if self.y.shape != self.x.shape[:1]:
            raise ValueError(f"{len(self.x)} examples have labels of shape {tuple(self.y.shape)}")

    def __len__(self) -> int:
        return len(self.y)

    def take(self, indices: npt.ArrayLike) -> "ClientData":
        """Return the examples at `indices`, in that order."""
        chosen = torch.as_tensor(np.asarray(indices, dtype=np.int64))
        return ClientData(self.x[chosen], self.y[chosen])


@dataclass(frozen=True, eq=False)
class FederatedData:
    """The examples of a federation."""

    clients: tuple[ClientData, ...]
    """By client; one may hold none."""
    test: ClientData
    """Judges utility."""
    holdout: ClientData | None = None
    """Never trained on; twin sets are drawn from it."""
    twin: ClientData | None = None
    """Held-out data corrupted by the same process as the forget client's."""
    probes: ClientData | None = None
    """Backdoor queries."""


@dataclass(frozen=True, eq=False)
class SimulatedFederation:
    """Data, recipe and model: all that a training needs, and nothing that it changes.

    Not the declared `Federation` of a system file, which says how somebody's federation is run.
    """

    data: FederatedData
    """Who holds what."""
    recipe: TrainingRecipe
    """How it trains."""
    untrained: Callable[[], nn.Module]
    """Builds the model, which gives logits; its initial weights may come from torch's global stream."""

    def build_model(self, generator: torch.Generator) -> nn.Module:
        """Return an untrained model whose initial weights come from `generator` alone."""
        with drawing_from(generator):
            return self.untrained()


def load_federation(path: Path, *, trust_code: bool = False) -> SimulatedFederation:
    """Return the federation that `federation.toml`, or the folder it lies in, describes.

    Raises:
        FederationFileError: The file, or one that it names, cannot be used; names file, key and mend.
        unlearning.errors.ModelError: The model cannot be built, or its code is not trusted.
    """
    file = path / "federation.toml" if path.is_dir() else path
    declared = read_federation_file(file)
    sets = {
        key: _examples(file, f"data.{key}", name, declared.model.classes)
        for key, name in declared.data.model_dump(exclude_none=True).items()
    }
    train, owner = sets.pop("train")
    for key, (examples, _) in sets.items():
        if examples.x.shape[1:] != train.x.shape[1:]:
            told = f"its examples have shape {tuple(examples.x.shape[1:])}, in data.train {tuple(train.x.shape[1:])}"
            raise _wrong(file, f"data.{key}", told, "Give examples of one shape.")
    clients = tuple(train.take(np.flatnonzero(owner == client)) for client in range(int(owner.max()) + 1))
    data = FederatedData(clients, **{key: examples for key, (examples, _) in sets.items()})
    return SimulatedFederation(data, declared.training, _untrained(file, declared, train, trust_code))


def _untrained(file: Path, declared: FederationFile, train: ClientData, trust_code: bool) -> Callable[[], nn.Module]:
    """Return what builds the declared model; it has been built once, so that what is wrong with it is told here."""
    model: ModelChoice = declared.model
    builder: Callable[[], nn.Module]
    if model.architecture == "definition":
        name, _, function = (model.definition or "").rpartition(":")
        builder = functools.partial(build, _below(file, "model.definition", name), function, trust_code=trust_code)
    else:
        shape = tuple(train.x.shape[1:])
        builder = functools.partial(
            build_layers, layer_list(model.architecture, shape, model.classes, hidden=model.hidden)
        )
    builder()
    return builder


def _examples(file: Path, key: str, name: str, classes: int) -> tuple[ClientData, npt.NDArray[np.int64]]:
    """Return the examples of one npz file, and for data.train the client of each."""
    path = _below(file, key, name)
    read = read_examples(
        path, f"{file.name}: {key}", name, classes=classes, clients="required" if key == "data.train" else "ignored"
    )
    return ClientData(read.x, read.y), np.zeros(len(read.y), dtype=np.int64) if read.client is None else read.client


def _below(file: Path, key: str, name: str) -> Path:
    """Return the path that `key` declares, which must lie below the file's folder and be there."""
    folder = file.resolve().parent
    path = (folder / name).resolve()
    if not path.is_relative_to(folder):
        raise _wrong(file, key, f"{name!r} lies outside the file's folder", "Move it below that folder.")
    if not path.is_file():
        raise _wrong(file, key, f"there is no file {name!r}", f"Put the file there, or correct {key}.")
    return path


def _wrong(file: Path, key: str, told: str, mend: str) -> FederationFileError:
    return FederationFileError("federation.data", f"{file.name}: {key}: {told}", mend)
