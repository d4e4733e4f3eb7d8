"""A promise of noise, and none."""

from audit.selftest.flaw import flaw
from audit.selftest.rounds import Departure, noised_rounds
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw(
    "dp-no-noise",
    "No noise is added although the declaration promises it",
    caught_by=("dp.mechanism",),
)
def dp_no_noise(make: Workshop, *, planted: bool) -> System:
    """Add no noise to the sums, or the declared."""
    return noised_rounds(make, Departure(noise=0.0 if planted else 1.0))
