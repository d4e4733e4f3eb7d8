"""A trainer that clips at twice the norm."""

from audit.selftest.flaw import flaw
from audit.selftest.opacus_records import DECLARED, Training, opacus_record
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw(
    "opacus-clips-longer",
    "The trainer clips gradients to twice the declared norm",
    caught_by=("dp.opacus-configuration",),
)
def opacus_clips_longer(make: Workshop, *, planted: bool) -> System:
    """Clip to twice the declared norm, or to it."""
    norm = (DECLARED.clipping_norm or 0.0) * (2 if planted else 1)
    return opacus_record(make, Training(engine={"max_grad_norm": norm}))
