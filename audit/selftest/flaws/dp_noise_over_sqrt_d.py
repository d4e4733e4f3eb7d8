"""Noise whose length as a whole is what each of its coordinates should have."""

import math

from audit.selftest.flaw import flaw
from audit.selftest.rounds import Departure, coordinates, noised_rounds
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw(
    "dp-noise-over-sqrt-d",
    "Noise of length sigma C in all is added, where every coordinate should have it",
    caught_by=("dp.mechanism",),
)
def dp_noise_over_sqrt_d(make: Workshop, *, planted: bool) -> System:
    """Divide the noise by the root of the number of coordinates, or leave it as declared."""
    return noised_rounds(make, Departure(noise=1 / math.sqrt(coordinates()) if planted else 1.0))
