"""The stacked engine: many models of one federation trained at once, one step of all of them as one batched product.

Every model keeps its own initial weights, its own draw of participants and its own order of batches, so that chunk
size, executor and engine change nothing but the order in which float32 sums are taken.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from unlearning.errors import TrainingDiverged, UnlearningError
from unlearning.federated.contributions import Generators
from unlearning.federated.data import ClientData, SimulatedFederation
from unlearning.federated.local import Work, batches
from unlearning.federated.recipe import TrainingRecipe
from unlearning.federated.rounds import (
    Models,
    Phase,
    RoundOutcome,
    Stack,
    Watcher,
    joined,
    less,
    norms,
    some_of,
    spread,
    stacked,
    train_models,
)
from unlearning.federated.stacked_steps import Program, program_of, stackable
from unlearning.federated.training import participants, seeded

__all__ = ["StackedFederation", "applicable"]

CHUNK = 32
"""Models that are trained together: their weights and a step's batches stay in a processor's cache."""
FORWARD_BATCH = 512
"""Examples in one forward pass without gradients, of every model of a chunk."""


def applicable(module: nn.Module) -> bool:
    """Tell whether models of this architecture are trained stacked: by rule, not by timing.

    Convolutions gain nothing from it on a processor; running statistics and dropout have a state or draw numbers that
    would have to be each model's own.
    """
    return stackable(module)


@dataclass(frozen=True, eq=False)
class StackedFederation:
    """Trains models of one federation `chunk` at a time; an `Engine`."""

    federation: SimulatedFederation
    """Whose models they are."""
    seeds: tuple[int, ...]
    """Of each model's generators."""
    chunk: int = CHUNK
    """Models trained together."""
    name: str = "stacked"
    """What a measurement's method calls it."""

    def __len__(self) -> int:
        return len(self.seeds)

    def generators(self) -> Sequence[Generators]:
        """Return each model's generators."""
        return [seeded(seed) for seed in self.seeds]

    def train(self, exclude: Sequence[int] = (), watch: Watcher | None = None, *, record: bool = False) -> Models:
        """Return the models after all rounds of the federation's recipe without some clients."""
        shares = {c: data for c, data in enumerate(self.federation.data.clients) if c not in exclude}
        return train_models(self, shares, self.federation.recipe, watch=watch, record=record)

    def initial(self, prefix: str = "") -> Models:
        """Return untrained models."""
        modules = [self.federation.build_model(one(f"{prefix}initialisation")) for one in self.generators()]
        return Models(stacked([module.state_dict() for module in modules]))

    def round(self, models: Models, phase: Phase, *, record: bool = False) -> tuple[Models, RoundOutcome]:
        """Return the models after one more round, and what it did.

        Raises:
            ValueError: The recipe clips and adds noise, which is done model by model: take the sequential engine.
            TrainingDiverged: A loss is not finite.
        """
        if phase.recipe.privacy is not None:
            raise ValueError("a round with differential privacy is trained by the sequential engine")
        program = program_of(self.federation.build_model(torch.Generator()))
        pieces = []
        for start in range(0, len(models), self.chunk):
            some = slice(start, start + self.chunk)
            teacher = None if phase.teacher is None else some_of(phase.teacher, some)
            radius = None if phase.radius is None else phase.radius[some]
            velocity = None if models.velocity is None else some_of(models.velocity, some)
            part = replace(models, tensors=some_of(models.tensors, some), velocity=velocity)
            asked = replace(phase, teacher=teacher, radius=radius)
            pieces.append(_round(program, part, asked, self.generators()[some], record))
        return _joined(models, [after for after, _ in pieces], [outcome for _, outcome in pieces])

    def logits(self, stack: Stack, x: Tensor) -> Tensor:
        """Return each model's logits, shape (M, n, C)."""
        program = program_of(self.federation.build_model(torch.Generator()))
        models = len(next(iter(stack.values())))
        rows = [
            _logits(program, some_of(stack, slice(start, start + self.chunk)), x)
            for start in range(0, models, self.chunk)
        ]
        return torch.cat(rows)


