"""All batches of a client's local training at once, found by matching what the training changed.

A delta of several steps is no gradient, so the steps are simulated: every batch of every epoch has guesses of its own,
the client's descent is run on them, and the guesses are moved until the simulated delta points where the recorded one
does (Dimitrov et al. 2022, arXiv:2206.12395). The order within an epoch is not known and does not matter: epochs hold
the same records, so the means of their guesses are pulled together (section 4.2 there), and in the end a record is the
mean of the guesses that fit one another best.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.func import grad, vmap

from audit.attacks.matching import Budget, Part, Problem
from audit.attacks.matching import Search as Search
from audit.attacks.matching import reconstruct as matched
from audit.engines.base import PLAIN, Chunked, LocalTraining, Matching
from audit.engines.sequential import Sequential
from audit.engines.vmap import Vmap

EPOCH_WEIGHT = 0.1
"""Of the order-invariant prior, beside an objective in [0, 2]."""
ORDERS = 8
"""Orders of the labels that are tried where steps see batches: which label stood in which batch is not known."""
AGREEMENT = 1e-3
"""Largest difference of the vectorised steps and the sequential ones on a probe, where the former are taken."""


@dataclass(frozen=True, eq=False)
class Reconstructed:
    """What both readings of the deltas gave, in the model's units, on the CPU."""

    one_step: Tensor
    """Taking the delta for a gradient, shape (n, B, *shape)."""
    one_step_objective: Tensor
    """1 - cos of the deltas that the first reading gives when the steps are simulated on it, shape (n,)."""
    simulated: Tensor
    """Simulating the steps, shape (n, r, *shape); r is B, or fewer where the steps saw fewer records."""
    simulated_objective: Tensor
    """1 - cos of the deltas that it gives, shape (n,)."""
    engine: str
    """Which engines did it."""


