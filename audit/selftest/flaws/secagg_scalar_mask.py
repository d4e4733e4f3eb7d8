"""A mask that is one number: the shape of an update shows through it."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.selftest.flaw import flaw
from audit.selftest.secure import Rounds, recorded_system
from audit.selftest.workshop import Workshop
from reports.model import System
from secagg.client import SecAggClient
from secagg.masking import Masking, in_ring
from secagg.prg import keystream
from secagg.quantize import Quantized


@dataclass(frozen=True)
class ScalarMasking(Masking):
    """Adds the first word of every mask to all elements."""

    def apply(self, update: NDArray[np.floating[Any]], rng: np.random.Generator) -> Quantized:
        """Return the vector, moved as a whole."""
        found = in_ring(update, self.rule, self.modulus_bits, rng, self.weight)
        for key, sign in self.keys:
            word = keystream(key, 1, self.modulus_bits)
            np.add(found.vector, word if sign > 0 else -word, out=found.vector)
        return found


class ScalarClient(SecAggClient):
    """Masks with one number."""

    def masking(self, *given: Any, **named: Any) -> Masking:
        """Return the masking of the protocol, but for how its keys are used."""
        return ScalarMasking(**vars(super().masking(*given, **named)))


@flaw("secagg-scalar-mask", "One number masks all elements of an update", caught_by=("secagg.mask-uniformity",))
def secagg_scalar_mask(make: Workshop, *, planted: bool) -> System:
    """Record two rounds whose clients add one number to a whole vector, as OpenFL 1.9 does, or a mask to each element.

    Our server takes masks for streams, so the sum of such vectors is a wrong one as well.
    """
    return recorded_system(make, replace(Rounds(), client=ScalarClient if planted else SecAggClient))
