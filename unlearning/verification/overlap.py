"""Does what was retained still hold what was to be forgotten? Then nothing that is trained on it has forgotten."""

from dataclasses import dataclass

import torch

from unlearning.federated.data import ClientData, near_duplicates
from unlearning.federated.twins import NEAR

__all__ = ["Overlap", "notices_a_copy", "overlap"]


@dataclass(frozen=True)
class Overlap:
    """How much of one set of examples another holds, whatever the labels."""

    examples: int
    """Of the first set."""
    exact: int
    """Of them, those that stand in the second as they are."""
    near: int
    """Of them, those that have one in the second within `NEAR`, the exact ones among them."""

    @property
    def free(self) -> bool:
        """Whether there is none."""
        return not self.near


def overlap(forget: ClientData, retain: ClientData) -> Overlap:
    """Return how much of the forget set stands in the retain set.

    Raises:
        ValueError: The examples have different shapes.
    """
    exact = near_duplicates(forget, retain, 0.0)
    return Overlap(len(forget), exact, max(exact, near_duplicates(forget, retain, NEAR)))


def notices_a_copy(forget: ClientData, retain: ClientData) -> bool:
    """Tell whether one example of the forget set, put among the retained ones, is found there: the positive control."""
    one = forget.take([0])
    planted = ClientData(torch.cat([retain.x, one.x]), torch.cat([retain.y, one.y]))
    return near_duplicates(one, planted, 0.0) == 1
