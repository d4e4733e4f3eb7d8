"""Secrets that outlive their round."""

from audit.selftest.flaw import flaw
from audit.selftest.installed import FLOWER, ONE_AT_A_TIME, OURS, run_by
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw(
    "secagg-flower-secrets-kept",
    "Flower's own SecAgg+ client keeps the secrets of a round when it is over",
    caught_by=("secagg.secret-erasure",),
    extra="flower",
    spares=ONE_AT_A_TIME,
)
def secagg_flower_secrets_kept(make: Workshop, *, planted: bool) -> System:
    """Declare that rounds are run by Flower's own SecAgg+, or by our protocol."""
    return run_by(make, FLOWER if planted else OURS)
