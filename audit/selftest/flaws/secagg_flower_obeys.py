"""A client that answers whatever it is asked."""

from audit.selftest.flaw import flaw
from audit.selftest.installed import FLOWER, ONE_AT_A_TIME, OURS, run_by
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw(
    "secagg-flower-obeys",
    "Flower's own SecAgg+ client answers a hostile server",
    caught_by=("secagg.client-conformance",),
    extra="flower",
    spares=ONE_AT_A_TIME,
)
def secagg_flower_obeys(make: Workshop, *, planted: bool) -> System:
    """Declare that rounds are run by Flower's own SecAgg+, or by our protocol."""
    return run_by(make, FLOWER if planted else OURS)
