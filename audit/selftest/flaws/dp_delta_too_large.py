"""A delta that lets one client in the federation be given away."""

from audit.selftest.declarations import claimable, declared, drawn_mechanism
from audit.selftest.flaw import flaw
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw(
    "dp-delta-too-large",
    "Delta is larger than one in the number of clients, so that giving one away would satisfy it",
    caught_by=("dp.accounting",),
)
def dp_delta_too_large(make: Workshop, *, planted: bool) -> System:
    """Claim an epsilon at a delta above one in the number of clients, or at half of that."""
    mechanism, federation = drawn_mechanism(make, "fixed-size")
    used = mechanism.model_copy(update={"delta": 1.5 / federation["clients"]}) if planted else mechanism
    return declared(make, used, federation, claimable(used))
