"""Masks that repeat: the difference of two masked vectors is the difference of two updates."""

from dataclasses import replace

from audit.selftest.flaw import flaw
from audit.selftest.secure import Rounds, recorded_system
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw("secagg-mask-reuse", "Clients mask with the keys of the round before", caught_by=("secagg.key-reuse",))
def secagg_mask_reuse(make: Workshop, *, planted: bool) -> System:
    """Record two rounds with the same keys and seeds, or with fresh ones."""
    plant = "key-reuse" if planted else None
    return recorded_system(make, replace(Rounds(), plants=(plant, plant)))
