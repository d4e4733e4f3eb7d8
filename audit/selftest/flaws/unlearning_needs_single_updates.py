"""A method that cannot have been carried out: it needs what secure aggregation hides from the server."""

from audit.selftest.flaw import flaw
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw(
    "unlearning-needs-single-updates",
    "The method corrects single clients' updates, and the server is said to see sums alone",
    caught_by=("unlearning.federated.compatibility",),
)
def unlearning_needs_single_updates(make: Workshop, *, planted: bool) -> System:
    """Declare a federation of which the server sees sums, and a method that needs more, or no more than that."""
    return make.finish({
        "system": {"name": "aggregated", "version": "1"},
        "federation": {"clients": 10, "visibility": "aggregate"},
        "unlearning": [{"id": "r1", "kind": "client", "method": "federaser" if planted else "rapid-retrain"}],
    })  # fmt: skip
