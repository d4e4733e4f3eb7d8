"""An epsilon of a mechanism that declares no noise."""

from audit.selftest.declarations import claimable, declared, drawn_mechanism
from audit.selftest.flaw import flaw
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw(
    "dp-claim-without-noise",
    "An epsilon is claimed of a mechanism whose declared noise is zero",
    caught_by=("dp.accounting",),
)
def dp_claim_without_noise(make: Workshop, *, planted: bool) -> System:
    """Declare no noise under the claim, or the noise that it follows from."""
    mechanism, federation = drawn_mechanism(make, "fixed-size")
    noise = 0.0 if planted else mechanism.noise_multiplier
    return declared(make, mechanism.model_copy(update={"noise_multiplier": noise}), federation, claimable(mechanism))
