"""A trainer that went on after the papers were written."""

from audit.selftest.flaw import flaw
from audit.selftest.opacus_records import EPOCHS, Training, opacus_record
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw(
    "opacus-more-epochs",
    "The trainer took one epoch more than is declared",
    caught_by=("dp.opacus-configuration",),
)
def opacus_more_epochs(make: Workshop, *, planted: bool) -> System:
    """Train an epoch longer than declared, or as long."""
    return opacus_record(make, Training(epochs=EPOCHS + planted))
