"""Signs alone: a row's signs are those of the record, up to one sign for the row."""

from collections.abc import Mapping

import numpy as np

from audit.defences import sign
from audit.selftest.flaw import flaw
from audit.selftest.single_updates import SEARCH, Array, noised, perceptron, recorded_round
from audit.selftest.workshop import Workshop
from reports.model import System


def signs(update: Mapping[str, Array], _rng: np.random.Generator) -> Mapping[str, Array]:
    """Return the signs of the update."""
    return sign(update)


def signs_of_noised(update: Mapping[str, Array], rng: np.random.Generator) -> Mapping[str, Array]:
    """Return the signs of the update after clipping and noise."""
    return sign(noised(update, rng))


@flaw(
    "sign-sold-as-protection",
    "Clients send the signs of a gradient of one record, and that is all that protects it",
    caught_by=("attack.linear",),
    spares=SEARCH,
)
def sign_sold_as_protection(make: Workshop, *, planted: bool) -> System:
    """Send signs of gradients of one record, clear or noised."""
    return recorded_round(make, "signs", perceptron(), signs if planted else signs_of_noised)
