"""A model of its own for one client, whose update then stands out in the sum."""

from dataclasses import replace

from audit.selftest.flaw import flaw
from audit.selftest.secure import Rounds, recorded_system
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw(
    "secagg-other-model", "One client trained on another model than the rest", caught_by=("secagg.model-consistency",)
)
def secagg_other_model(make: Workshop, *, planted: bool) -> System:
    """Record two rounds; in the second one client reports another model (arXiv:2111.07380), or the same."""
    return recorded_system(make, replace(Rounds(), plants=(None, "model-mismatch" if planted else None)))
