"""Systems that are a model and records: a classifier of digits, whom it knows, and public digits that it does not."""

import json
from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from audit.attacks.shadow import Recipe, Splits, train_many
from audit.selftest.workshop import Workshop
from unlearning.federated.data import ClientData
from unlearning.models import build_layers, initialise, layer_list

SHAPE, CLASSES = (64,), 10
LAYERS = layer_list("mlp", SHAPE, CLASSES)
"""One hidden layer of 64 units."""


def classifier(make: Workshop, module: nn.Module, layers: list[dict[str, object]]) -> dict[str, object]:
    """Write a model and its layers, and return the table `[model]`."""
    make.files.text("layers.json", json.dumps(layers, indent=1) + "\n")
    checkpoint = make.files.tensors("model.safetensors", module.state_dict())
    described = {"task": "classification", "input_shape": list(SHAPE), "classes": CLASSES}
    return {"checkpoint": checkpoint, "layers": "layers.json", **described}


def records(make: Workshop, roles: Mapping[str, ClientData]) -> list[dict[str, object]]:
    """Write a file of records for each role, and return the tables `[[data]]`."""
    return [{"role": role, "path": make.files.records(f"{role}.npz", held.x, held.y)} for role, held in roles.items()]


def untrained(make: Workshop, layers: list[dict[str, object]]) -> nn.Sequential:
    """Return a model of these layers with fresh weights."""
    model = build_layers(layers)
    initialise(model, make.generator("weights"))
    return model.eval()


def trained(make: Workshop, on: ClientData, recipe: Recipe) -> nn.Module:
    """Return a perceptron (`LAYERS`) that was trained on these records."""
    everybody = np.ones((1, len(on)), dtype=bool)
    model = build_layers(LAYERS)
    stacked = train_many(model, Splits(on.x, on.y, everybody), recipe, make.generator("training"))
    model.load_state_dict({name: tensor[0] for name, tensor in stacked.tensors.items()})
    return model.eval()


def mislabelled(held: ClientData, share: float, rng: np.random.Generator) -> ClientData:
    """Return the records with a wrong label on a random share of them, which only memory can answer."""
    wrong = torch.from_numpy(rng.random(len(held)) < share)
    shift = torch.from_numpy(rng.integers(1, CLASSES, len(held)))
    return ClientData(held.x, torch.where(wrong, (held.y + shift) % CLASSES, held.y))
