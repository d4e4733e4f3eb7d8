"""Noise in every round but one."""

from audit.selftest.flaw import flaw
from audit.selftest.rounds import Departure, noised_rounds
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw(
    "dp-one-round-silent",
    "One round is released without noise",
    caught_by=("dp.mechanism",),
)
def dp_one_round_silent(make: Workshop, *, planted: bool) -> System:
    """Leave the noise off the second round, or off none."""
    return noised_rounds(make, Departure(silent=frozenset({2}) if planted else frozenset()))
