"""Shares dealt where the beacon does not send them: who surrounds a client opens it."""

from dataclasses import replace

from audit.selftest.flaw import flaw
from audit.selftest.secure import Rounds, recorded_system
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw(
    "secagg-wrong-neighbour", "A client deals a share to somebody who is not its neighbour", caught_by=("secagg.graph",)
)
def secagg_wrong_neighbour(make: Workshop, *, planted: bool) -> System:
    """Record two rounds; in the second a client deals to one more than the beacon gives, or not."""
    return recorded_system(make, replace(Rounds(), plants=(None, "graph-mismatch" if planted else None)))
