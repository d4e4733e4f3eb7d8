"""Four local steps: a delta is no gradient, but an attacker takes the same steps."""

from audit.selftest.flaw import flaw
from audit.selftest.single_updates import LEAST, SEARCH, Training, convolutional, noised, recorded_round, unprotected
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw(
    "local-steps-sold-as-protection",
    "Clients train for four steps before they send what changed, and that is all that protects their record",
    caught_by=("attack.fedavg-inversion",),
    spares=SEARCH,
)
def local_steps_sold_as_protection(make: Workshop, *, planted: bool) -> System:
    """Send what four steps on one record changed as it is, or clipped and noised."""
    training = Training(steps=4, kind="delta")
    defend = unprotected if planted else noised
    return recorded_round(make, "local-steps", convolutional(), defend, clients=LEAST, training=training)
