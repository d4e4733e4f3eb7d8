"""Scores of canaries in a noised aggregation that took place, with the noise that is claimed or with less.

Canary clients send random directions, honest clients train on the digits; every sum of a round is noised, and a
canary's score is its inner product with all sums. The control is the same without noise. It runs the aggregation of
`audit.dp.rehearsal`, here as the system: the noise is what the builder says, whatever the papers declare.
"""

import numpy as np

from audit.dp.accounting import recompute
from audit.dp.canary_scores import Scores
from audit.dp.rehearsal import Mechanism, canary_count, rehearse
from audit.selftest.workshop import Workshop
from reports.model import DifferentialPrivacy, System
from unlearning.federated.recipe import TrainingRecipe
from unlearning.models import build_layers, drawing_from, layer_list

HIDDEN, HONEST, EXAMPLES = 64, 4, 160
LAYERS = layer_list("mlp", (64,), 10, hidden=HIDDEN)
RECIPE = TrainingRecipe(rounds=1, local_epochs=1, batch_size=40, learning_rate=0.2)
DECLARED = DifferentialPrivacy(
    unit="client", clipping_norm=1.0, noise_multiplier=2.0, noise_added_by="server", sampling="full", steps=3,
    delta=1e-3, accountant="gaussian",
)  # fmt: skip


def canary_scores(make: Workshop, *, noise: float) -> System:
    """Run the federation with canaries, write their scores, and claim the epsilon that follows from `DECLARED`.

    Args:
        make: The workshop.
        noise: Of the runs, over the declared.
    """
    multiplier = (DECLARED.noise_multiplier or 0.0) * noise
    own, clear = _run(make, "system", multiplier), _run(make, "control", 0.0)
    np.savez(
        make.files.place("scores") / "canaries.npz",
        score=own.score, included=own.included, control_score=clear.score, control_included=clear.included,
    )  # fmt: skip
    privacy = DECLARED.model_dump(exclude_none=True) | {"epsilon": recompute(DECLARED).claimable}
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
