"""An epsilon of one delta, claimed at another."""

from audit.selftest.declarations import claimable, declared, drawn_mechanism
from audit.selftest.flaw import flaw
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw(
    "dp-claim-at-smaller-delta",
    "The epsilon that follows at one delta is claimed at a hundredth of it",
    caught_by=("dp.accounting",),
)
def dp_claim_at_smaller_delta(make: Workshop, *, planted: bool) -> System:
    """Claim the recomputed epsilon at a smaller delta, or at its own."""
    mechanism, federation = drawn_mechanism(make, "fixed-size")
    epsilon, delta = claimable(mechanism), mechanism.delta or 0.0
    claims = {"epsilon": epsilon, "delta": delta / (100 if planted else 1), "privacy_unit": "client"}
    return declared(make, mechanism, federation, epsilon, claims)
