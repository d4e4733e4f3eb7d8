"""A sum over eight clients of whom seven are silent is one client's update."""

from audit.selftest.flaw import flaw
from audit.selftest.single_updates import noised, unprotected
from audit.selftest.sums import summed_rounds
from audit.selftest.workshop import Workshop
from reports.model import System

CLIENTS, ROUNDS = 8, 12


@flaw(
    "aggregate-of-one",
    "All clients but one are silent, and the sum that should hide it comes without noise",
    caught_by=("attack.aggregate",),
)
def aggregate_of_one(make: Workshop, *, planted: bool) -> System:
    """Sum over one active client in the clear, or over all of them with noise."""
    silent = range(1, CLIENTS) if planted else ()
    defend = unprotected if planted else noised
    return summed_rounds(make, "aggregate-of-one", defend, clients=CLIENTS, rounds=ROUNDS, silent=silent)