class VmapSteps(Vmap):
    """The objective of a client's training, with one vectorised descent for all trials of a chunk."""

    def __init__(
        self,
        model: nn.Module,
        training: LocalTraining,
        device: str | torch.device = "cpu",
        matching: Matching = PLAIN,
    ) -> None:
        """Copy `model`, whose operators need batching rules; `training` says what the client did."""
        super().__init__(model, device, matching)
        self.training = training
        self._gradients = vmap(self._change, in_dims=(None, 0, 0))

    def chunk(self, x: Tensor) -> int:
        """Return as many trials as fit where each keeps the parameters of every step."""
        return max(1, super().chunk(x) // (self.training.steps + 1))

    def _change(self, parameters: dict[str, Tensor], x: Tensor, y: Tensor) -> dict[str, Tensor]:
        here = parameters
        for step in range(self.training.steps):
            rows = self.training.rows(step, len(x))
            slopes = grad(self._loss)(here, x[rows], y[rows])
            here = {name: value - self.training.learning_rate * slopes[name] for name, value in here.items()}
        return {name: here[name] - value for name, value in parameters.items()}


def steps_engine(
    model: nn.Module,
    training: LocalTraining,
    records: int,
    shape: tuple[int, ...],
    device: torch.device,
    matching: Matching = PLAIN,
    name: str = "auto",
) -> Chunked:
    """Return the engine for simulated steps: vectorised where that gives what one trial after another gives.

    Args:
        model: In the mode the client had it in.
        training: What the client did.
        records: Guesses of a trial.
        shape: Of one record.
        device: Where to compute.
        matching: What is compared.
        name: The engine that is asked for; "factored" cannot simulate steps and counts as "auto".
    """
    plain = Sequential(model, device, matching, training)
    if name == "sequential":
        return plain
    fast = VmapSteps(model, training, device, matching)
    noise = torch.randn((2, records, *shape), generator=torch.Generator().manual_seed(0))
    x = noise.to(device=device, dtype=next(iter(plain.parameters.values())).dtype)
    y = torch.zeros((2, records), dtype=torch.int64, device=device)
    target = [torch.ones_like(parameter) for parameter in plain.parameters.values()]
    try:
        found = fast.objective(x, y, target)
    except (RuntimeError, ValueError, AttributeError):  # an operator without a batching rule, a model with a state
        return plain
    return fast if torch.allclose(found, plain.objective(x, y, target), rtol=0.0, atol=AGREEMENT) else plain


def slots(records: int, training: LocalTraining) -> int:
    """Return how many guesses the steps take: one a record where each step sees all, else one a record and epoch."""
    size = training.batch_size or records
    return records if size >= records else training.steps * size


def merged(guesses: Tensor, labels: Tensor, records: int) -> Tensor:
    """Return the records of one trial: of whole epochs the mean, guesses matched with those of the first epoch.

    Args:
        guesses: One a record and epoch, shape (K, *shape).
        labels: Of each, shape (K,); guesses of different labels are not matched.
        records: Records of an epoch.

    Returns:
        Shape (min(K, records), *shape).
    """
    from scipy.optimize import linear_sum_assignment

    first = guesses[:records]
    total, epochs = first.clone(), len(guesses) // records
    for epoch in range(1, epochs):
        part = slice(epoch * records, (epoch + 1) * records)
        cost = torch.cdist(first.flatten(1).double(), guesses[part].flatten(1).double()) ** 2
        apart = labels[:records, None] != labels[None, part]
        _, order = linear_sum_assignment((cost + apart * (cost.max() + 1) * records).numpy())
        total += guesses[part][order]
    return total / max(epochs, 1)


def reconstruct(problem: Problem, budget: Budget, generator: torch.Generator) -> Reconstructed:
    """Return what the deltas of local training tell, first as if of one step, then with the steps simulated.

    What the first reading gives is one start of the second; in every other order, where several are tried. Without
    local steps both are the same.

    Args:
        problem: Changes of the parameters, or gradients where `training` is None; `labels`, if known, one a record.
        budget: How long to search, for either reading.
        generator: Draws the starts.
    """
    training = problem.training
    if training is None:
        only = matched(problem, budget, generator)
        return Reconstructed(only.records, only.objective, only.records, only.objective, only.engine)
    uphill = [replace(part, target=[-one for one in part.target]) for part in problem.parts]
    first = matched(replace(problem, parts=tuple(uphill), training=None), budget, generator)
    orders = _orders(first.labels, training, generator)
    several = orders.shape[1] > 1
    which = torch.arange(orders.shape[1]).repeat_interleave(budget.restarts if several else budget.restarts + 1)
    warm = torch.arange(len(which)) % (2 * budget.restarts) == 0 if several else torch.arange(len(which)) == 0
    rows = torch.arange(len(orders))[:, None, None]
    dealt = orders[:, which][:, :, _taken(problem.batch, training)]  # (n, tries, K)
    labels = first.labels[rows, dealt]
    size = dealt.shape[2]
    search = _Steps(
        replace(problem, batch=size, labels=labels[:, 0]), replace(budget, restarts=len(which)), problem.batch
    )
    every = labels.flatten(0, 1).to(search.device)
    start = search.start(generator)
    begun = warm.repeat(len(orders)).to(start.device)
    start[begun] = first.records[rows, dealt[:, warm]].flatten(0, 1).to(start.device)
    with torch.no_grad():
        given = search.objective(start, every).reshape(len(orders), -1)[:, warm].min(dim=1).values
    guesses, _, values = search.adam(start, every)
    best = values.nan_to_num(nan=math.inf).reshape(len(orders), -1).argmin(dim=1)
    chosen = torch.arange(len(best), device=best.device) * len(which) + best
    found = [
        merged(guess, own, problem.batch) for guess, own in zip(guesses[chosen].cpu(), every[chosen].cpu(), strict=True)
    ]
    engines = " then ".join(dict.fromkeys((first.engine, search.name)))
    return Reconstructed(first.records, given.cpu(), torch.stack(found), values[chosen].cpu(), engines)


def fit(problem: Problem, records: Tensor, budget: Budget) -> Tensor:
    """Return 1 - cos of the deltas that training on given records makes, shape (n,); NaN counts as 2.

    Args:
        problem: With labels.
        records: In the model's units, shape (n, B, *shape).
        budget: Says where to compute.
    """
    assert problem.labels is not None, "what records give depends on their labels"  # noqa: S101
    taken = torch.arange(len(records[0])) if problem.training is None else _taken(problem.batch, problem.training)
    labels = problem.labels[:, taken]
    search = _Steps(replace(problem, batch=len(taken), labels=labels), replace(budget, restarts=1), problem.batch)
    with torch.no_grad():
        found = search.objective(records[:, taken].to(search.device), search.repeated(labels))
    return found.nan_to_num(nan=2.0).cpu()


def _orders(labels: Tensor, training: LocalTraining, generator: torch.Generator) -> Tensor:
    """Return orders in which the records may have been dealt out to steps, shape (n, orders, B), the given one first.

    One where each step sees all records, or no label differs.
    """
    n, records = labels.shape
    whole = (training.batch_size or records) >= records or bool((labels == labels[:, :1]).all())
    drawn = torch.rand((n, 1 if whole else ORDERS, records), generator=generator)
    drawn[:, 0] = torch.arange(records)
    return drawn.argsort(dim=2)


def _taken(records: int, training: LocalTraining) -> Tensor:
    """Return which record each guess stands for."""
    return torch.arange(slots(records, training)) % records


class _Steps(Search):
    """The search with simulated steps and the order-invariant prior."""

    def __init__(self, problem: Problem, budget: Budget, records: int) -> None:
        self.records = records
        super().__init__(problem, budget)

    def _engine(self, part: Part, goal: Sequence[Tensor]) -> Chunked:
        problem = self.problem
        if problem.training is None:
            return super()._engine(part, goal)
        return steps_engine(
            part.model, problem.training, problem.batch, problem.shape, self.device, problem.matching,
            self.budget.engine,
        )  # fmt: skip

    def _prior(self, x: Tensor) -> Tensor:
        """Return the prior of pictures, and the mean squared distance of the epochs' mean guesses from their mean."""
        epochs = x.shape[1] // self.records
        means = x[:, : epochs * self.records].reshape(len(x), epochs, self.records, -1).mean(dim=2)
        apart = ((means - means.mean(dim=1, keepdim=True)) ** 2).flatten(1).mean(dim=1) if epochs > 1 else 0.0
        return super()._prior(x) + EPOCH_WEIGHT * apart
