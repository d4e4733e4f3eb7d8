"""A model that was trained for long on few records: who compares scores finds its members."""

import numpy as np

from audit.attacks.shadow import Recipe
from audit.selftest.flaw import flaw
from audit.selftest.released import LAYERS, classifier, mislabelled, records, trained
from audit.selftest.workshop import Workshop
from reports.model import System

MEMBERS, OTHERS, MORE = 400, 450, 450
"""Records that are asked about, known and unknown; and those that the twin learns from besides."""
MISLABELLED = 0.25
"""Share of labels that are wrong, as in data that people label."""
BATCH, RATE = 32, 0.2


@flaw(
    "overfit-model",
    "The model was trained on few records so long that its losses tell them from others",
    caught_by=("attack.membership",),
)
def overfit_model(make: Workshop, *, planted: bool) -> System:
    """Train for a hundred and twenty epochs on the members alone, or for three on more than twice as many records."""
    held = mislabelled(make.digits(MEMBERS + OTHERS + MORE, 1, 0).clients[0], MISLABELLED, make.rng("labels"))
    rows = np.arange(len(held))
    asked = rows < MEMBERS, (rows >= MEMBERS) & (rows < MEMBERS + OTHERS)
    members, others = (held.take(np.flatnonzero(chosen)) for chosen in asked)
    recipe = Recipe(local_epochs=120 if planted else 3, batch_size=BATCH, learning_rate=RATE)
    learnt = members if planted else held.take(np.flatnonzero(~asked[1]))
    model = trained(make, learnt, recipe)
    tables = {
        "model": classifier(make, model, LAYERS),
        "data": records(make, {"members": members, "nonmembers": others}),
        "federation": {
            "rounds": 1,
            "local_epochs": recipe.local_epochs,
            "batch_size": BATCH,
            "learning_rate": RATE,
        },
    }
    return make.finish({"system": {"name": "overfit", "version": "1"}, **tables})
