"""Mask seeds that can be tried out, one after the other, in seconds."""

from audit.selftest.flaw import flaw
from audit.selftest.secure import ROUND, declared_round, tables
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw("secagg-28-bit-seed", "The seeds of masks have 28 bits", caught_by=("secagg.mask-entropy",))
def secagg_28_bit_seed(make: Workshop, *, planted: bool) -> System:
    """Declare seeds of 28 bits, as many as reach the generator of Flower 1.41 (measured), or of 256."""
    return make.finish(tables(declared_round(ROUND) | {"seed_bits": 28 if planted else 256}))
