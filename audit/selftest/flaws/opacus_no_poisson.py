"""Batches that the accountant believes to be drawn by coins."""

from audit.selftest.flaw import flaw
from audit.selftest.opacus_records import Training, opacus_record
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw(
    "opacus-no-poisson",
    "Opacus shuffles the examples, and its accountant assumes that each is drawn by a coin",
    caught_by=("dp.opacus-configuration",),
)
def opacus_no_poisson(make: Workshop, *, planted: bool) -> System:
    """Train without Poisson sampling, or with it."""
    return opacus_record(make, Training(engine={"poisson_sampling": not planted}))
