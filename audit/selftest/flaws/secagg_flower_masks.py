"""Masks from a generator that was never meant for secrets."""

from audit.selftest.flaw import flaw
from audit.selftest.installed import FLOWER, ONE_AT_A_TIME, OURS, run_by
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw(
    "secagg-flower-masks",
    "Flower's own SecAgg+ client draws its masks from few seeds",
    caught_by=("secagg.mask-entropy",),
    extra="flower",
    spares=ONE_AT_A_TIME,
)
def secagg_flower_masks(make: Workshop, *, planted: bool) -> System:
    """Declare that rounds are run by Flower's own SecAgg+, or by our protocol."""
    return run_by(make, FLOWER if planted else OURS)
