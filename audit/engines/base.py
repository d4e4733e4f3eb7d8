"""Gradient matching: how well the gradient that a guess would give fits the gradient that was seen.

The objective of a guess is 1 - cos(g, G): g its gradient of the mean loss, G the target (Geiping et al. 2020, section
4, arXiv:2003.14053). Every engine gives the same numbers; they differ in what they build on the way. A trial is one
guess, and trials do not touch one another, so an engine takes as many at a time as fit into the cache and finds the
gradient of each chunk with respect to the guess before it turns to the next: memory does not grow with the trials.
"""

from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from audit.twin import loss_of

Target = Sequence[Tensor]
"""A gradient in the order of the model's parameters: each of a parameter's shape, or of (T, *shape), one a trial."""


@dataclass(frozen=True)
class Matching:
    """Which part of a gradient is compared, for an attacker who knows what was done to it."""

    surviving: bool = False
    """Compare only coordinates where the target is not zero: of the others pruning has told nothing."""
    sharpness: float = 0.0
    """Above zero, compare tanh(sharpness g / mean |g|) with the target, which holds signs."""

    @property
    def plain(self) -> bool:
        """Whether the gradient is compared as it is."""
        return not self.surviving and not self.sharpness

    def of(self, gradients: Sequence[Tensor], target: Target) -> list[Tensor]:
        """Return what is compared with the target; every tensor has the trials first."""
        compared = list(gradients)
        if self.sharpness:
            size = sum(one[0].numel() for one in compared)
            mean = total(one.abs() for one in compared) / size
            factor = self.sharpness / mean.clamp_min(torch.finfo(mean.dtype).tiny)
            compared = [torch.tanh(one * beside(factor, one)) for one in compared]
        if self.surviving:
            compared = [one * (goal != 0) for one, goal in zip(compared, target, strict=True)]
        return compared


PLAIN = Matching()
"""The gradient as it is."""


@dataclass(frozen=True)
class LocalTraining:
    """Plain gradient descent of a client, whose change of the parameters is the target instead of a gradient."""

    steps: int
    """Of descent, at least one."""
    learning_rate: float
    """Of each step."""
    batch_size: int | None = None
    """Records a step, taken in order and from the start again when they are used up; None: all of them."""

    def rows(self, step: int, records: int) -> list[int]:
        """Return the positions of the records that a step sees."""
        size = min(self.batch_size or records, records)
        return [(step * size + row) % records for row in range(size)]


class Engine(Protocol):
    """Computes the objective of gradient matching."""

    name: str
    """As `--engine` and a measurement's `method` say it."""

    def objective(self, x: Tensor, y: Tensor, target: Target) -> Tensor:
        """Return 1 - cos of each trial, shape (T,), without any prior; differentiable once, in x and a soft y.

        Args:
            x: Guesses as the model takes them, shape (T, B, *input_shape).
            y: Their labels, int64, shape (T, B); or soft ones, shape (T, B, classes).
            target: The gradient of the mean loss that was seen, or a change of parameters, in parameter order.
        """
        ...


