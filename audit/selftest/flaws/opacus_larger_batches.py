"""A trainer that draws more of the examples for a step."""

from audit.selftest.flaw import flaw
from audit.selftest.opacus_records import BATCH, EPOCHS, Training, opacus_record
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw(
    "opacus-larger-batches",
    "The trainer draws twice the declared share of the examples for a step, in as many steps",
    caught_by=("dp.opacus-configuration",),
)
def opacus_larger_batches(make: Workshop, *, planted: bool) -> System:
    """Double the batch and the epochs, or keep to what is declared."""
    times = 2 if planted else 1
    return opacus_record(make, Training(epochs=times * EPOCHS, batch_size=times * BATCH))
