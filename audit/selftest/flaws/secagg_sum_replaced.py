"""A sum that was announced and never added up."""

from dataclasses import replace

from audit.selftest.flaw import flaw
from audit.selftest.secure import Rounds, recorded_system
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw(
    "secagg-sum-replaced",
    "The announced sum does not follow from what the clients sent",
    caught_by=("secagg.transcript",),
)
def secagg_sum_replaced(make: Workshop, *, planted: bool) -> System:
    """Record two rounds; the sum of the second is one more in every element, or what follows from the messages."""
    return recorded_system(make, replace(Rounds(), plants=(None, "aggregate-mismatch" if planted else None)))