class Chunked:
    """An engine that works off trials in chunks; what it does with one is `matched`."""

    name = ""

    def __init__(self, model: nn.Module, device: str | torch.device = "cpu") -> None:
        self.model = deepcopy(model).requires_grad_(False).to(device)
        for module in self.model.modules():
            if getattr(module, "inplace", False):
                vars(module)["inplace"] = False  # else an activation overwrites the output that is differentiated
        self.parameters = {name: parameter.detach() for name, parameter in self.model.named_parameters()}
        self.shapes = [tuple(parameter.shape) for parameter in self.parameters.values()]
        self._last: tuple[list[tuple[Tensor, int]], list[Tensor]] = ([], [])

    def matched(self, x: Tensor, y: Tensor, target: Sequence[Tensor]) -> Tensor:
        """Return the objective of one chunk as part of torch's graph, shape (T,).

        Args:
            x: As in `objective`.
            y: Likewise.
            target: Of unit length; each tensor has the trials first, or 1 where they share it.
        """
        raise NotImplementedError

    def chunk(self, x: Tensor) -> int:
        """Return how many trials are worked off together, at least one."""
        raise NotImplementedError

    def objective(self, x: Tensor, y: Tensor, target: Target) -> Tensor:
        """Return 1 - cos of each trial, shape (T,); see `Engine`.

        Raises:
            ValueError: the target does not have the shapes of the model's parameters.
        """
        result: Tensor = _Objective.apply(x, y, self, self._goal(target, x))  # type: ignore[no-untyped-call]
        return result

    def _goal(self, target: Target, x: Tensor) -> list[Tensor]:
        """Return a target of unit length, with the trials first; the last one is kept, since a loop asks for it again.

        The length is taken in float64: that of a clipped or averaged gradient may be too short for float32 squares.
        """
        known, goal = self._last
        same = len(known) == len(target) and all(
            one is other and one._version == version for one, (other, version) in zip(target, known, strict=True)
        )
        if same and goal[0].dtype == x.dtype and goal[0].device == x.device and len(goal[0]) in (1, len(x)):
            return goal
        shared = [tuple(one.shape) for one in target] == self.shapes
        if not shared and [tuple(one.shape) for one in target] != [(len(x), *shape) for shape in self.shapes]:
            raise ValueError("the target does not have the shapes of the model's parameters")
        first = [one.detach().to(x.device)[None] if shared else one.detach().to(x.device) for one in target]
        length = total(one.double() ** 2 for one in first).sqrt()
        factor = torch.where(length > 0, 1 / length, 0.0)
        goal = [(one.double() * beside(factor, one)).to(x.dtype) for one in first]
        self._last = [(one, one._version) for one in target], goal
        return goal


class _Objective(torch.autograd.Function):
    """The objective with its gradient, both computed chunk by chunk in the forward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, engine: Chunked, target: list[Tensor]) -> Tensor:
        wanted = [position for position in (0, 1) if ctx.needs_input_grad[position]]
        values: list[Tensor] = []
        slopes: list[tuple[Tensor, ...]] = []
        size = engine.chunk(x)
        for start in range(0, len(x), size):
            part = slice(start, start + size)
            guess = [x[part].detach(), y[part].detach()]
            for position in {0, *wanted}:  # some engines walk back from the loss to the guess whatever is wanted
                guess[position].requires_grad_()
            with torch.enable_grad():
                value = engine.matched(guess[0], guess[1], [one if len(one) == 1 else one[part] for one in target])
                if wanted:
                    slopes.append(torch.autograd.grad(value.sum(), [guess[position] for position in wanted]))
            values.append(value.detach())
        ctx.wanted = wanted
        ctx.save_for_backward(*(torch.cat(parts) for parts in zip(*slopes, strict=True)))
        return torch.cat(values)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, outward: Tensor) -> tuple[Tensor | None, ...]:
        found: list[Tensor | None] = [None, None, None, None]
        for position, slope in zip(ctx.wanted, ctx.saved_tensors, strict=True):
            found[position] = slope * beside(outward, slope)
        return tuple(found)


def cosine_distance(inner: Tensor, squared: Tensor) -> Tensor:
    """Return 1 - cos, shape (T,), from the product with a unit target and the squared length; 1 where that is 0."""
    return 1 - inner / squared.clamp_min(torch.finfo(squared.dtype).tiny).sqrt()


def mean_loss(outputs: Tensor, y: Tensor, trials: int) -> Tensor:
    """Return the sum over trials of the mean loss over their records, a scalar.

    Args:
        outputs: Of the model for all records of all trials, shape (T * B, ...).
        y: Labels, shape (T * B,), or soft labels, shape (T * B, classes).
        trials: T.
    """
    soft = y.is_floating_point() and y.ndim == 2 and y.shape[1] > 1
    return (functional.cross_entropy(outputs, y) if soft else loss_of(outputs, y)) * trials


def total(parts: Iterable[Tensor]) -> Tensor:
    """Return the sum of tensors over all but their first dimension, shape (T,)."""
    return torch.stack([part.reshape(len(part), -1).sum(dim=1) for part in parts]).sum(dim=0)


def beside(factor: Tensor, tensor: Tensor) -> Tensor:
    """Return one factor a trial, shape (T,), so that it broadcasts against `tensor`, shape (T, ...)."""
    return factor.reshape(-1, *[1] * (tensor.ndim - 1))
