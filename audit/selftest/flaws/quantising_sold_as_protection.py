"""Eight bits a coordinate: rounding to 255 levels leaves the record as it is."""

from collections.abc import Mapping

import numpy as np

from audit.defences import quantise
from audit.selftest.flaw import flaw
from audit.selftest.single_updates import SEARCH, Array, noised, perceptron, recorded_round
from audit.selftest.workshop import Workshop
from reports.model import System


def rounded(update: Mapping[str, Array], _rng: np.random.Generator) -> Mapping[str, Array]:
    """Return the update in eight bits a coordinate."""
    return quantise(update)


def rounded_after_noise(update: Mapping[str, Array], rng: np.random.Generator) -> Mapping[str, Array]:
    """Return the update in eight bits a coordinate, after clipping and noise."""
    return quantise(noised(update, rng))


@flaw(
    "quantising-sold-as-protection",
    "Clients round a gradient of one record to eight bits, and that is all that protects it",
    caught_by=("attack.linear",),
    spares=SEARCH,
)
def quantising_sold_as_protection(make: Workshop, *, planted: bool) -> System:
    """Send gradients of one record in eight bits, clear or noised."""
    return recorded_round(make, "quantised", perceptron(), rounded if planted else rounded_after_noise)
