"""A claim from an accountant that takes the limit for what is there."""

from audit.dp.accounting import recompute
from audit.selftest.declarations import declared, subtle_mechanism
from audit.selftest.flaw import flaw
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw(
    "dp-gdp-accountant",
    "The claimed epsilon comes from the central limit, which is too low here",
    caught_by=("dp.accounting",),
)
def dp_gdp_accountant(make: Workshop, *, planted: bool) -> System:
    """Claim what Gaussian differential privacy gives in the limit, or what the exact accountant gives."""
    mechanism, federation = subtle_mechanism(make)
    found = recompute(mechanism)
    epsilon = found.gdp if planted and found.gdp is not None else found.claimable
    named = mechanism.model_copy(update={"accountant": "gdp" if planted else "prv"})
    return declared(make, named, federation, epsilon)
