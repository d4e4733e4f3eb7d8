"""A plain mean: three clients in ten move it wherever they like."""

from audit.selftest.flaw import flaw
from audit.selftest.workshop import Workshop
from reports.model import System

CLIENTS = 10


@flaw(
    "rule-that-gives-way",
    "The server takes the plain mean of what clients send, so that a few malicious ones decide",
    caught_by=("attack.poisoning",),
    spares=(),
)
def rule_that_gives_way(make: Workshop, *, planted: bool) -> System:
    """Declare the plain mean, or the median."""
    federation = {"clients": CLIENTS, "aggregation": "mean" if planted else "median"}
    return make.finish({"system": {"name": "rule", "version": "1"}, "federation": federation})
