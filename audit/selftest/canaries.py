"""Canaries in a noised aggregation that took place, with the noise that is claimed or less; and one to rehearse.

Canary clients send random directions, honest clients train on the digits; every sum of a round is noised, and a
canary's score is its inner product with all sums. The control is the same without noise. It runs the aggregation of
`audit.dp.rehearsal`, here as the system: the noise is what the builder says, whatever the papers declare.
"""

import json
import math

import numpy as np

from audit.dp.accounting import recompute
from audit.dp.canary_scores import Scores
from audit.dp.rehearsal import Mechanism, canary_count, rehearse
from audit.selftest.workshop import Workshop
from reports.model import DifferentialPrivacy, System
from unlearning.federated.recipe import TrainingRecipe
from unlearning.models import build_layers, drawing_from, layer_list

HIDDEN, HONEST, EXAMPLES = 128, 4, 160
CROWD = 200
"""Clients of the federation whose mechanism is rehearsed."""
LAYERS = layer_list("mlp", (64,), 10, hidden=HIDDEN)
RECIPE = TrainingRecipe(rounds=1, local_epochs=1, batch_size=40, learning_rate=0.2)
DECLARED = DifferentialPrivacy(
    unit="client", clipping_norm=1.0, noise_multiplier=3.0, noise_added_by="server", sampling="full", steps=3,
    delta=1e-3, accountant="rdp",
)  # fmt: skip
"""Its epsilon, 1.6, is less than guesses alone can prove of so many canaries without noise, whatever their scores."""


def canary_scores(make: Workshop, *, noise: float, claim: float | None = None) -> System:
    """Run the federation with canaries, write their scores, and claim an epsilon of `DECLARED`.

    Args:
        make: The workshop.
        noise: Of the system's run, over the declared; the control has none.
        claim: Epsilon as claimed; what is `accounted` where None.
    """
    multiplier = (DECLARED.noise_multiplier or 0.0) * noise
    own, clear = _run(make, "system", multiplier), _run(make, "control", 0.0)
    np.savez(
        make.files.place("scores") / "canaries.npz",
        score=own.score, included=own.included, control_score=clear.score, control_included=clear.included,
    )  # fmt: skip
    privacy = DECLARED.model_dump(exclude_none=True) | {"epsilon": accounted() if claim is None else claim}
    federation = {
        "clients": HONEST + len(own.score),
        "rounds": DECLARED.steps,
        "server_trust": "trusted",
        "differential_privacy": privacy,
    }
    return make.finish(
        {
            "system": {"name": "digits-with-canaries", "version": "1"},
            "data": [{"role": "canary-scores", "path": "scores/canaries.npz"}],
            "federation": federation,
        }
    )


def accounted() -> float:
    """Return the epsilon of `DECLARED` by the Rényi accountant, as most owners claim it.

    It lies above the exact one, which canaries of this mechanism reach; so chance in their scores does not refute a
    true claim in one run of forty.
    """
    return math.ceil(100 * recompute(DECLARED).rdp) / 100


def canaries() -> int:
    """Return how many canaries take part or might."""
    return canary_count(sum(parameter.numel() for parameter in build_layers(LAYERS).parameters()))


def _run(make: Workshop, run: str, noise_multiplier: float) -> Scores:
    with drawing_from(make.generator("weights")):
        module = build_layers(LAYERS)
    norm, steps = DECLARED.clipping_norm or 0.0, DECLARED.steps or 0
    return rehearse(
        module,
        make.digits(EXAMPLES, HONEST, 0).clients,
        RECIPE,
        Mechanism(norm, noise_multiplier, steps, "full", 1.0),
        make.rng(f"canaries/{run}"),
        lambda purpose: make.generator(f"{run}/{purpose}"),
    )


def rehearsable(make: Workshop, *, claim: float) -> System:
    """Declare `DECLARED` beside the model that it is for, without scores, and claim this epsilon."""
    with drawing_from(make.generator("weights")):
        module = build_layers(LAYERS)
    digits = make.digits(EXAMPLES, HONEST, 0).reference
    privacy = DECLARED.model_dump(exclude_none=True) | {"epsilon": claim}
    return make.finish(
        {
            "system": {"name": "digits-before-training", "version": "1"},
            "model": {
                "checkpoint": make.files.tensors("model.safetensors", module.state_dict()),
                "layers": make.files.text("layers.json", json.dumps(LAYERS) + "\n"),
                "task": "classification",
                "input_shape": [64],
                "classes": 10,
            },
            "data": [{"role": "reference", "path": make.files.records("reference.npz", digits.x, digits.y)}],
            "federation": {
                "clients": CROWD,
                "clients_per_round": CROWD,
                "rounds": DECLARED.steps,
                "batch_size": RECIPE.batch_size,
                "learning_rate": RECIPE.learning_rate,
                "server_trust": "trusted",
                "differential_privacy": privacy,
            },
        }
    )
