"""A claim that canaries refute before anybody has trained."""

from audit.selftest.canaries import accounted, rehearsable
from audit.selftest.flaw import flaw
from audit.selftest.workshop import Workshop
from reports.model import Effort, System


@flaw(
    "dp-rehearsal-exceeds-claim",
    "The claimed epsilon is a tenth of what the mechanism gives, which canaries show in a rehearsal",
    caught_by=("dp.lower-bound",),
    least=Effort.FULL,
)
def dp_rehearsal_exceeds_claim(make: Workshop, *, planted: bool) -> System:
    """Claim a tenth of the accounted epsilon, or all of it; no scores are recorded, so the auditor rehearses."""
    return rehearsable(make, claim=accounted() / (10 if planted else 1))
