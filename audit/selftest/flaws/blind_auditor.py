"""A model that never learns hides everything from an attack, and shows nothing about its updates."""

from torch import nn

from audit.selftest.flaw import flaw
from audit.selftest.single_updates import noised, perceptron, recorded_round
from audit.selftest.workshop import Workshop
from reports.model import Status, System

DEAD = -1e3
"""A bias that no digit lifts above zero."""


def silenced(model: nn.Module) -> None:
    """Let no hidden unit ever be active."""
    model.get_parameter("0.bias").fill_(DEAD)


@flaw(
    "blind-auditor",
    "No hidden unit of the model is ever active, so that no attack could have found anything",
    caught_by=("attack.linear", "attack.labels", "attack.inversion"),  # one may say so, and none of them may pass
    expects=Status.INCONCLUSIVE,
)
def blind_auditor(make: Workshop, *, planted: bool) -> System:
    """Send noised gradients of one record through a perceptron that is dead, or alive.

    The last layer has no bias: with its inputs all zero it has no gradient either, so that labels do not show.
    """
    layers = perceptron(last_bias=False)
    return recorded_round(make, "blind", layers, noised, prepare=silenced if planted else None)
