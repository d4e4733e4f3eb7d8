"""Logits and gradients of many models of one architecture at once: two programs, one for chains of linear layers.

A chain of linear layers is written out as batched products, forwards and backwards, which costs less than half of what
autograd takes for the same; any other architecture goes through `torch.func.vmap`.
"""

from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from unlearning.federated.objectives import Losses, Objective
from unlearning.federated.rounds import Stack, bare

__all__ = ["Program", "program_of", "stackable"]

_DRAWING = nn.modules.dropout._DropoutNd
_UNSTACKED = (nn.modules.conv._ConvNd, nn.modules.batchnorm._NormBase, _DRAWING)


class Program(Protocol):
    """An architecture, for a stack of models."""

    def logits(self, stack: Stack, x: Tensor) -> Tensor:
        """Return the logits (M, n, C) of inputs (M, n, *input_shape), without gradients."""
        ...

    def gradients(
        self, stack: Stack, x: Tensor, y: Tensor, objective: Objective, taught: Tensor | None
    ) -> tuple[dict[str, Tensor], Losses]:
        """Return each model's gradient of its mean loss on its own batch, and the losses (M, B)."""
        ...


def stackable(module: nn.Module) -> bool:
    """Tell whether models of this architecture can share one batched step and keep their randomness apart."""
    return bare(module) and not any(isinstance(layer, _UNSTACKED) for layer in module.modules())


def program_of(module: nn.Module) -> Program:
    """Return the faster program that suits an architecture.

    Raises:
        ValueError: Its running statistics, or what its dropout draws, would have to be each model's own.
    """
    if not bare(module) or any(isinstance(layer, _DRAWING) for layer in module.modules()):
        raise ValueError("models with running statistics or dropout are trained by the sequential engine")
    layers = tuple(module.named_children())
    plain = isinstance(module, nn.Sequential) and all(
        type(layer) in (nn.Linear, nn.ReLU) or (type(layer) is nn.Flatten and place == 0)
        for place, (_, layer) in enumerate(layers)
    )
    shared = len({id(layer) for _, layer in layers}) < len(layers)
    if plain and not shared and any(isinstance(layer, nn.Linear) for _, layer in layers):
        return LinearChain(tuple((name, isinstance(layer, nn.Linear)) for name, layer in layers
                                 if not isinstance(layer, nn.Flatten)))  # fmt: skip
    return Vectorised(module.eval() if not module.training else module)


@dataclass(frozen=True)
class LinearChain:
    """Linear layers with ReLU between them."""

    layers: tuple[tuple[str, bool], ...]
    """Name of each layer, and whether it is linear (else a ReLU)."""

    def logits(self, stack: Stack, x: Tensor) -> Tensor:
        """Return the logits."""
        with torch.no_grad():
            return self._forward(stack, x)[-1]

    def gradients(
        self, stack: Stack, x: Tensor, y: Tensor, objective: Objective, taught: Tensor | None
    ) -> tuple[dict[str, Tensor], Losses]:
        """Return the gradients: the objective's with respect to the logits by autograd, all below by hand."""
        with torch.no_grad():
            inputs = self._forward(stack, x)
        outputs = inputs[-1].requires_grad_()
        found = objective(outputs, y, taught)
        (flowing,) = torch.autograd.grad(found.values.mean(1).sum(), outputs)
        gradients: dict[str, Tensor] = {}
        with torch.no_grad():
            lowest = next(place for place, (_, linear) in enumerate(self.layers) if linear)
            for place in range(len(self.layers) - 1, -1, -1):
                name, linear = self.layers[place]
                if not linear:
                    flowing = flowing * (inputs[place + 1] > 0)
                    continue
                gradients[f"{name}.weight"] = torch.bmm(flowing.transpose(1, 2), inputs[place])
                if f"{name}.bias" in stack:
                    gradients[f"{name}.bias"] = flowing.sum(1)
                if place == lowest:
                    break
                flowing = torch.bmm(flowing, stack[f"{name}.weight"])
        return gradients, Losses(found.values.detach(), found.capped)

    def _forward(self, stack: Stack, x: Tensor) -> list[Tensor]:
        """Return the input of every layer, then the logits."""
        flowing = x.flatten(2)
        inputs = [flowing]
        for name, linear in self.layers:
            if not linear:
                flowing = flowing.relu()
            elif f"{name}.bias" in stack:
                weight = stack[f"{name}.weight"].transpose(1, 2)
                flowing = torch.baddbmm(stack[f"{name}.bias"].unsqueeze(1), flowing, weight)
            else:
                flowing = torch.bmm(flowing, stack[f"{name}.weight"].transpose(1, 2))
            inputs.append(flowing)
        return inputs


@dataclass(frozen=True, eq=False)
class Vectorised:
    """Any architecture, by `torch.func.vmap` over its functional form."""

    module: nn.Module
    """Its own weights mean nothing."""

    def logits(self, stack: Stack, x: Tensor) -> Tensor:
        """Return the logits."""
        self.module.eval()
        with torch.no_grad():
            return self._run(stack, x)

    def gradients(
        self, stack: Stack, x: Tensor, y: Tensor, objective: Objective, taught: Tensor | None
    ) -> tuple[dict[str, Tensor], Losses]:
        """Return the gradients, by autograd on the sum over models."""
        self.module.train()
        names = [name for name, _ in self.module.named_parameters()]
        leaves = {name: stack[name].detach().requires_grad_() for name in names}
        found = objective(self._run({**stack, **leaves}, x), y, taught)
        gradients = torch.autograd.grad(found.values.mean(1).sum(), [leaves[name] for name in names])
        return dict(zip(names, gradients, strict=True)), Losses(found.values.detach(), found.capped)

    def _run(self, stack: Stack, x: Tensor) -> Tensor:
        def forward(tensors: dict[str, Tensor], records: Tensor) -> Tensor:
            return cast(Tensor, functional_call(self.module, tensors, (records,)))

        return vmap(forward)(dict(stack), x)
