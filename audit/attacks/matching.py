"""The search for records whose gradient fits the one that was seen.

Signed gradients into Adam, a total-variation prior and a step that decays (Geiping et al. 2020, Inverting Gradients,
arXiv:2003.14053); for small smooth models a second start by L-BFGS (Zhu et al. 2019, DLG, arXiv:1906.08935) from the
labels that are known (Zhao et al. 2020, iDLG, arXiv:2001.02610). Of all starts that with the lowest objective is
handed in; the truth has no say in it.
"""

import math
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from audit.attacks.quasi_newton import descend
from audit.engines.base import PLAIN, Chunked, LocalTraining, Matching
from audit.engines.probe import choose_engine

STEP = 0.1
"""Of Adam, in the model's units."""
DECAYS = (3 / 8, 5 / 8, 7 / 8)
"""Shares of the iterations after which the step is divided by ten."""
GREY_PRIOR = 0.02
"""Weight of the prior for grey pictures of 28 x 28."""
COLOUR_PRIOR = 0.2
"""Weight of the prior for pictures of several channels; over the square root of the pixels it costs LeNet 3 dB."""
PRIOR = 0.2
"""Weight of the prior for other grey pictures, over the square root of the pixels."""
SMALL_MODEL = 50_000
"""Parameters up to which a smooth model is worth a second start by L-BFGS."""
SMOOTH = (
    nn.Sigmoid,
    nn.Tanh,
    nn.GELU,
    nn.SiLU,
    nn.Softplus,
    nn.ELU,
    nn.Identity,
    nn.Flatten,
    nn.Unflatten,
    nn.AvgPool2d,
)
"""Modules without parameters that leave a model smooth."""


@dataclass(frozen=True, eq=False)
class Part:
    """A gradient that was seen, for each case, and the model it was taken at."""

    model: nn.Module
    """In the mode the client had it in."""
    target: list[Tensor]
    """In parameter order, each of shape (n, *shape)."""


@dataclass(frozen=True, eq=False)
class Problem:
    """Cases of one kind: each asks for the records behind its own gradients."""

    parts: tuple[Part, ...]
    """Gradients of the same records, at least one; the mean of their objectives counts."""
    labels: Tensor | None
    """int64, shape (n, B); None where they are sought together with the records."""
    batch: int
    """B."""
    shape: tuple[int, ...]
    """Of one record."""
    low: Tensor
    """Least value of each coordinate in the model's units; broadcasts against (*shape)."""
    high: Tensor
    """Largest."""
    classes: int = 0
    """Outputs of the model, where labels are sought."""
    picture: tuple[int, int, int] | None = None
    """Channels, height and width of a record that is a picture; None: no prior."""
    prior: float = 0.0
    """Weight of the total variation of a picture."""
    matching: Matching = PLAIN
    """What is compared."""
    training: LocalTraining | None = None
    """Local steps behind the target; None: it is a gradient."""


@dataclass(frozen=True)
class Budget:
    """How long to search."""

    iterations: int
    """Of each start."""
    restarts: int
    """Random starts of each case."""
    quasi_newton: int = 0
    """Iterations of the second start; 0: there is none."""
    engine: str = "auto"
    """As `--engine` says it."""
    device: str = "cpu"
    """Where to compute."""


@dataclass(frozen=True, eq=False)
class Matched:
    """What the search found."""

    records: Tensor
    """In the model's units, shape (n, B, *shape), on the CPU."""
    objective: Tensor
    """1 - cos of each case's best start, shape (n,)."""
    labels: Tensor
    """int64, shape (n, B): as given, or as found."""
    engine: str
    """Which engine did it."""


def prior_weight(picture: tuple[int, int, int] | None) -> float:
    """Return the weight of the prior for pictures of (channels, height, width); 0 where records are none."""
    if picture is None:
        return 0.0
    if picture[0] > 1:
        return COLOUR_PRIOR
    return GREY_PRIOR if picture == (1, 28, 28) else PRIOR / math.sqrt(picture[1] * picture[2])


