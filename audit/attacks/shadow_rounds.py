"""Rounds of federated averaging for many models at once: every client of every shadow takes its local steps together.

A stack of tensors, one slice a model, goes through the forward pass under `torch.func.vmap`; the loss of the stack is
the sum of the models' losses, so each slice's gradient is that model's own. SGD and Adam work coordinate by coordinate,
so they do to a stack what they do to each model alone.

Source: McMahan et al. 2017 (arXiv:1602.05629); clipping and noise as in arXiv:1710.06963.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from audit.twin import loss_of

BoolArray = npt.NDArray[np.bool_]
Stack = dict[str, Tensor]


@dataclass(frozen=True)
class Recipe:
    """How a model is trained: by federated averaging, which with one client and one round is plain training."""

    rounds: int = 1
    """Rounds of training."""
    local_epochs: int = 1
    """Passes over a client's records in a round."""
    batch_size: int = 32
    """Records in a batch; the last one of an epoch may be smaller."""
    learning_rate: float = 0.1
    """Of the local steps."""
    local_steps: int | None = None
    """Steps after which a client stops, even within an epoch; None for whole epochs."""
    clients: int = 1
    """Clients that the records are dealt out to, in equal shares."""
    clients_per_round: int = 0
    """Clients drawn for a round without replacement; 0 for all."""
    optimiser: Literal["sgd", "adam"] = "sgd"
    """Of the local steps."""
    clipping_norm: float | None = None
    """L2 bound on a client's update; None where nothing is clipped."""
    noise_multiplier: float = 0.0
    """Standard deviation of the noise on the sum of the updates, over `clipping_norm`."""

    @property
    def participants(self) -> int:
        """Clients in a round."""
        return min(self.clients_per_round, self.clients) or self.clients

    def steps(self, records: int) -> int:
        """Return the steps that each participant takes one after another, over all rounds, of `records` in all."""
        steps = self.local_epochs * -(-self._share(records) // self.batch_size)
        return self.rounds * (steps if self.local_steps is None else min(steps, self.local_steps))

    def gradients(self, records: int) -> int:
        """Return the gradients of single records that training on `records` computes, or a few more."""
        whole = self.rounds * self.local_epochs * self._share(records)
        return self.participants * min(whole, self.steps(records) * self.batch_size)

    def _share(self, records: int) -> int:
        return -(-records // self.clients)


def forward(module: nn.Module) -> Callable[[Stack, Tensor], Tensor]:
    """Return the forward pass of `module` as a function of all its tensors and its input."""

    def run(tensors: Stack, x: Tensor) -> Tensor:
        return cast(Tensor, functional_call(module, tensors, (x,)))

    return run


def dealt(member: BoolArray, clients: int, own: Sequence[torch.Generator]) -> Tensor:
    """Return the records of each client of each shadow, shape (S, clients, share).

    Shares are equal: where they do not come out even, some records are dealt twice, so that none is left out.

    Args:
        member: Who is in which shadow, shape (S, n), equally many in each.
        clients: Number of clients.
        own: The generator of each shadow.
    """
    shares = []
    for row, generator in zip(member, own, strict=True):
        mine = torch.from_numpy(np.flatnonzero(row))
        if clients > 1:
            mine = mine[torch.randperm(len(mine), generator=generator)]
        share = -(-len(mine) // clients)
        shares.append(mine[torch.arange(share * clients) % len(mine)].reshape(clients, share))
    return torch.stack(shares)


@dataclass(frozen=True, eq=False)
class Rounds:
    """What the rounds of all shadows share."""

    module: nn.Module
    """The architecture, in training mode."""
    x: Tensor
    """Records as the model takes them, shape (n, *input_shape)."""
    y: Tensor
    """Labels, shape (n,)."""
    shares: Tensor
    """Records of each client of each shadow, shape (S, clients, share)."""
    recipe: Recipe
    """How they train."""
    own: Sequence[torch.Generator]
    """The generator of each shadow."""

    def after(self, stack: Stack) -> Stack:
        """Return the shadows after one more round, from their tensors of shape (S, *shape)."""
        each, shadows = self.recipe.participants, len(self.shares)
        local = self._trained({name: tensor.repeat_interleave(each, dim=0) for name, tensor in stack.items()})
        split = {name: tensor.reshape(shadows, each, *tensor.shape[1:]) for name, tensor in local.items()}
        if self.recipe.clipping_norm is None:
            return {name: _mean(tensor) for name, tensor in split.items()}
        return self._noised(stack, split, self.recipe.clipping_norm)

    def _trained(self, stack: Stack) -> Stack:
        """Return what the local steps of every participant make of its copy, shape (S * participants, *shape)."""
        recipe, run = self.recipe, vmap(forward(self.module), randomness="different")
        leaves = {name: stack[name].requires_grad_() for name, _ in self.module.named_parameters()}
        optimiser: torch.optim.Optimizer
        if recipe.optimiser == "adam":
            optimiser = torch.optim.Adam(leaves.values(), lr=recipe.learning_rate)
        else:
            optimiser = torch.optim.SGD(leaves.values(), lr=recipe.learning_rate)
        for batch in self._batches():
            optimiser.zero_grad()
            outputs = run(stack, self.x[batch])
            models = len(batch)
            loss = loss_of(outputs.flatten(0, 1), self.y[batch].flatten()) * models  # the sum of the models' means
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            optimiser.step()
        return {name: tensor.detach() for name, tensor in stack.items()}

    def _batches(self) -> Iterator[Tensor]:
        """Yield the records of every local step, shape (S * participants, batch), in an order of each one's own."""
        recipe, (shadows, clients, share) = self.recipe, self.shares.shape
        each, taken = recipe.participants, 0
        drawn = torch.arange(clients).expand(shadows, -1)
        if each < clients:
            drawn = torch.stack([torch.randperm(clients, generator=one)[:each].sort().values for one in self.own])
        records = self.shares[torch.arange(shadows)[:, None], drawn].flatten(0, 1)
        for _ in range(recipe.local_epochs):
            orders = [torch.randperm(share, generator=one) for one in self.own for _ in range(each)]
            shuffled = records.gather(1, torch.stack(orders))
            for start in range(0, share, recipe.batch_size):
                if taken == recipe.local_steps:
                    return
                yield shuffled[:, start : start + recipe.batch_size]
                taken += 1

    def _noised(self, before: Stack, after: Stack, norm: float) -> Stack:
        """Return `before` plus the mean of the clipped updates, shape (S, participants, *shape), with noise."""
        deltas = {name: tensor - before[name][:, None] for name, tensor in after.items() if tensor.is_floating_point()}
        lengths = torch.stack([delta.flatten(2).square().sum(2) for delta in deltas.values()]).sum(0).sqrt()
        factors = (norm / lengths.clamp_min(1e-12)).clamp_max(1.0)
        deviation = self.recipe.noise_multiplier * norm / self.recipe.participants
        noised = {}
        for name, tensor in before.items():
            if name not in deltas:
                noised[name] = _mean(after[name])
                continue
            clipped = deltas[name] * factors.reshape(*factors.shape, *[1] * (tensor.ndim - 1))
            noised[name] = tensor + clipped.mean(1)
            if deviation > 0:
                noise = torch.stack([torch.randn(tensor.shape[1:], generator=one) for one in self.own])
                noised[name] += deviation * noise.to(tensor)
        return noised


def _mean(tensors: Tensor) -> Tensor:
    """Return the mean over participants; of counters (integers), where a mean means nothing, the largest."""
    return tensors.mean(1) if tensors.is_floating_point() else tensors.amax(1)