def _round(
    program: Program, models: Models, phase: Phase, generators: Sequence[Generators], record: bool
) -> tuple[Models, RoundOutcome]:
    """Return one chunk's models after a round; their work is what all of them together did in it."""
    number, recipe = models.rounds + 1, phase.recipe
    if not phase.holders():
        raise UnlearningError("training.nobody", "no client with examples is left", "Leave fewer clients out.")
    weights = _weights(phase, number, generators)
    total: dict[str, Tensor] = {name: torch.zeros_like(tensor) for name, tensor in models.tensors.items()}
    losses, capped = torch.zeros(2, len(models), dtype=torch.float64)
    work = Work()
    deltas: dict[int, Stack] = {}
    for client, data in phase.holders().items():
        who = weights[client].nonzero().flatten()
        if record:
            deltas[client] = {name: torch.zeros_like(tensor) for name, tensor in models.tensors.items()}
        if not len(who):
            continue
        own = [generators[int(m)](f"{phase.prefix}round/{number}/client/{client}/batches") for m in who]
        everybody = len(who) == len(models)
        start = models.tensors if everybody else some_of(models.tensors, who)
        teacher = phase.teacher if phase.teacher is None or everybody else some_of(phase.teacher, who)
        radius = None if phase.radius is None else phase.radius[who]
        moved = _locally(program, start, data, recipe, replace(phase, teacher=teacher, radius=radius), own)
        if not bool(torch.isfinite(moved.losses).all()):
            told = f"round {number}, client {client}: the loss is no longer finite"
            raise TrainingDiverged("training.diverged", told, f"Lower learning_rate (it is {recipe.learning_rate:g}).")
        delta = less(moved.after, start)
        share = weights[client][who]
        for name, tensor in delta.items():
            total[name].index_add_(0, who, tensor * spread(share, tensor))
        losses.index_add_(0, who, moved.losses * share)
        capped.index_add_(0, who, moved.capped * share)
        work += Work(moved.examples, len(data) * len(who) if phase.local.objective.needs_teacher else 0)
        for name, whole in deltas.get(client, {}).items():
            whole.index_copy_(0, who, delta[name])
    velocity: Stack = total
    if models.velocity is not None:
        velocity = {name: step + recipe.server_momentum * models.velocity[name] for name, step in total.items()}
    after = {name: tensor + velocity[name] for name, tensor in models.tensors.items()}
    outcome = RoundOutcome(weights, losses, capped, norms(less(after, models.tensors)), 0.0, deltas)
    return Models(after, number, velocity if recipe.server_momentum else None, work), outcome


def _weights(phase: Phase, number: int, generators: Sequence[Generators]) -> dict[int, Tensor]:
    """Return each client's weight in every model's mean, shape (M,)."""
    holders = phase.holders()
    drawn = [participants(holders, phase.recipe, number, _under(phase.prefix, one)) for one in generators]
    counts = {client: len(data) for client, data in holders.items()}
    totals = [sum(counts[client] for client in mine) for mine in drawn]
    return {
        client: torch.tensor(
            [counts[client] / total if client in mine else 0.0 for mine, total in zip(drawn, totals, strict=True)],
            dtype=torch.float64,
        )
        for client in holders
    }


@dataclass(frozen=True, eq=False)
class _Moved:
    """What one client's steps made of a chunk."""

    after: Stack
    losses: Tensor
    capped: Tensor
    examples: int
    """Gradients of single examples, of all models together."""