def total_variation(pictures: Tensor) -> Tensor:
    """Return the mean absolute difference between neighbours, down and across, of pictures (T, ..., h, w); (T,)."""
    flat = pictures.flatten(1, -3)
    down, across = flat.diff(dim=-2).abs().sum(dim=(1, 2, 3)), flat.diff(dim=-1).abs().sum(dim=(1, 2, 3))
    return (down + across) / pictures[0].numel()


def smooth(model: nn.Module) -> bool:
    """Tell whether a model is smooth and small enough for L-BFGS."""
    leaves = [module for module in model.modules() if not any(True for _ in module.children())]
    plain = all(isinstance(leaf, (*SMOOTH, nn.Linear, nn.Conv1d, nn.Conv2d)) for leaf in leaves)
    return plain and sum(parameter.numel() for parameter in model.parameters()) <= SMALL_MODEL


def reconstruct(problem: Problem, budget: Budget, generator: torch.Generator) -> Matched:
    """Return, for each case, the records whose gradient fits best.

    Args:
        problem: The gradients, and what is known beside them.
        budget: How long to search.
        generator: Draws the starts, on the CPU.
    """
    search = Search(problem, budget)
    x = search.start(generator)
    guess, labels, value = search.adam(x, None if problem.labels is None else search.repeated(problem.labels))
    cases, restarts = len(problem.parts[0].target[0]), budget.restarts
    values = value.reshape(cases, restarts)
    if budget.quasi_newton and problem.labels is not None and all(smooth(part.model) for part in problem.parts):
        second, better = search.quasi_newton(x, labels)
        values = torch.cat([values, better.reshape(cases, restarts)], dim=1)
        pairs = guess.reshape(cases, restarts, -1), second.reshape(cases, restarts, -1)
        guess = torch.cat(pairs, dim=1)
        labels = torch.cat([labels.reshape(cases, restarts, -1)] * 2, dim=1)
    best = values.nan_to_num(nan=math.inf).argmin(dim=1)
    rows = torch.arange(cases, device=best.device)
    chosen = guess.reshape(cases, values.shape[1], problem.batch, *problem.shape)[rows, best]
    told = labels.reshape(cases, values.shape[1], problem.batch)[rows, best]
    return Matched(chosen.cpu(), values[rows, best].cpu(), told.cpu(), search.name)


