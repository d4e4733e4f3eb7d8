"""A trainer that adds less noise than the papers say."""

from audit.selftest.flaw import flaw
from audit.selftest.opacus_records import DECLARED, Training, opacus_record
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw(
    "opacus-less-noise",
    "The trainer adds seven tenths of the declared noise",
    caught_by=("dp.opacus-configuration",),
)
def opacus_less_noise(make: Workshop, *, planted: bool) -> System:
    """Train with seven tenths of the noise multiplier, or with all of it."""
    noise = (DECLARED.noise_multiplier or 0.0) * (0.7 if planted else 1.0)
    return opacus_record(make, Training(engine={"noise_multiplier": noise}))
