"""Fewer clients in the accounts than in the rounds."""

from audit.selftest.declarations import claimable, declared, drawn_mechanism
from audit.selftest.flaw import flaw
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw(
    "dp-rate-understated",
    "The accountant is told half of the share of clients that a round takes",
    caught_by=("dp.accounting",),
)
def dp_rate_understated(make: Workshop, *, planted: bool) -> System:
    """Account for half of the sampling rate, or for all of it."""
    mechanism, federation = drawn_mechanism(make, "fixed-size")
    rate = (mechanism.sampling_rate or 1.0) / (2 if planted else 1)
    used = mechanism.model_copy(update={"sampling_rate": rate})
    return declared(make, used, federation, claimable(used))