def _locally(
    program: Program,
    start: Stack,
    data: ClientData,
    recipe: TrainingRecipe,
    phase: Phase,
    own: Sequence[torch.Generator],
) -> _Moved:
    """Return what one client's local steps make of each model."""
    local = phase.local
    objective = local.objective
    taught = None
    if objective.needs_teacher:
        if phase.teacher is None:
            raise ValueError("this objective compares with a teacher, and none is given")
        taught = _logits(program, phase.teacher, data.x)
    tensors = {name: tensor.clone() for name, tensor in start.items()}
    momentum: dict[str, Tensor] = {}
    losses, capped, steps, examples = torch.zeros(4, len(own), dtype=torch.float64)
    going = torch.ones(len(own), dtype=torch.bool)
    rows = torch.arange(len(own)).unsqueeze(1)
    for chosen in zip(*[batches(len(data), recipe, one) for one in own], strict=True):
        batch = torch.stack(chosen)
        teacher = None if taught is None else taught[rows, batch]
        gradients, found = program.gradients(tensors, data.x[batch], data.y[batch], objective, teacher)
        loss = found.values.mean(1)
        if local.stop_at is not None:
            going &= ~(loss.abs() > local.stop_at)  # a loss that is not a number goes on, and is told of below
            if not bool(going.any()):
                break
        if local.gradient_clip is not None:
            factor = (local.gradient_clip / (norms(gradients) + 1e-6)).clamp_max(1.0)
            gradients = {name: tensor * spread(factor, tensor) for name, tensor in gradients.items()}
        for name, gradient in gradients.items():
            if recipe.momentum:
                momentum[name] = gradient + recipe.momentum * momentum[name] if name in momentum else gradient
                gradient = momentum[name]
            if local.stop_at is not None:  # with momentum, a gradient of zero would not stop a model
                gradient = gradient * spread(going, gradient)
            tensors[name].sub_(gradient, alpha=recipe.learning_rate)
        if phase.radius is not None:
            _project(tensors, start, gradients, phase.radius)
        losses += torch.where(going, loss, 0.0)
        capped += 0.0 if found.capped is None else (found.capped.sum(1) * going)
        steps += going
        examples += batch.shape[1] * going
    return _Moved(tensors, losses / steps.clamp_min(1), capped / examples.clamp_min(1), int(examples.sum()))


def _project(tensors: dict[str, Tensor], centre: Stack, names: Iterable[str], radius: Tensor) -> None:
    """Move each model's tensors of these names to the nearest point of its ball round `centre`."""
    moved = {name: tensors[name] - centre[name] for name in names}
    distances = norms(moved)
    outside = distances > radius
    for name, step in moved.items():
        nearest = centre[name] + step * spread(radius / distances.clamp_min(1e-300), step)
        tensors[name] = torch.where(outside.reshape(-1, *[1] * (step.dim() - 1)), nearest, tensors[name])


def _logits(program: Program, stack: Stack, x: Tensor) -> Tensor:
    models = len(next(iter(stack.values())))
    rows = [program.logits(stack, piece.expand(models, *piece.shape)) for piece in torch.split(x, FORWARD_BATCH)] or [
        program.logits(stack, x.expand(models, *x.shape))
    ]
    return torch.cat(rows, dim=1)


def _under(prefix: str, generator: Generators) -> Generators:
    return lambda purpose: generator(prefix + purpose)


def _shared(works: Sequence[Work], models: int) -> Work:
    """Return what a model did, on average, where these are what all did together."""
    together = sum(works, Work())
    return Work(round(together.example_gradients / models), round(together.teacher_forwards / models))


def _joined(models: Models, parts: Sequence[Models], outcomes: Sequence[RoundOutcome]) -> tuple[Models, RoundOutcome]:
    """Return the chunks as one."""
    velocities = [part.velocity for part in parts if part.velocity is not None]
    after = Models(
        joined([part.tensors for part in parts]),
        models.rounds + 1,
        joined(velocities) if velocities else None,
        models.work + _shared([part.work for part in parts], len(models)),
    )
    clients = outcomes[0].weights
    return after, RoundOutcome(
        {client: torch.cat([one.weights[client] for one in outcomes]) for client in clients},
        torch.cat([one.losses for one in outcomes]),
        torch.cat([one.capped for one in outcomes]),
        torch.cat([one.update_norms for one in outcomes]),
        0.0,
        {client: joined([one.deltas[client] for one in outcomes]) for client in outcomes[0].deltas},
    )
