"""Does what was retained still hold what was to be forgotten? Then nothing that is trained on it has forgotten."""

from dataclasses import dataclass

import torch

from unlearning.federated.data import ClientData, near_duplicates
from unlearning.federated.twins import NEAR

__all__ = ["Overlap", "nearness", "notices_copies", "overlap"]

SPREAD = 0.35
"""Standard deviation of the numbers in images in [0, 1], for which `NEAR` is meant: .38 of handwritten digits (8 x 8),
.31 of MNIST."""


@dataclass(frozen=True)
class Overlap:
    """How much of one set of examples another holds, whatever the labels."""

    examples: int
    """Of the first set."""
    exact: int
    """Of them, those that stand in the second as they are."""
    near: int
    """Of them, those that have one in the second within `tolerance`, the exact ones among them."""
    tolerance: float
    """Root mean square of the numbers' differences, in the units of the examples."""

    @property
    def free(self) -> bool:
        """Whether there is none."""
        return not self.near


def nearness(retain: ClientData) -> float:
    """Return the root mean square difference up to which two examples count as near duplicates, in any units."""
    return NEAR * float(retain.x.double().std(correction=0)) / SPREAD


def overlap(forget: ClientData, retain: ClientData) -> Overlap:
    """Return how much of the forget set stands in the retain set.

    Raises:
        ValueError: The examples have different shapes.
    """
    tolerance = nearness(retain)
    exact = near_duplicates(forget, retain, 0.0)
    return Overlap(len(forget), exact, max(exact, near_duplicates(forget, retain, tolerance)), tolerance)


def notices_copies(forget: ClientData, retain: ClientData) -> bool:
    """Tell whether a copy of a forgotten example, and a slightly changed one, are found: the positive control."""
    one = forget.take([0])
    for change, tolerance in ((0.0, 0.0), (nearness(retain) / 2, nearness(retain))):
        planted = ClientData(torch.cat([retain.x, one.x + change]), torch.cat([retain.y, one.y]))
        if near_duplicates(one, planted, tolerance) != 1:
            return False
    return True
