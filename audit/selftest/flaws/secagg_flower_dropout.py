"""A round that one client can end."""

from audit.selftest.flaw import flaw
from audit.selftest.installed import FLOWER, ONE_AT_A_TIME, OURS, run_by
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw(
    "secagg-flower-dropout",
    "Flower's own SecAgg+ server gives a round up when a client drops out early",
    caught_by=("secagg.dropout",),
    extra="flower",
    spares=ONE_AT_A_TIME,
)
def secagg_flower_dropout(make: Workshop, *, planted: bool) -> System:
    """Declare that rounds are run by Flower's own SecAgg+, or by our protocol."""
    return run_by(make, FLOWER if planted else OURS)
