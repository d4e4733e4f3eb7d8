"""What an engine trains: several models of one federation, a round of them, and what came of it.

Every model has generators of its own, so that neither how many there are nor which engine trains them changes what it
is given to learn, or in which order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from unlearning.federated.contributions import Generators
from unlearning.federated.data import ClientData, SimulatedFederation
from unlearning.federated.local import PLAIN, LocalSteps, Work
from unlearning.federated.recipe import TrainingRecipe

Stack = Mapping[str, Tensor]
"""State dicts of M models of one architecture, stacked: every tensor has the leading dimension M."""
PhaseKind = Literal["train", "max", "min", "post"]


@dataclass(frozen=True, eq=False)
class Models:
    """M models of one federation between two rounds."""

    tensors: Stack
    """Their state dicts."""
    rounds: int = 0
    """Rounds behind them."""
    velocity: Stack | None = None
    """The server's momentum, where it has any."""
    work: Work = field(default_factory=Work)
    """What *each* cost so far: the same for all where every client takes part in every round, else the mean."""

    def __len__(self) -> int:
        return len(next(iter(self.tensors.values())))


@dataclass(frozen=True, eq=False)
class Phase:
    """One round, whoever takes part and whatever they go down."""

    kind: PhaseKind
    """What the round is for."""
    shares: Mapping[int, ClientData]
    """The clients that may take part, and what each trains on; an empty share is left out."""
    recipe: TrainingRecipe
    """How: epochs, batch size, learning rate and the momenta of this round."""
    local: LocalSteps = PLAIN
    """What a client's steps go down; its teacher is `teacher`, and its radius `radius`, model by model."""
    teacher: Stack | None = None
    """The frozen models that the objective compares with, of as many as are trained."""
    prefix: str = ""
    """Put before the purposes of the generators, so that unlearning repeats no draw of the training."""
    radius: Tensor | None = None
    """How far from where it starts a client may go with each model, L2, shape (M,); None for any distance."""

    def holders(self) -> dict[int, ClientData]:
        """Return the clients that have something to train on, in order."""
        return {client: self.shares[client] for client in sorted(self.shares) if len(self.shares[client])}


@dataclass(frozen=True, eq=False)
class RoundOutcome:
    """What a round did, model by model."""

    weights: Mapping[int, Tensor]
    """By client: its weight in each model's mean, shape (M,); 0 where it took no part."""
    losses: Tensor
    """Mean loss over the clients, weighted as their updates, in nats; shape (M,)."""
    capped: Tensor
    """Share of examples that had reached the cap, weighted alike; shape (M,)."""
    update_norms: Tensor
    """L2 norm of each model's step, shape (M,)."""
    noise: float = 0.0
    """Standard deviation of the noise on the sum of the updates, a coordinate; 0 without privacy."""
    deltas: Mapping[int, Stack] = field(default_factory=dict)
    """By client: its updates, zero where it took no part; kept only where that was asked."""

    def participants(self, model: int) -> tuple[int, ...]:
        """Return the clients in the mean of one model, in order."""
        return tuple(client for client in sorted(self.weights) if float(self.weights[client][model]) > 0)


class Engine(Protocol):
    """Trains several models of one federation, round by round."""

    @property
    def name(self) -> str:
        """What a measurement's method calls it."""
        ...

    @property
    def federation(self) -> SimulatedFederation:
        """Whose models these are."""
        ...

    def __len__(self) -> int:
        """Return the number of models."""
        ...

    def generators(self) -> Sequence[Generators]:
        """Return each model's generators."""
        ...

    def initial(self, prefix: str = "") -> Models:
        """Return untrained models, each with initial weights of its own."""
        ...

    def round(self, models: Models, phase: Phase, *, record: bool = False) -> tuple[Models, RoundOutcome]:
        """Return the models after one more round, and what it did.

        Raises:
            unlearning.errors.TrainingDiverged: A loss is not finite.
        """
        ...

    def logits(self, stack: Stack, x: Tensor) -> Tensor:
        """Return each model's logits in evaluation mode, shape (M, n, C)."""
        ...


def stacked(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return state dicts as one stack."""
    return {name: torch.stack([state[name].detach() for state in states]) for name in states[0]}


def one_of(stack: Stack, model: int) -> dict[str, Tensor]:
    """Return the state dict of one model of a stack."""
    return {name: tensor[model] for name, tensor in stack.items()}


def some_of(stack: Stack, models: slice | Tensor) -> dict[str, Tensor]:
    """Return the stack of some models of a stack."""
    return {name: tensor[models] for name, tensor in stack.items()}


def joined(stacks: Sequence[Stack]) -> dict[str, Tensor]:
    """Return stacks, one after another, as one."""
    return {name: torch.cat([stack[name] for stack in stacks]) for name in stacks[0]}


def floating(stack: Stack) -> tuple[str, ...]:
    """Return the names of what training moves: all but counters."""
    return tuple(name for name, tensor in stack.items() if tensor.is_floating_point())


def norms(stack: Stack) -> Tensor:
    """Return each model's L2 norm over all its floating tensors, summed in float64; shape (M,)."""
    squares = [stack[name].double().reshape(len(stack[name]), -1).square().sum(1) for name in floating(stack)]
    return torch.stack(squares).sum(0).sqrt()


def less(after: Stack, before: Stack) -> dict[str, Tensor]:
    """Return the difference of two stacks."""
    return {name: tensor - before[name] for name, tensor in after.items()}


def spread(values: Tensor, like: Tensor) -> Tensor:
    """Return values of shape (M,) shaped so that they scale a stacked tensor model by model."""
    return values.to(like.dtype).reshape(-1, *[1] * (like.dim() - 1))


def train_models(
    engine: Engine,
    shares: Mapping[int, ClientData],
    recipe: TrainingRecipe,
    *,
    prefix: str = "",
    watch: "Watcher | None" = None,
    record: bool = False,
) -> Models:
    """Return untrained models after all rounds of a recipe on these shares.

    Args:
        engine: Trains.
        shares: By client.
        recipe: How, and for how many rounds.
        prefix: Of the generators' purposes.
        watch: Told of the models before and after each round, and what it did.
        record: Whether the clients' updates are kept for `watch`.
    """
    models = engine.initial(prefix)
    phase = Phase("train", shares, recipe, prefix=prefix)
    for _ in range(recipe.rounds):
        after, outcome = engine.round(models, phase, record=record)
        if watch is not None:
            watch(models, after, outcome)
        models = after
    return models


class Watcher(Protocol):
    """Told of every round of a training."""

    def __call__(self, before: Models, after: Models, outcome: RoundOutcome) -> None:
        """Learn what a round did."""
        ...


def bare(module: nn.Module) -> bool:
    """Tell whether a module has parameters alone, no running statistics."""
    return next(module.buffers(), None) is None
