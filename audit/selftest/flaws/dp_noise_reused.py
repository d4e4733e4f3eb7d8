"""A generator that is set back before every round."""

from audit.selftest.flaw import flaw
from audit.selftest.rounds import Departure, noised_rounds
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw(
    "dp-noise-reused",
    "Every round adds the noise of the first round again",
    caught_by=("dp.mechanism",),
)
def dp_noise_reused(make: Workshop, *, planted: bool) -> System:
    """Draw the same noise in every round, or draw it anew."""
    return noised_rounds(make, Departure(same_noise=planted))
