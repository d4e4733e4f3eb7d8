"""What every method of unlearning is given, and how it runs: rounds of a federation, of one model or of many at once.

A method is a noun whose fields are its parameters. It is written once, over an engine and M models: the same words make
the delivered model (M = 1, on the sequential engine) and the auditor's sixty-four matched references.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor

from reports.nouns import Noun
from unlearning.errors import TrainingDiverged
from unlearning.federated.data import ClientData
from unlearning.federated.local import LocalSteps
from unlearning.federated.needs import Needs
from unlearning.federated.objectives import cross_entropies
from unlearning.federated.recipe import TrainingRecipe
from unlearning.federated.request import Split
from unlearning.federated.rounds import Engine, Models, Phase, PhaseKind, RoundOutcome, Stack, less, norms

__all__ = [
    "PREFIX",
    "History",
    "Method",
    "RoundNote",
    "Setting",
    "UnlearningResult",
    "Walk",
    "continued",
    "mean_loss",
    "retained_round",
]

PREFIX = "unlearn/"
"""Before the purposes of every draw of a method, so that none repeats one of the training."""
Progress = Literal["ok", "none", "capped", "degraded"]


@dataclass(frozen=True, eq=False)
class History:
    """What was recorded of the trainings that gave the models before."""

    globals: Mapping[int, Stack] = field(default_factory=dict)
    """By round, 0 for the untrained ones: the global models after it."""
    updates: Mapping[int, Mapping[int, Stack]] = field(default_factory=dict)
    """By round, from 1, and client: its updates."""
    weights: Mapping[int, Mapping[int, Tensor]] = field(default_factory=dict)
    """By round and client: its weight in each model's mean, shape (M,)."""


@dataclass(frozen=True, eq=False)
class RoundNote:
    """What a watcher is told of an executed round."""

    index: int
    """Counted from 1, or from the rounds behind the model before."""
    kind: PhaseKind
    """What the round was for."""
    after: Models
    """The models after it."""
    outcome: RoundOutcome
    """What it did."""
    work: int
    """Gradients of single examples that it took, of one model."""
    teacher_forwards: int = 0
    """Forward passes of single examples through the frozen teacher, of one model."""
    loss_forget: float | None = None
    """Mean cross-entropy on the forget set after it, in nats, over the models; None where nothing is forgotten."""
    loss_twin: float | None = None
    """The same on the twin set; None without one."""


@dataclass(frozen=True, eq=False)
class Setting:
    """A federation that is asked to forget."""

    engine: Engine
    """Trains its models; knows federation, recipe and seeds."""
    split: Split
    """What is to be forgotten, and what stays; an empty forget set for a control."""
    before: Models
    """The models before."""
    history: History = field(default_factory=History)
    """What was recorded of their training."""
    offline: frozenset[int] = frozenset()
    """Clients that do not answer."""
    twin: ClientData | None = None
    """Held-out data like the forget set; what a forgotten set should look like."""
    unlabelled: ClientData | None = None
    """Public data, whose labels no method reads."""
    watch: Callable[[RoundNote], None] | None = None
    """Told of every executed round."""
    kept: int | None = None
    """Unlearning rounds to run, as the delivered model's transcript has them; None where the method decides."""

    @property
    def recipe(self) -> TrainingRecipe:
        """How the federation trains."""
        return self.engine.federation.recipe

    @property
    def retained(self) -> dict[int, ClientData]:
        """By client that answers and still holds any: what stays."""
        held = enumerate(self.split.retain)
        return {client: data for client, data in held if len(data) and client not in self.offline}

    @property
    def forgetting(self) -> dict[int, ClientData]:
        """By client that answers: what it is to forget."""
        return {client: data for client, data in self.split.forget.items() if client not in self.offline}

    @property
    def degraded(self) -> bool:
        """Whether some client that is to forget does not answer."""
        return any(client in self.offline for client in self.split.forget)

    def without_forgetting(self, kept: int | None) -> "Setting":
        """Return the same setting with an empty forget set: what stays, stays, and nothing is left to forget."""
        return replace(self, split=Split({}, self.split.retain, {}), kept=kept)


