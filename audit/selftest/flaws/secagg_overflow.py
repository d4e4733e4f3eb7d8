"""A ring that the sum runs around: the mean is wrong, and nothing says so."""

from dataclasses import replace

from audit.selftest.flaw import flaw
from audit.selftest.secure import ROUND, Rounds, recorded_system
from audit.selftest.workshop import Workshop
from reports.model import System
from secagg.quantize import Quantization
from secagg.setting import RoundConfig

LEVELS = 2**30
"""Fourteen clients with so many reach 2^33."""


class RoomyConfig(RoundConfig):
    """A round whose sum may wrap around, which `RoundConfig` refuses."""

    def _require_room(self) -> None:
        """Let any levels pass."""


@flaw("secagg-overflow", "The ring is too small for the sum", caught_by=("secagg.overflow",))
def secagg_overflow(make: Workshop, *, planted: bool) -> System:
    """Record two rounds in a ring of 32 bits, around which the sums run, or of 64.

    The clients are those without defences: ours refuse a round that can overflow.
    """
    config = RoomyConfig(
        **vars(ROUND) | {"modulus_bits": 32 if planted else 64, "quantization": Quantization(0.5, LEVELS)}
    )
    return recorded_system(make, replace(Rounds(), config=config, client="weak"))
