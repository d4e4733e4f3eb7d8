"""The last layer's gradient counts the labels of a batch, however many records are in it."""

from audit.selftest.flaw import flaw
from audit.selftest.single_updates import SEARCH, Training, noised, perceptron, recorded_round, unprotected
from audit.selftest.workshop import Workshop
from reports.model import System

CLIENTS, RECORDS = 64, 4
"""256 labels in all, as `attack.labels` asks for."""


@flaw(
    "labels-visible",
    "Clients send gradients of small batches in the clear, whose last layer counts the labels",
    caught_by=("attack.labels",),
    spares=SEARCH,
)
def labels_visible(make: Workshop, *, planted: bool) -> System:
    """Send gradients of four records as they are, or clipped and noised."""
    training, defend = Training(records=RECORDS), unprotected if planted else noised
    return recorded_round(make, "labels", perceptron(), defend, clients=CLIENTS, training=training)
