"""An engine that trains nothing and counts: who would take part, what would be sent, how many gradients it would take.

A method that is run on it says what it would cost, and what it lacks, in its own words.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from unlearning.errors import UnlearningError
from unlearning.federated.contributions import Generators
from unlearning.federated.data import SimulatedFederation
from unlearning.federated.engine import Sequential
from unlearning.federated.local import Work
from unlearning.federated.recipe import TrainingRecipe
from unlearning.federated.rounds import Models, Phase, RoundOutcome, Stack, floating, less
from unlearning.federated.training import participants, seeded

STEP = 1e-3
"""By how much a round moves every weight: enough for a method to see that something happened."""


class Rehearsal:
    """An `Engine` of one model whose rounds are only counted; what they would learn is not known.

    Rules that stop early do not stop here, so that the counts are upper ends.
    """

    name = "rehearsal"
    """What a measurement's method would call it."""

    def __init__(self, federation: SimulatedFederation) -> None:
        self.federation = federation
        """Whose model it is."""
        self.messages = 0
        """Models and updates sent between the server and the clients."""
        self._sequential = Sequential(federation, (federation.recipe.seed,))
        self._taught: set[int] = set()
        self._moved: Stack = {}
        self._step: Stack = {}

    def __len__(self) -> int:
        return 1

    def generators(self) -> Sequence[Generators]:
        """Return the one model's generators."""
        return self._sequential.generators()

    def initial(self, prefix: str = "") -> Models:
        """Return an untrained model."""
        return self._sequential.initial(prefix)

    def logits(self, stack: Stack, x: Tensor) -> Tensor:
        """Return the model's logits, shape (1, n, C)."""
        return self._sequential.logits(stack, x)

    def round(self, models: Models, phase: Phase, *, record: bool = False) -> tuple[Models, RoundOutcome]:
        """Return a model moved by a little, and who would have taken part.

        Raises:
            UnlearningError: No client with examples is left.
        """
        holders, number = phase.holders(), models.rounds + 1
        if not holders:
            raise UnlearningError("training.nobody", "no client with examples is left", "Leave fewer clients out.")
        draw = seeded(self.federation.recipe.seed)
        chosen = participants(tuple(holders), phase.recipe, number, lambda purpose: draw(phase.prefix + purpose))
        teaches = phase.local.objective.needs_teacher
        work = sum((
            Work(examples_taken(len(holders[one]), phase.recipe), len(holders[one]) if teaches else 0)
            for one in chosen
        ), models.work)  # fmt: skip
        clients = {one for one in chosen if one < len(self.federation.data.clients)}  # the server may train on its own
        self.messages += 2 * len(clients)
        if teaches:  # the teacher travels once
            self.messages += len(clients - self._taught)
            self._taught |= clients
        if models.tensors is not self._moved:  # once is enough: large models are not moved again every round
            names = floating(models.tensors)
            moved = {name: models.tensors[name] * (1 + STEP) + STEP for name in names}
            self._moved = {**models.tensors, **moved}
            self._step = less(self._moved, models.tensors)
        total = sum(len(holders[one]) for one in chosen)
        outcome = RoundOutcome(
            weights={one: torch.tensor([len(holders[one]) / total], dtype=torch.float64) for one in chosen},
            losses=torch.zeros(1), capped=torch.zeros(1), update_norms=torch.ones(1),
            deltas=dict.fromkeys(chosen, self._step) if record else {},
        )  # fmt: skip
        return replace(models, tensors=self._moved, rounds=number, velocity=None, work=work), outcome


def examples_taken(examples: int, recipe: TrainingRecipe) -> int:
    """Return how many gradients of single examples a client takes in a round: whole epochs, or `local_steps` steps."""
    if recipe.local_steps is None:
        return recipe.local_epochs * examples
    epochs, steps = divmod(recipe.local_steps, -(-examples // recipe.batch_size))
    return min(recipe.local_epochs * examples, epochs * examples + steps * recipe.batch_size)
