"""A round of the forget clients alone, away from what they hold; with half the learning rate where it diverges."""

from collections.abc import Callable

from unlearning.errors import TrainingDiverged
from unlearning.federated.methods.base import Walk
from unlearning.federated.rounds import Phase, RoundOutcome, Stack

__all__ = ["go_carefully", "usual_rate"]

CONVOLUTIONAL, DENSE = 0.02, 0.05


def usual_rate(stack: Stack) -> float:
    """Return the default learning rate of a max phase: 0.05, or 0.02 where there are convolutions."""
    return CONVOLUTIONAL if any(tensor.dim() > 3 for tensor in stack.values()) else DENSE


def go_carefully(walk: Walk, phase: Callable[[float], Phase]) -> RoundOutcome:
    """Train one max phase; where a number is no longer finite, once more from the same models, slower.

    Args:
        walk: Its models go on from where they are; after a failure they still are there.
        phase: Told what to divide the learning rate by, returns the round.

    Raises:
        TrainingDiverged: It diverged at half the learning rate too; names the round and lr_max.
    """
    try:
        return walk.go(phase(1.0))
    except TrainingDiverged:
        slower = phase(2.0)
    try:
        return walk.go(slower)
    except TrainingDiverged as error:
        rate = slower.recipe.learning_rate
        told = f"round {walk.models.rounds + 1}, max phase: {error.message}"
        raise TrainingDiverged(
            "unlearning.diverged", told, f"Lower lr_max (it is {2 * rate:g}; {rate:g} diverged too)."
        ) from error
