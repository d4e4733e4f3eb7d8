"""A record that cannot show whether there is noise."""

from audit.selftest.flaw import flaw
from audit.selftest.rounds import Departure, noised_rounds
from audit.selftest.workshop import Workshop
from reports.model import Status, System


@flaw(
    "dp-record-after-noise",
    "Contributions are recorded with their noise, so that nobody can tell it from the sum",
    caught_by=("dp.mechanism",),
    expects=Status.INCONCLUSIVE,
)
def dp_record_after_noise(make: Workshop, *, planted: bool) -> System:
    """Record contributions after the clients' noise, or before it."""
    return noised_rounds(make, Departure(recorded_with_noise=planted), by_clients=True)
