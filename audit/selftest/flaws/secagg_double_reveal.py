"""Both secrets of one client disclosed: with them its own vector comes out of the masks."""

from dataclasses import replace

from audit.selftest.flaw import flaw
from audit.selftest.secure import Rounds, recorded_system
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw(
    "secagg-double-reveal",
    "Shares of both secrets of one client are disclosed",
    caught_by=("secagg.double-reveal",),
)
def secagg_double_reveal(make: Workshop, *, planted: bool) -> System:
    """Record two rounds; in the second a neighbour answers with both kinds of share of one client, or with one."""
    return recorded_system(make, replace(Rounds(), plants=(None, "double-reveal" if planted else None)))
