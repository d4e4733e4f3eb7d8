"""One client whose update nobody clips."""

from audit.selftest.flaw import flaw
from audit.selftest.rounds import Departure, noised_rounds
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw(
    "dp-clip-missing",
    "The updates of one client are summed without clipping",
    caught_by=("dp.mechanism",),
)
def dp_clip_missing(make: Workshop, *, planted: bool) -> System:
    """Sum the first client's updates at their own length, or clip all."""
    return noised_rounds(make, Departure(unclipped=frozenset({0}) if planted else frozenset()))
