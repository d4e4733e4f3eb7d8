"""L-BFGS for many problems at once, each with a history of its own.

The two-loop recursion of Nocedal (Math. Comput. 35 (1980) 773-782) with the step rule of torch's own optimiser: one
over the slope at first, then whole steps. A step that makes a problem worse is halved instead of taken.
"""

from collections.abc import Callable

import torch
from torch import Tensor

HISTORY = 20
"""Steps that are remembered."""
LEAST_CURVATURE = 1e-10
"""Of a step, below which it is not remembered."""


def descend(function: Callable[[Tensor], tuple[Tensor, Tensor]], start: Tensor, iterations: int) -> Tensor:
    """Return where descent has come to, shape (T, d).

    Args:
        function: Takes (T, d); returns values (T,) and slopes (T, d), each problem's own.
        start: Where to begin, shape (T, d).
        iterations: How often `function` is asked.
    """
    here = start.detach().clone()
    value, slope = function(here)
    steps: list[tuple[Tensor, Tensor, Tensor]] = []
    direction = -slope
    rate = 1 / slope.abs().sum(dim=1).clamp_min(1.0)
    for _ in range(iterations):
        there = here + rate[:, None] * direction
        new_value, new_slope = function(there)
        better = torch.isfinite(new_value) & torch.isfinite(new_slope).all(dim=1) & (new_value < value)
        step = torch.where(better[:, None], there - here, 0.0)
        change = torch.where(better[:, None], new_slope - slope, 0.0)
        here = torch.where(better[:, None], there, here)
        value, slope = torch.where(better, new_value, value), torch.where(better[:, None], new_slope, slope)
        curvature = (step * change).sum(dim=1)
        steps = [*steps, (step, change, curvature)][-HISTORY:]
        direction = _direction(slope, steps)
        downhill = (direction * slope).sum(dim=1) < 0
        direction = torch.where(downhill[:, None], direction, -slope)
        rate = torch.where(better, torch.ones_like(rate), rate / 2)
    return here


def _direction(slope: Tensor, steps: list[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
    """Return minus the inverse Hessian's estimate times the slope; a step without curvature counts for nothing."""
    found = -slope
    weights = []
    for step, change, curvature in reversed(steps):
        useful = curvature > LEAST_CURVATURE
        inverse = torch.where(useful, 1 / curvature.clamp_min(LEAST_CURVATURE), 0.0)
        weight = inverse * (step * found).sum(dim=1)
        found = found - weight[:, None] * change
        weights.append((weight, inverse))
    scale = torch.ones(len(slope), dtype=slope.dtype, device=slope.device)
    for _, change, curvature in steps:
        useful = curvature > LEAST_CURVATURE
        scale = torch.where(useful, curvature / (change * change).sum(dim=1).clamp_min(LEAST_CURVATURE), scale)
    found = scale[:, None] * found
    for (step, change, _), (weight, inverse) in zip(steps, reversed(weights), strict=True):
        found = found + step * (weight - inverse * (change * found).sum(dim=1))[:, None]
    return found