@dataclass(frozen=True, eq=False)
class UnlearningResult:
    """What a method made of the models before."""

    models: Models
    """The models after; their work is the method's own."""
    progress: Progress = "ok"
    """`none`: the method did not act; `capped`: its divergence was; `degraded`: a forget client did not answer."""
    kept: int | None = None
    """The unlearning round whose model was kept, for a method that chooses."""
    warnings: tuple[str, ...] = ()
    """What whoever relies on this should know."""
    capped_share: float = 0.0
    """Share of forget examples that had reached the cap in the last max phase."""


class Method(Noun):
    """A way to make a federation forget; its fields are its parameters."""

    name: ClassVar[str]
    """As requests and transcripts name it."""
    exact: ClassVar[bool] = False
    """Whether its result has never seen the forget set, by construction."""
    needs: ClassVar[Needs] = Needs()
    """What it must be given."""

    @abstractmethod
    def run(self, setting: Setting) -> UnlearningResult:
        """Return the models after.

        Raises:
            TrainingDiverged: A loss is not finite; names the round and the parameter to lower.
            unlearning.errors.UnlearningError: Something that the method needs is missing.
        """

    def control(self, setting: Setting, kept: int | None = None) -> Models:
        """Return what the same method makes of the models before with nothing to forget: the matched reference.

        Source: Sekhari et al. 2021, arXiv:2103.03279, definition 2.

        Args:
            setting: Where `before` are retrained models (for references) or originals, and `split` what they hold.
            kept: Unlearning rounds of the delivered model, for a method that chooses them.
        """
        return self.run(setting.without_forgetting(kept)).models


Server = Callable[[Models, RoundOutcome], Stack]
"""Told the models before a round and what its clients sent; returns those after it."""


class Walk:
    """The rounds of one run of a method: counts them, sums their cost, tells the watcher."""

    def __init__(self, setting: Setting, start: Models) -> None:
        self.setting = setting
        self.models = start
        self.outcome: RoundOutcome | None = None
        """What the last round did."""

    def go(self, phase: Phase, *, server: Server | None = None) -> RoundOutcome:
        """Train one more round.

        Args:
            phase: What for, by whom and how.
            server: What makes the global models of the updates; where None, the server adds their weighted mean.

        Raises:
            TrainingDiverged: A loss or a weight is not finite; the models are those before the round.
        """
        before = self.models
        after, outcome = self.setting.engine.round(before, phase, record=server is not None)
        if server is not None:
            after = replace(after, tensors={**after.tensors, **server(before, outcome)}, velocity=None)
            outcome = replace(outcome, update_norms=norms(less(after.tensors, before.tensors)), deltas={})
        if not all(bool(torch.isfinite(tensor).all()) for tensor in after.tensors.values()):
            told = f"round {after.rounds}: a weight is no longer finite"
            mend = f"Lower the learning rate of the {phase.kind} phase (it is {phase.recipe.learning_rate:g})."
            raise TrainingDiverged("training.diverged", told, mend)
        self.models, self.outcome = after, outcome
        if (watch := self.setting.watch) is not None:
            watch(RoundNote(
                after.rounds, phase.kind, after, outcome,
                after.work.example_gradients - before.work.example_gradients,
                after.work.teacher_forwards - before.work.teacher_forwards,
                self._loss(self.setting.split.forgotten if self.setting.split.forget else None),
                self._loss(self.setting.twin),
            ))  # fmt: skip
        return outcome

    def _loss(self, data: ClientData | None) -> float | None:
        return None if data is None else float(mean_loss(self.setting.engine, self.models.tensors, data).mean())


def continued(models: Models) -> Models:
    """Return models to go on from: the server's momentum and the count of work start anew."""
    return Models(models.tensors, models.rounds)


def retained_round(setting: Setting, kind: PhaseKind = "post", *, local: LocalSteps | None = None) -> Phase:
    """Return a round of the recipe over the clients that still hold data."""
    return Phase(kind, setting.retained, setting.recipe, local or LocalSteps(), prefix=PREFIX)


def mean_loss(engine: Engine, stack: Stack, data: ClientData) -> Tensor:
    """Return each model's mean cross-entropy on `data`, in nats, float64; shape (M,)."""
    logits = engine.logits(stack, data.x).double()
    return cross_entropies(logits, data.y.expand(len(logits), -1)).mean(1)
