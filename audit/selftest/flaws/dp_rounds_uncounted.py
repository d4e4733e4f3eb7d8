"""Rounds that were released and not accounted for."""

from audit.selftest.declarations import claimable, declared, drawn_mechanism
from audit.selftest.flaw import flaw
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw(
    "dp-rounds-uncounted",
    "The accountant counts half of the rounds that are released",
    caught_by=("dp.accounting",),
)
def dp_rounds_uncounted(make: Workshop, *, planted: bool) -> System:
    """Account for half of the rounds, or for all of them."""
    mechanism, federation = drawn_mechanism(make, "fixed-size")
    steps = (mechanism.steps or 2) // (2 if planted else 1)
    used = mechanism.model_copy(update={"steps": steps})
    return declared(make, used, federation, claimable(used))
