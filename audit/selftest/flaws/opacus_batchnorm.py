"""A layer that mixes the examples of a batch."""

from audit.selftest.flaw import flaw
from audit.selftest.opacus_records import Training, opacus_record
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw(
    "opacus-batchnorm",
    "The model holds BatchNorm, so that clipping one example bounds nothing",
    caught_by=("dp.opacus-configuration",),
)
def opacus_batchnorm(make: Workshop, *, planted: bool) -> System:
    """Normalise over the batch, or over groups of each example's own units."""
    return opacus_record(make, Training(batch_norm=planted))