class Search:
    """Engines and targets of a problem, ready for all starts of all cases at once: case by case, start by start."""

    def __init__(self, problem: Problem, budget: Budget) -> None:
        self.problem, self.budget = problem, budget
        self.device = torch.device(budget.device)
        self.cases = len(problem.parts[0].target[0])
        self.trials = self.cases * budget.restarts
        self.low, self.high = problem.low.to(self.device), problem.high.to(self.device)
        self.targets = [self._target(part.target) for part in problem.parts]
        self.engines = [self._engine(part, goal) for part, goal in zip(problem.parts, self.targets, strict=True)]
        self.name = " and ".join(sorted({engine.name for engine in self.engines}))

    def repeated(self, labels: Tensor) -> Tensor:
        """Return the labels (n, B) for every start, shape (T, B)."""
        return labels.to(self.device).repeat_interleave(self.budget.restarts, dim=0)

    def start(self, generator: torch.Generator) -> Tensor:
        """Return the starts, shape (T, B, *shape): normal about the middle of the range, a quarter of it wide."""
        noise = torch.randn((self.trials, self.problem.batch, *self.problem.shape), generator=generator).to(self.device)
        middle, quarter = (self.low + self.high) / 2, (self.high - self.low) / 4
        return self._boxed(middle + quarter * noise)

    def adam(self, x: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return the best guesses on the way, their labels, and their objectives without the prior."""
        guess = x.clone().requires_grad_()
        count = (self.trials, self.problem.batch, self.problem.classes)
        soft = torch.zeros(count, device=self.device, requires_grad=True) if labels is None else None
        leaves = [guess] if soft is None else [guess, soft]
        optimiser = torch.optim.Adam(leaves, lr=STEP)
        decays = [int(share * self.budget.iterations) for share in DECAYS]
        schedule = torch.optim.lr_scheduler.MultiStepLR(optimiser, decays, gamma=0.1)
        best, best_soft = x.clone(), None if soft is None else soft.detach().clone()
        least = torch.full((self.trials,), math.inf, device=self.device)
        matched = least.clone()
        for step in range(self.budget.iterations + 1):
            objective = self.objective(guess, labels if soft is None else torch.softmax(soft, dim=-1))
            loss = objective + self._prior(guess)
            with torch.no_grad():
                better = loss < least
                least, matched = torch.where(better, loss, least), torch.where(better, objective, matched)
                best[better] = guess[better]
                if soft is not None and best_soft is not None:
                    best_soft[better] = soft[better]
            if step == self.budget.iterations:
                break
            slopes = torch.autograd.grad(loss.sum(), leaves)
            guess.grad = slopes[0].nan_to_num().sign()
            if soft is not None:
                soft.grad = slopes[1].nan_to_num()
            optimiser.step()
            schedule.step()
            with torch.no_grad():
                guess.copy_(self._boxed(guess))
        told = labels if best_soft is None else best_soft.argmax(dim=-1)
        assert told is not None, "labels are given, or sought"  # noqa: S101
        return best, told, matched

    def quasi_newton(self, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return guesses by L-BFGS from the same starts, and their objectives.

        In float64: near the end the objective changes by less than float32 tells apart.
        """
        goals = [[one.double() for one in goal] for goal in self.targets]
        models = [replace(part, model=deepcopy(part.model).double()) for part in self.problem.parts]
        engines = [self._engine(part, goal) for part, goal in zip(models, goals, strict=True)]

        def value_and_slope(flat: Tensor) -> tuple[Tensor, Tensor]:
            guess = flat.reshape(x.shape).requires_grad_()
            found = [engine.objective(guess, labels, goal) for engine, goal in zip(engines, goals, strict=True)]
            value = torch.stack(found).mean(dim=0)
            return value.detach(), torch.autograd.grad(value.sum(), guess)[0].reshape(flat.shape)

        flat = descend(value_and_slope, x.double().flatten(1), self.budget.quasi_newton)
        found = self._boxed(flat.reshape(x.shape).to(x.dtype))
        with torch.no_grad():
            return found, self.objective(found, labels)

    def objective(self, x: Tensor, y: Tensor | None) -> Tensor:
        """Return the mean over the parts of 1 - cos, shape (T,)."""
        assert y is not None, "labels are given, or sought"  # noqa: S101
        found = [engine.objective(x, y, goal) for engine, goal in zip(self.engines, self.targets, strict=True)]
        return found[0] if len(found) == 1 else torch.stack(found).mean(dim=0)

    def _prior(self, x: Tensor) -> Tensor:
        picture = self.problem.picture
        if picture is None or not self.problem.prior:
            return x.new_zeros(len(x))
        return self.problem.prior * total_variation(x.reshape(len(x), -1, *picture))

    def _boxed(self, x: Tensor) -> Tensor:
        return torch.minimum(torch.maximum(x, self.low), self.high)

    def _target(self, target: Sequence[Tensor]) -> list[Tensor]:
        if self.cases == 1:
            return [one[0].to(self.device) for one in target]  # shared by all starts
        return [one.to(self.device).repeat_interleave(self.budget.restarts, dim=0) for one in target]

    def _engine(self, part: Part, goal: Sequence[Tensor]) -> Chunked:
        return choose_engine(
            part.model, goal, self.trials, self.device, shape=self.problem.shape, matching=self.problem.matching,
            training=self.problem.training, name=self.budget.engine,
        )  # fmt: skip
