"""A claim of half of what the mechanism gives away."""

from audit.selftest.declarations import claimable, declared, drawn_mechanism
from audit.selftest.flaw import flaw
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw(
    "dp-epsilon-understated",
    "Half of the epsilon that follows from the mechanism is claimed",
    caught_by=("dp.accounting",),
)
def dp_epsilon_understated(make: Workshop, *, planted: bool) -> System:
    """Claim half of the recomputed epsilon, or all of it."""
    mechanism, federation = drawn_mechanism(make)
    return declared(make, mechanism, federation, claimable(mechanism) / (2 if planted else 1))
