"""A sum in which one client weighs more than the noise was made for."""

from audit.selftest.flaw import flaw
from audit.selftest.rounds import Departure, noised_rounds
from audit.selftest.workshop import Workshop
from reports.model import Status, System


@flaw(
    "dp-client-outweighs",
    "One client counts twenty times in every sum, and the noise is made for once",
    caught_by=("dp.mechanism",),
    expects=Status.INCONCLUSIVE,
)
def dp_client_outweighs(make: Workshop, *, planted: bool) -> System:
    """Weigh the first client by twenty, or all alike."""
    return noised_rounds(make, Departure(weights={0: 20.0} if planted else {}))
