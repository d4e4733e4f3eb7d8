"""What differential privacy does to contributions: bounded one by one, noised in their sum."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

Tensors = Mapping[str, Tensor]
"""Tensors by their name in the state dict."""


def norm(tensors: Tensors) -> float:
    """Return the L2 norm over all tensors together, summed in float64."""
    return math.sqrt(math.fsum(float(tensor.double().square().sum()) for tensor in tensors.values()))


def clipped(delta: Tensors, clipping_norm: float) -> dict[str, Tensor]:
    """Return `delta` scaled down to an L2 norm of `clipping_norm` over all tensors, unchanged where it is shorter."""
    scale = min(1.0, clipping_norm / max(norm(delta), 1e-300))
    return {name: tensor * scale for name, tensor in delta.items()}


def noised(tensors: Tensors, standard_deviation: float, source: torch.Generator) -> dict[str, Tensor]:
    """Return `tensors` plus Gaussian noise of this standard deviation, a coordinate."""
    return {
        name: tensor + standard_deviation * torch.randn(tensor.shape, generator=source, dtype=tensor.dtype)
        for name, tensor in tensors.items()
    }
