"""A true claim with a false one behind it."""

from audit.selftest.declarations import claimable, declared, drawn_mechanism
from audit.selftest.flaw import flaw
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw(
    "dp-second-claim-understated",
    "The claim to the public is true, and a second one in the declaration is half of it",
    caught_by=("dp.accounting",),
)
def dp_second_claim_understated(make: Workshop, *, planted: bool) -> System:
    """Claim the recomputed epsilon in one place, and half of it or all of it in the other."""
    mechanism, federation = drawn_mechanism(make, "fixed-size")
    epsilon = claimable(mechanism)
    claims = {"epsilon": epsilon, "delta": mechanism.delta, "privacy_unit": "client"}
    return declared(make, mechanism, federation, epsilon / (2 if planted else 1), claims)
