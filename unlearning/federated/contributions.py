"""From local updates to what arrives: contributions and their weights, and who adds which noise."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from unlearning.errors import UnlearningError
from unlearning.federated.data import SimulatedFederation
from unlearning.federated.privacy import Tensors, clipped, noised
from unlearning.federated.recipe import ClientPrivacy

Generators = Callable[[str], torch.Generator]
"""Returns the generator of one purpose, always the same one."""


@dataclass(frozen=True, eq=False)
class Contributed:
    """What the clients of a round have to give."""

    deltas: Mapping[int, Tensors]
    """By client: after clipping, before noise."""
    weights: tuple[float, ...]
    """In the mean; they sum to 1."""


def contributions(
    module: nn.Module,
    privacy: ClientPrivacy | None,
    federation: SimulatedFederation,
    updates: Mapping[int, Tensors],
) -> Contributed:
    """Return what the clients contribute before noise, and with which weights.

    Weights follow the number of examples; under privacy they are equal, since a count would be a second disclosure and
    a weight would stretch the clipping norm.
    """
    if privacy is None:
        counts = [len(federation.data.clients[client]) for client in updates]
        weights = tuple(count / sum(counts) for count in counts)
        return Contributed(updates, weights)
    if next(module.buffers(), None) is not None:
        told = "a model with running statistics cannot be trained with privacy: its buffers are not gradients"
        raise UnlearningError("training.buffers", told, "Replace BatchNorm by GroupNorm.")
    deltas = {client: clipped(update, privacy.clipping_norm) for client, update in updates.items()}
    return Contributed(deltas, (1 / len(deltas),) * len(deltas))


def sent_by_clients(
    privacy: ClientPrivacy | None, deltas: Mapping[int, Tensors], number: int, generator: Generators
) -> Mapping[int, Tensors]:
    """Return what leaves the clients: their contributions, with their shares of the noise where they add it."""
    if privacy is None or privacy.noise_added_by != "clients":
        return deltas
    share = privacy.noise_multiplier * privacy.clipping_norm / math.sqrt(privacy.least_contributors or len(deltas))
    return {
        client: noised(delta, share, generator(f"round/{number}/client/{client}/noise"))
        for client, delta in deltas.items()
    }


def noised_by_server(
    privacy: ClientPrivacy | None, mean: Tensors, summed: int, asked: int, number: int, generator: Generators
) -> tuple[float, Tensors]:
    """Return the standard deviation of the noise on the sum, and the mean with all of it."""
    if privacy is None:
        return 0.0, mean
    noise = privacy.noise_multiplier * privacy.clipping_norm
    least = privacy.least_contributors or asked
    if summed < least:
        told = f"round {number}: {summed} clients are in the sum, and the noise is shared among {least}"
        raise UnlearningError("training.noise", told, "Lower least_contributors to what a round can be left with.")
    if privacy.noise_added_by == "clients":
        return noise * math.sqrt(summed / least), mean
    return noise, noised(mean, noise / summed, generator(f"round/{number}/noise"))
