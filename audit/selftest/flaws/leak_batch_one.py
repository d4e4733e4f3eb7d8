"""A gradient of one record, sent as it is: the first layer hands the record over."""

from audit.selftest.flaw import flaw
from audit.selftest.single_updates import noised, perceptron, recorded_round, unprotected
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw(
    "leak-batch-one",
    "Clients send the gradient of one record in the clear, and the model begins with a linear layer",
    caught_by=("attack.linear",),
)
def leak_batch_one(make: Workshop, *, planted: bool) -> System:
    """Send gradients of one record through a perceptron as they are, or clipped and noised."""
    return recorded_round(make, "leak-batch-one", perceptron(), unprotected if planted else noised)
