"""Which engine matches gradients fastest: decided by counting, never by a clock, so that reports repeat.

Factored wherever it applies: measured, it is ahead of the others from two trials on, on convolutional models too.
Else vmap, where a chunk holds two trials and every operator has a batching rule; else sequential.
"""

import warnings
from collections.abc import Sequence

import torch
from torch import nn

from audit.engines.base import PLAIN, Chunked, LocalTraining, Matching, Target
from audit.engines.factored import Factored, suits
from audit.engines.sequential import Sequential
from audit.engines.vmap import Vmap

AGREEMENT = 1e-3
"""Largest difference between an engine and the sequential one on a probe; an engine that differs is not taken."""


def choose_engine(
    model: nn.Module,
    target: Target,
    trials: int,
    device: str | torch.device = "cpu",
    *,
    shape: Sequence[int] | None = None,
    matching: Matching = PLAIN,
    training: LocalTraining | None = None,
    name: str = "auto",
) -> Chunked:
    """Return the engine for a problem.

    Args:
        model: Its model, in the mode the client had it in.
        target: The gradient, in parameter order.
        trials: How many are worked off together.
        device: Where to compute.
        shape: Of one record; a forward pass on two random ones tries the engine. None: it is judged by modules alone.
        matching: What is compared; the factored engine compares gradients as they are.
        training: Local steps behind the target; the sequential engine alone simulates them.
        name: The engine that is asked for, taken where it can do what is asked.
    """
    place = torch.device(device)
    if training is not None:
        return Sequential(model, place, matching, training)
    if name in ("auto", "factored") and matching.plain and suits(model):
        factored = Factored(model, place)
        if _agrees(factored, Sequential(model, place), target, shape):
            return factored
    if name == "vmap" or (name == "auto" and trials >= 2):
        batched = Vmap(model, place, matching)
        roomy = batched.chunk(next(model.parameters()).new_zeros(1).to(place)) >= 2
        if (roomy or name == "vmap") and _agrees(batched, Sequential(model, place, matching), target, shape):
            return batched
    return Sequential(model, place, matching)


def _agrees(engine: Chunked, reference: Sequential, target: Target, shape: Sequence[int] | None) -> bool:
    """Tell whether an engine runs, without torch falling back on a loop, and agrees with the sequential one."""
    if shape is None:
        return True
    parameters = list(reference.parameters.values())
    noise = torch.randn((2, 1, *shape), generator=torch.Generator().manual_seed(0))
    x = noise.to(device=parameters[0].device, dtype=parameters[0].dtype)
    y = torch.zeros((2, 1), dtype=torch.int64, device=x.device)
    goal = [one if one.shape == p.shape else one[0] for one, p in zip(target, parameters, strict=True)]
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # vmap warns where an operator has no batching rule
        try:
            found = engine.objective(x, y, goal)
        except (RuntimeError, ValueError, AttributeError, UserWarning):  # this engine cannot; the sequential one can
            return False
    return bool(torch.allclose(found, reference.objective(x, y, goal), rtol=0.0, atol=AGREEMENT))
