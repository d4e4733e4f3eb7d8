"""Noise on every tensor but one."""

from audit.selftest.flaw import flaw
from audit.selftest.rounds import LAYERS, Departure, noised_rounds
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw(
    "dp-one-tensor-bare",
    "The bias of the last layer is released without noise",
    caught_by=("dp.mechanism",),
)
def dp_one_tensor_bare(make: Workshop, *, planted: bool) -> System:
    """Leave the noise off one tensor of ten numbers, or off none."""
    last = f"{len(LAYERS) - 1}.bias"
    return noised_rounds(make, Departure(bare=frozenset({last}) if planted else frozenset()))
