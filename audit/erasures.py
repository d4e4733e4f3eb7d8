"""The erasure requests of the tour: one honoured by retraining, one only pretended.

Both are of a federation of their own, without differential privacy: ten clients of which one has given half of its
digits wrong labels, and asks to be forgotten. A model that has seen such labels remembers them, so that forgetting can
be told from pretending.
"""

import functools
import shutil
from pathlib import Path

import numpy as np

from unlearning.federated.data import SimulatedFederation
from unlearning.federated.erasure import Erasure, carry_out, prepared, train_first
from unlearning.federated.fakes import forged_transcript
from unlearning.federated.methods import method
from unlearning.federated.recipe import TrainingRecipe
from unlearning.federated.request import UnlearningRequest
from unlearning.federated.scenarios import noisy
from unlearning.layers import build_layers
from unlearning.models import layer_list

RECIPE = TrainingRecipe(rounds=30, local_epochs=2, batch_size=32, learning_rate=0.1)
FOLDER = "erasure"


def write_honoured(place: Path, seed: int) -> dict[str, object]:
    """Forget a client by rapid retraining, and write it down; return what the system file says of it.

    Args:
        place: The folder, there and empty.
        seed: Of the federation, its training and its unlearning.
    """
    erasure = _erasure("rapid-retrain", seed)
    outcome = carry_out(erasure, place)
    return _told(erasure) | {"work_ratio": outcome.work_ratio}


def write_pretended(place: Path, seed: int) -> dict[str, object]:
    """Deliver the model as it is, with a transcript told round it; arguments and result as `write_honoured`."""
    erasure = _erasure("ffum", seed)
    header = prepared(erasure, place)
    shutil.copyfile(place / "before.safetensors", place / "after.safetensors")
    parts = erasure.parts
    forged_transcript(
        place / "transcript.jsonl", header, header.before,
        {client: len(held) for client, held in parts.forget.items()},
        {client: len(held) for client, held in enumerate(parts.retain)},
    )  # fmt: skip
    return _told(erasure)


def _erasure(name: str, seed: int) -> Erasure:
    from sklearn.datasets import load_digits  # a second to import, which only those who train pay

    found = load_digits()
    x, y = (found.data / 16).astype(np.float32), found.target.astype(np.int64)
    planted = noisy(x, y, np.random.default_rng(seed))
    layers = layer_list("mlp", (x.shape[1],), len(found.target_names))
    recipe = RECIPE.model_copy(update={"seed": seed})
    federation = SimulatedFederation(planted.data, recipe, functools.partial(build_layers, layers))
    before, history = train_first(federation)
    return Erasure(federation, UnlearningRequest.parse(planted.request), method(name), before, seed, history)


def _told(erasure: Erasure) -> dict[str, object]:
    return {
        "folder": FOLDER,
        "request": str(erasure.request),
        "kind": erasure.request.kind,
        "method": erasure.method.name,
        "clients": len(erasure.federation.data.clients),
        "forgotten": len(erasure.parts.forgotten),
        "recipe": RECIPE,
    }
