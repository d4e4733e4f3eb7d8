"""A request that contradicts itself: some of what is to be forgotten stands among what stays."""

import numpy as np

from audit.selftest.flaw import flaw
from audit.selftest.forgetting import SPARED, TINY, honour, tables
from audit.selftest.workshop import Workshop
from reports.model import System

KEPT = 5
"""Examples of the forget set that stay."""


@flaw(
    "unlearning-forgotten-stays",
    "Some of the examples to be forgotten stand among the retained ones",
    caught_by=("unlearning.federated.request",),
    spares=SPARED,
)
def unlearning_forgotten_stays(make: Workshop, *, planted: bool) -> System:
    """Declare retained examples of which five are the forget set's, or none; no model and no record."""
    honoured = honour(make, size=TINY)
    if planted:
        forget, path = np.load(honoured.place / "forget.npz"), honoured.place / "retain.npz"
        retain = dict(np.load(path))
        for key in ("x", "y"):
            retain[key][-KEPT:] = forget[key][:KEPT]
        np.savez(path, **retain)
    return make.finish(tables(honoured, "transcript", "model", "before", "after"))
