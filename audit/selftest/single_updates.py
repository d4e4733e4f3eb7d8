"""Federations whose server sees every client's update, and clients that hold planted digits.

Each client's update is put through what its owner takes for a protection, by the simulators of `audit.defences`. The
digits that nobody holds are public, so that whoever guesses at random is seldom right.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from audit.defences import clip, gaussian
from audit.load import Truth
from audit.selftest.flaw import DEAR
from audit.selftest.workshop import Workshop
from audit.twin import Scale, clear_update
from reports.model import System
from unlearning.federated.data import ClientData
from unlearning.models import build_layers, initialise, layer_list

Array = npt.NDArray[np.float64]
Layers = Sequence[Mapping[str, Any]]
Defend = Callable[[Mapping[str, Array], np.random.Generator], Mapping[str, Array]]
"""What a client does to its update before it sends it."""

SHAPE, CLASSES = (64,), 10
CLIENTS = 96
"""With one record each: a pass allows one hit by luck, which a client in twenty would otherwise spoil."""
LEAST = 60
"""Where a record is dear to search: one more than the fewest that can pass."""
SEARCH = (*DEAR, "attack.inversion")
"""Spared where `leak-batch-one`, `leak-convnet` and `blind-auditor` ask already: it costs ten seconds a system."""
PLAIN = Scale(np.zeros(1), np.ones(1))
CLIPPING_NORM, NOISE = 1.0, 4.0
"""Noise a coordinate, four times the length of a clipped update: of such an update not even the label is left."""


def perceptron(hidden: int = 32, *, last_bias: bool = True) -> Layers:
    """Return the layers of a perceptron with one hidden layer."""
    *before, last = layer_list("mlp", SHAPE, CLASSES, hidden=hidden)
    return [*before, last if last_bias else {**last, "bias": False}]


def convolutional(channels: int = 8) -> Layers:
    """Return the layers of a network of one convolution, for records that are pictures of 8 x 8 in a row."""
    return [
        {"type": "Unflatten", "dim": 1, "unflattened_size": [1, 8, 8]},
        {"type": "Conv2d", "in_channels": 1, "out_channels": channels, "kernel_size": 3, "stride": 2, "padding": 1},
        {"type": "LeakyReLU"},  # searched in half the time of a sigmoid, whose smoothness calls for a second search
        {"type": "Flatten"},
        {"type": "Linear", "in_features": 16 * channels, "out_features": CLASSES},
    ]


def unprotected(update: Mapping[str, Array], _rng: np.random.Generator) -> Mapping[str, Array]:
    """Return the update as it is."""
    return update


def noised(update: Mapping[str, Array], rng: np.random.Generator) -> Mapping[str, Array]:
    """Return the update clipped to a length of one, with Gaussian noise on every coordinate."""
    return gaussian(clip(update, CLIPPING_NORM), NOISE * CLIPPING_NORM, rng)


@dataclass(frozen=True)
class Training:
    """What each client does between receiving the model and sending its update."""

    records: int = 1
    """Planted records that it holds, all in one batch."""
    steps: int = 1
    """Steps of gradient descent."""
    kind: Literal["gradient", "delta"] = "gradient"
    """What it sends."""
    learning_rate: float = 0.2
    """Of the steps behind a delta."""

    @property
    def declared(self) -> dict[str, object]:
        """What the entries of `[[updates]]` say of it."""
        said: dict[str, object] = {"kind": self.kind, "batch_size": self.records, "local_steps": self.steps}
        return said if self.kind == "gradient" else {**said, "learning_rate": self.learning_rate}


def recorded_round(
    make: Workshop,
    name: str,
    layers: Layers,
    defend: Defend,
    *,
    clients: int = CLIENTS,
    training: Training = Training(),
    prepare: Callable[[nn.Module], None] | None = None,
) -> System:
    """Write one round of a federation, every client's update with its truth, and return the system.

    Args:
        make: Where it is built.
        name: Of the system.
        layers: Of the model, for records of `SHAPE`.
        defend: What clients do to their updates.
        clients: How many.
        training: What each of them does.
        prepare: Changes the initial weights in place.
    """
    digits = make.digits(clients * training.records, clients, 0)
    model = initialised(make, layers, prepare)
    rng, base = make.rng("noise"), write_model(make, layers, model, digits.reference)
    for number, own in enumerate(digits.clients):
        sent = defend(update_of(model, own, training), rng)
        place = f"updates/client-{number:03}"
        make.files.update(
            f"{place}.safetensors", as_tensors(sent), client=f"client-{number:03}", round=1, base=base,
            truth=make.files.records(f"{place}.npz", own.x, own.y), **training.declared,
        )  # fmt: skip
    return make.finish(described(name, {"clients": clients, "server_trust": "honest-but-curious"}))


def initialised(make: Workshop, layers: Layers, prepare: Callable[[nn.Module], None] | None = None) -> nn.Module:
    """Return an untrained model with weights of the workshop's seed."""
    model = build_layers(layers)
    initialise(model, make.generator("weights"))
    if prepare is not None:
        with torch.no_grad():
            prepare(model)
    return model.eval()


def write_model(make: Workshop, layers: Layers, model: nn.Module, reference: ClientData) -> str:
    """Write checkpoint, layers and public records; return where the checkpoint lies."""
    make.files.text("layers.json", json.dumps(layers, indent=1) + "\n")
    make.files.records("reference.npz", reference.x, reference.y)
    return make.files.tensors("model.safetensors", model.state_dict())


def update_of(model: nn.Module, own: ClientData, training: Training) -> dict[str, Array]:
    """Return what a client with these records has to send, by the names of the model's parameters, float64."""
    names = [name for name, _ in model.named_parameters()]
    truth, rate = Truth(own.x, own.y), training.learning_rate
    return clear_update(model, truth, PLAIN, names, of=training.kind, steps=training.steps, learning_rate=rate)


def as_tensors(update: Mapping[str, Array]) -> dict[str, torch.Tensor]:
    """Return an update as it is stored, float32."""
    return {name: torch.from_numpy(np.asarray(value)).float() for name, value in update.items()}


def described(name: str, federation: Mapping[str, object]) -> dict[str, object]:
    """Return the tables of a system file over what `write_model` wrote."""
    files = {"checkpoint": "model.safetensors", "layers": "layers.json"}
    return {
        "system": {"name": name, "version": "1"},
        "federation": dict(federation),
        "model": {**files, "task": "classification", "input_shape": list(SHAPE), "classes": CLASSES},
        "data": [{"role": "reference", "path": "reference.npz"}],
    }
