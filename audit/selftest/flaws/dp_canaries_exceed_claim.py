"""Canaries that show more than the claim allows."""

from audit.selftest.canaries import canary_scores
from audit.selftest.flaw import flaw
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw(
    "dp-canaries-exceed-claim",
    "A quarter of the claimed noise is added, and canaries give themselves away",
    caught_by=("dp.lower-bound",),
)
def dp_canaries_exceed_claim(make: Workshop, *, planted: bool) -> System:
    """Run with a quarter of the noise, or with all of it."""
    return canary_scores(make, noise=0.25 if planted else 1.0)
