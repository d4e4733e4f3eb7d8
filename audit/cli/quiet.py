"""What libraries are told before they are imported: an audit reports to its owner and to nobody else."""

import os

UNASKED = {"FLWR_TELEMETRY_ENABLED": "0", "RAY_USAGE_STATS_ENABLED": "0"}


def send_nothing() -> None:
    """Switch off what Flower and Ray would send home; whoever has set the variable keeps it."""
    for name, value in UNASKED.items():
        os.environ.setdefault(name, value)
