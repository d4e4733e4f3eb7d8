"""Noise that whoever knows the seed takes off again."""

import torch

from audit.selftest.flaw import flaw
from audit.selftest.opacus_records import Training, opacus_record
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw(
    "opacus-seeded-generator",
    "Noise is drawn from a generator whose seed is recorded",
    caught_by=("dp.opacus-configuration",),
)
def opacus_seeded_generator(make: Workshop, *, planted: bool) -> System:
    """Hand Opacus a seeded generator for its noise, or none."""
    seed = int(make.rng("noise seed").integers(2**31))
    return opacus_record(
        make, Training(engine={"noise_generator": torch.Generator().manual_seed(seed) if planted else None})
    )
