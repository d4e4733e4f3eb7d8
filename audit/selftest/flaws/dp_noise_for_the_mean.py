"""Noise that would do for the mean, on the sum."""

from audit.selftest.flaw import flaw
from audit.selftest.rounds import CLIENTS, Departure, noised_rounds
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw(
    "dp-noise-for-the-mean",
    "The noise is divided by the number of clients and then added to their sum, not to their mean",
    caught_by=("dp.mechanism",),
)
def dp_noise_for_the_mean(make: Workshop, *, planted: bool) -> System:
    """Scale the noise on the sum as if the mean were released, or leave it as declared."""
    return noised_rounds(make, Departure(noise=1 / CLIENTS if planted else 1.0))
