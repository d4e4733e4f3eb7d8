"""Amplification by coins that nobody threw."""

from audit.selftest.declarations import claimable, declared, drawn_mechanism
from audit.selftest.flaw import flaw
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw(
    "dp-poisson-claim-on-shuffling",
    "Clients are shuffled, and the claimed epsilon is that of drawing each by a coin",
    caught_by=("dp.accounting",),
)
def dp_poisson_claim_on_shuffling(make: Workshop, *, planted: bool) -> System:
    """Claim what Poisson sampling gives, of a system that shuffles or of one that samples so."""
    mechanism, federation = drawn_mechanism(make)
    epsilon = claimable(mechanism)
    shuffled = mechanism.model_copy(update={"sampling": "shuffle"}) if planted else mechanism
    return declared(make, shuffled, federation, epsilon)
