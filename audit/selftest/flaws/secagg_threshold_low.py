"""A threshold that the server's own confederates nearly reach: they reconstruct what should stay masked."""

from audit.selftest.flaw import flaw
from audit.selftest.workshop import Workshop
from reports.model import System
from secagg.params import select_parameters

CLIENTS, CORRUPT, DROPOUT = 100, 0.1, 0.1


@flaw(
    "secagg-threshold-low",
    "Half of a client's neighbours suffice to open its secrets",
    caught_by=("secagg.parameters",),
)
def secagg_threshold_low(make: Workshop, *, planted: bool) -> System:
    """Declare secure aggregation with a threshold of at most half of the degree, or with the selected one."""
    selected = select_parameters(CLIENTS, CORRUPT, DROPOUT)
    declared = {
        "protocol": "fedaudit-secagg",
        "clients": CLIENTS,
        "degree": selected.degree,
        "threshold": selected.degree // 2 if planted else selected.threshold,
        "corrupt_fraction": CORRUPT,
        "dropout_fraction": DROPOUT,
    }
    federation = {"clients": CLIENTS, "server_trust": "honest-but-curious", "secure_aggregation": declared}
    return make.finish({"system": {"name": "threshold", "version": "1"}, "federation": federation})
