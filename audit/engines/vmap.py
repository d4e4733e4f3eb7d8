"""Gradient matching with one vectorised gradient for all trials of a chunk (`torch.func.vmap` over `grad`)."""

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from audit.engines.base import PLAIN, Chunked, Matching, cosine_distance, mean_loss, total

CHUNK_BYTES = 16 * 2**20
"""Bytes that the gradients of a chunk of trials may take on the CPU: more falls out of the cache."""
SHARE_OF_DEVICE = 8
"""On a GPU they may take its memory divided by this."""


class Vmap(Chunked):
    """The objective from per-trial gradients; for any model of operators that have a batching rule."""

    name = "vmap"

    def __init__(self, model: nn.Module, device: str | torch.device = "cpu", matching: Matching = PLAIN) -> None:
        """Copy `model`; `matching` says what is compared."""
        super().__init__(model, device)
        self.matching = matching
        self._gradients = vmap(grad(self._loss), in_dims=(None, 0, 0))

    def chunk(self, x: Tensor) -> int:
        """Return as many trials as `CHUNK_BYTES`, or its share of a GPU's memory, hold gradients of."""
        size = sum(parameter.numel() for parameter in self.parameters.values()) * x.element_size()
        room = CHUNK_BYTES
        if x.device.type == "cuda":
            room = torch.cuda.get_device_properties(x.device).total_memory // SHARE_OF_DEVICE
        return max(1, room // max(size, 1))

    def matched(self, x: Tensor, y: Tensor, target: list[Tensor]) -> Tensor:  # type: ignore[override]
        """Return the objective of one chunk; see `Chunked`."""
        gradients = self._gradients(self.parameters, x, y)
        compared = self.matching.of([gradients[name] for name in self.parameters], target)
        inner = total(one * goal for one, goal in zip(compared, target, strict=True))
        return cosine_distance(inner, total(one * one for one in compared))

    def _loss(self, parameters: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return mean_loss(functional_call(self.model, parameters, (x,)), y, 1)
