"""A classifier of the digits, released with records that it was not trained on and a claim of how often it is right."""

import json
from typing import Literal

import torch

from audit.selftest.workshop import Workshop
from reports.model import System
from reports.statistics import clopper_pearson
from unlearning.federated.data import ClientData, FederatedData, SimulatedFederation
from unlearning.federated.recipe import TrainingRecipe
from unlearning.federated.training import State, train
from unlearning.models import build_layers, layer_list

CLASSES, HIDDEN, CLIENTS = 10, 32, 2
TRAINED, JUDGED = 120, 200
"""Records for training, and for the owner's own test; the rest, some 1,480, are the auditor's."""
LAYERS = layer_list("mlp", (64,), CLASSES, hidden=HIDDEN)
RECIPE = TrainingRecipe(rounds=10, local_epochs=5, batch_size=10, learning_rate=0.3)
CONFIDENCE = 0.99
"""Of the interval whose lower end is claimed."""


def released_classifier(make: Workshop, *, judged_on: Literal["training", "others"]) -> System:
    """Train a classifier until it knows its records by heart, and claim the lower end of its accuracy's interval.

    Args:
        make: The workshop.
        judged_on: Whether that interval comes from the records that it was trained on, or from others.
    """
    digits = make.digits(TRAINED, CLIENTS, 0)
    own, auditors = _parted(digits.reference, JUDGED)
    state = _trained(make, digits.clients, own)
    known = ClientData(torch.cat([one.x for one in digits.clients]), torch.cat([one.y for one in digits.clients]))
    judged = known if judged_on == "training" else own
    claim = clopper_pearson(right_answers(state, judged), len(judged), CONFIDENCE).low
    return _released(make, state, auditors, claim)


def numbered_classifier(make: Workshop, *, shift: int) -> System:
    """Release the classifier with its outputs moved on by `shift` labels; nothing is claimed of it."""
    digits = make.digits(TRAINED, CLIENTS, 0)
    own, auditors = _parted(digits.reference, JUDGED)
    state = _trained(make, digits.clients, own)
    last = f"{len(LAYERS) - 1}."
    moved = {
        name: values.roll(shift, 0) if name.startswith(last) else values for name, values in state.parameters.items()
    }
    return _released(make, State(moved), auditors, None)


def _trained(make: Workshop, clients: tuple[ClientData, ...], test: ClientData) -> State:
    federation = SimulatedFederation(FederatedData(clients, test), RECIPE, lambda: build_layers(LAYERS))
    return train(federation, generator=make.generator)


def _released(make: Workshop, state: State, auditors: ClientData, claim: float | None) -> System:
    """Write model, layers, the auditor's records and what is claimed."""
    return make.finish(
        {
            "system": {"name": "digits-classifier", "version": "1"},
            "model": {
                "checkpoint": make.files.tensors("model.safetensors", state.parameters),
                "layers": make.files.text("layers.json", json.dumps(LAYERS) + "\n"),
                "task": "classification",
                "input_shape": [64],
                "classes": CLASSES,
            },
            "claims": None if claim is None else {"accuracy": claim},
            "data": [{"role": "nonmembers", "path": make.files.records("nonmembers.npz", auditors.x, auditors.y)}],
        }
    )


def right_answers(state: State, records: ClientData) -> int:
    """Return how many records the model answers rightly."""
    module = build_layers(LAYERS)
    module.load_state_dict(dict(state.parameters))
    with torch.no_grad():
        return int((module.eval()(records.x).argmax(1) == records.y).sum())


def _parted(records: ClientData, first: int) -> tuple[ClientData, ClientData]:
    """Return the first records, and the others."""
    return ClientData(records.x[:first], records.y[:first]), ClientData(records.x[first:], records.y[first:])
