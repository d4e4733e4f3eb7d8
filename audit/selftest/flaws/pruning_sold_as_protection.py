"""Pruning that keeps one coordinate in a hundred: what survives still tells whose record it was."""

from collections.abc import Mapping

import numpy as np

from audit.defences import top_k
from audit.selftest.flaw import flaw
from audit.selftest.single_updates import SEARCH, Array, noised, perceptron, recorded_round
from audit.selftest.workshop import Workshop
from reports.model import System

KEPT = 0.01


def pruned(update: Mapping[str, Array], _rng: np.random.Generator) -> Mapping[str, Array]:
    """Return the update with its largest coordinates alone."""
    return top_k(update, KEPT)


@flaw(
    "pruning-sold-as-protection",
    "Clients prune 99 % of a gradient of one record, and that is all that protects it",
    caught_by=("attack.linear",),
    spares=SEARCH,
)
def pruning_sold_as_protection(make: Workshop, *, planted: bool) -> System:
    """Send gradients of one record through a wide perceptron pruned, or whole but clipped and noised."""
    return recorded_round(make, "pruning", perceptron(128), pruned if planted else noised)
