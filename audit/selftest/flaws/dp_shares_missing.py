"""Clients that rely on one another for the noise."""

from audit.selftest.flaw import flaw
from audit.selftest.rounds import CLIENTS, Departure, noised_rounds
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw(
    "dp-shares-missing",
    "Half of the clients add no share of the noise that all of them should add",
    caught_by=("dp.mechanism",),
)
def dp_shares_missing(make: Workshop, *, planted: bool) -> System:
    """Let every second client send what it has, or let all add their shares."""
    lazy = frozenset(range(0, CLIENTS, 2)) if planted else frozenset()
    return noised_rounds(make, Departure(without_share=lazy), by_clients=True)
