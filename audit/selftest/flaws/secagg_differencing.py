"""Two sums over nearly the same people: their difference is what one of them sent."""

from dataclasses import replace

from audit.selftest.flaw import flaw
from audit.selftest.secure import Rounds, recorded_system
from audit.selftest.workshop import Workshop
from reports.model import System
from secagg.drops import DropPlan


@flaw("secagg-differencing", "The cohorts of two rounds differ in one client", caught_by=("secagg.cohort",))
def secagg_differencing(make: Workshop, *, planted: bool) -> System:
    """Record two rounds; one client is not in the second sum, or all are in both (So et al., arXiv:2106.03328)."""
    gone = DropPlan({"masked-input": ("c00003",)}) if planted else DropPlan()
    return recorded_system(make, replace(Rounds(), drops=(DropPlan(), gone)))
