"""A gradient of one record behind a convolution: no layer hands the record over, but a search finds it."""

from audit.selftest.flaw import flaw
from audit.selftest.single_updates import LEAST, convolutional, noised, recorded_round, unprotected
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw(
    "leak-convnet",
    "Clients send the gradient of one record in the clear, and trust in convolutions to hide it",
    caught_by=("attack.inversion",),
)
def leak_convnet(make: Workshop, *, planted: bool) -> System:
    """Send gradients of one record through a convolution as they are, or clipped and noised."""
    defend = unprotected if planted else noised
    return recorded_round(make, "leak-convnet", convolutional(), defend, clients=LEAST)
