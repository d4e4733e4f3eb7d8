"""The runs behind V8: models are shown the forgotten examples again, step by step, and their loss is watched.

    delivered ─┐
    references ┼─▶ one step of gradient descent on the forget set ─▶ loss on it ─▶ … until it is the original's again
    originals ─┘

All take the same batches in the same order. Originals are the control: they are what has something to remember.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unlearning.errors import TrainingDiverged
from unlearning.federated.data import ClientData, SimulatedFederation
from unlearning.federated.local import LocalSteps
from unlearning.federated.objectives import cross_entropies
from unlearning.federated.oracles import engine_for
from unlearning.federated.recipe import TrainingRecipe
from unlearning.federated.rounds import Engine, Models, Phase, Stack, joined, some_of, stacked
from unlearning.verification.relearn import TOLERANCE, Anamnesis, anamnesis_index, relearn_steps
from unlearning.verification.scores import Array

__all__ = ["LEARNERS", "Relearning", "relearning"]

LEARNERS = 8
"""References that learn again, and originals: their spread is what an index is held against."""
RATE_SHARE = 0.1
"""Of the recipe's learning rate: with all of it retrained models need 3 to 18 steps on handwritten digits, too few to
compare; with a tenth 25 to 174."""
MOST_STEPS = 500
"""Of a model."""
PATIENCE = 10
"""Times the slowest reference's steps, after which the delivered model is waited for no longer."""
MOST_EXAMPLES = 1_000
"""Forgotten examples, evenly spaced, that are learnt."""


@dataclass(frozen=True, eq=False)
class Relearning:
    """Mean losses on the forget set before the first step and after each, in nats."""

    goal: float
    """Loss of the model before; reached where it is exceeded by 5 % at most."""
    delivered: Array
    """Of the delivered model, shape (steps + 1,)."""
    references: Array
    """Of retrained models, shape (R, steps + 1)."""
    originals: Array
    """Of models that saw it, shape (O, steps + 1): the control."""
    learning_rate: float
    """Of the steps."""
    examples: int
    """How many were learnt."""
    chance: float
    """Loss of a model that gives every class alike, in nats."""

    @property
    def steps(self) -> int:
        """How many were tried."""
        return len(self.delivered) - 1

    @property
    def reached_at(self) -> float:
        """The loss that counts as the original's."""
        return (1 + TOLERANCE) * self.goal

    def index(self) -> Anamnesis:
        """Return the delivered model's steps over the references' mean."""
        return self._index(self.delivered)

    def control(self) -> float | None:
        """Return the originals' mean index: what remembering looks like; None where there is no index."""
        found = [self._index(curve).value for curve in self.originals]
        known = [value for value in found if value is not None]
        return float(np.mean(known)) if known else None

    def _index(self, curve: Array) -> Anamnesis:
        references = [relearn_steps(one, self.goal) for one in self.references]
        return anamnesis_index(relearn_steps(curve, self.goal), references, budget=self.steps)


def relearning(
    federation: SimulatedFederation,
    forget: ClientData,
    *,
    before: Mapping[str, Tensor],
    delivered: Mapping[str, Tensor],
    references: Stack,
    originals: Stack,
    seed: int,
) -> Relearning | None:
    """Return how the loss on the forget set falls when it is learnt again; None where that training diverges.

    Plain gradient descent at a tenth of the recipe's learning rate, on batches of its size; running statistics stay as
    they are. Of references and originals the first eight learn.

    Args:
        federation: Its model and recipe.
        forget: What is learnt.
        before: State dict of the model before, whose loss is what is to be reached.
        delivered: State dict of the delivered model.
        references: Retrained models, two at least.
        originals: Models that saw the forget set.
        seed: Of the batches.
    """
    if len(forget) > MOST_EXAMPLES:
        forget = forget.take(np.linspace(0, len(forget) - 1, MOST_EXAMPLES).round().astype(np.int64))
    first, some = slice(0, LEARNERS), stacked([delivered])
    held = [some, some_of(references, first), some_of(originals, first)]
    sizes = [len(next(iter(stack.values()))) for stack in held]
    engine = engine_for(federation, (seed,) * sum(sizes))
    recipe = federation.recipe
    rate = RATE_SHARE * recipe.learning_rate
    steps = TrainingRecipe(rounds=1, local_steps=1, batch_size=recipe.batch_size, learning_rate=rate)
    phase = Phase("train", {0: forget}, steps, LocalSteps(frozen_statistics=True), prefix="relearning/")
    goal = float(_loss(engine, Models(stacked([before])), forget)[0])
    losses = _losses(engine, Models(joined(held)), phase, (1 + TOLERANCE) * goal, 1 + sizes[1])
    if losses is None:
        return None
    own, theirs, control = np.split(losses, np.cumsum(sizes)[:-1])
    classes = engine.logits(some, forget.x[:1]).shape[-1]
    return Relearning(goal, own[0], theirs, control, rate, len(forget), math.log(classes))


def _losses(engine: Engine, models: Models, phase: Phase, enough: float, asked: int) -> Array | None:
    """Return the models' mean losses, shape (M, steps + 1), until the first `asked` of them have got there.

    The first of all is waited for as long as `PATIENCE` says.
    """
    (data,) = phase.shares.values()
    found = [_loss(engine, models, data)]
    arrived: int | None = None
    for step in range(MOST_STEPS):
        least = np.min(found, axis=0)[:asked] <= enough
        if arrived is None and least[1:].all():
            arrived = step
        if least.all() or (arrived is not None and step >= PATIENCE * max(arrived, 1)):
            break
        try:
            models, _ = engine.round(models, phase)
        except TrainingDiverged:
            return None
        found.append(_loss(engine, models, data))
        if not np.isfinite(found[-1]).all():
            return None
    return np.stack(found, axis=1)


def _loss(engine: Engine, models: Models, data: ClientData) -> Array:
    """Return each model's mean loss, shape (M,)."""
    logits = engine.logits(models.tensors, data.x).double()
    labels = data.y.expand(len(logits), -1)
    with torch.no_grad():
        return np.asarray(cross_entropies(logits, labels).mean(1).numpy())
