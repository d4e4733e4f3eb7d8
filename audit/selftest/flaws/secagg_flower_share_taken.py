"""A wrong share that spoils the sum in silence."""

from audit.selftest.flaw import flaw
from audit.selftest.installed import FLOWER, ONE_AT_A_TIME, OURS, run_by
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw(
    "secagg-flower-share-taken",
    "Flower's own SecAgg+ server takes a wrong share and announces a wrong sum",
    caught_by=("secagg.share-integrity",),
    extra="flower",
    spares=ONE_AT_A_TIME,
)
def secagg_flower_share_taken(make: Workshop, *, planted: bool) -> System:
    """Declare that rounds are run by Flower's own SecAgg+, or by our protocol."""
    return run_by(make, FLOWER if planted else OURS)
