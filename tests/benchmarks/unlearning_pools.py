"""Many models of one case, trained at once: what a method leaves, over seeds, and what it is held against.

    trained on all      ─▶ the method as asked                 unlearned
    trained without F   ─▶ the method with nothing to forget   matched     the references
    trained on all      ─▶ the method with nothing to forget   originals   other seeds: what remembering looks like
    trained without F                                          control     fresh ones, which nothing tells apart

As `unlearning.federated.oracles` does for one method; here the trainings are shared by all methods.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from torch import Tensor
from unlearning_cases import Case

from unlearning.federated.data import ClientData
from unlearning.federated.methods import History, Method, Setting, UnlearningResult
from unlearning.federated.methods.retrain import Retrain
from unlearning.federated.oracles import engine_for, model_seeds
from unlearning.federated.request import Split
from unlearning.federated.rounds import Engine, Models, RoundOutcome, Stack, some_of, train_models
from unlearning.verification.scores import logit_confidence

Array = npt.NDArray[np.float64]

HOLDING = ("unlearned", "originals")
"""Sides whose trainings have seen the forget set."""


@dataclass(frozen=True, eq=False)
class Trained:
    """Models of one case after its recipe, and what was recorded on the way."""

    engine: Engine
    models: Models
    history: History


class Pools:
    """The models of one case, `models` on each side."""

    def __init__(self, case: Case, models: int, *, updates: bool) -> None:
        self.case, self.models, self._updates = case, models, updates
        self._trained: dict[str, Trained] = {}

    def trained(self, side: str) -> Trained:
        """Return the models of a side before the method, trained once."""
        if side not in self._trained:
            engine = engine_for(self.case.federation, model_seeds(self.case.seed, side, self.models))
            self._trained[side] = with_history(engine, self._held(side), updates=self._updates)
        return self._trained[side]

    def first(self, side: str, models: int) -> Trained:
        """Return the first models of a side before the method, where no more of them are needed."""
        if side in self._trained:
            trained = self._trained[side]
            few = slice(0, models)
            return replace(trained, models=replace(trained.models, tensors=some_of(trained.models.tensors, few)))
        engine = engine_for(self.case.federation, model_seeds(self.case.seed, side, models))
        return with_history(engine, self._held(side), updates=False)

    def made(self, method: Method, side: str, kept: int | None) -> Stack:
        """Return the models of a side after the method."""
        if method.name == Retrain.name:  # nothing but a training of the recipe, of which there are enough
            return self.trained({"unlearned": "control"}.get(side, side)).models.tensors
        trained = self.trained(side) if method.needs.base or method.needs.stored_globals else self._untrained(side)
        setting = Setting(
            trained.engine, Split({}, tuple(self._held(side).values()), {}), trained.models, trained.history,
            unlabelled=self.case.planted.data.holdout,
        )  # fmt: skip
        if side != "unlearned":
            return method.control(setting, kept).tensors
        asked = Setting(
            trained.engine, self.case.split, trained.models, trained.history,
            unlabelled=self.case.planted.data.holdout, kept=kept,
        )  # fmt: skip
        return method.run(asked).models.tensors

    def _untrained(self, side: str) -> Trained:
        engine = engine_for(self.case.federation, model_seeds(self.case.seed, side, self.models))
        return Trained(engine, Models({}), History())

    def logits(self, stack: Stack, data: ClientData) -> Tensor:
        """Return the answers of a side's models, shape (M, n, C)."""
        return self._untrained("unlearned").engine.logits(stack, data.x)

    def scores(self, stack: Stack) -> Array:
        """Return the logit confidences of the forget set, shape (M, n)."""
        forgotten = self.case.split.forgotten
        return logit_confidence(self.logits(stack, forgotten).numpy(), forgotten.y.numpy())

    def _held(self, side: str) -> dict[int, ClientData]:
        clients = self.case.federation.data.clients if side in HOLDING else self.case.split.retain
        return dict(enumerate(clients))


def delivered(case: Case, method: Method, trained: Trained) -> UnlearningResult:
    """Return what a method makes of one model that was trained on all."""
    setting = Setting(
        trained.engine, case.split, trained.models, trained.history,
        twin=case.planted.data.twin, unlabelled=case.planted.data.holdout,
    )  # fmt: skip
    return method.run(setting)


def with_history(engine: Engine, held: Mapping[int, ClientData], *, updates: bool = True) -> Trained:
    """Return models after the recipe, with all global models and, if asked, the clients' updates."""
    globals_: dict[int, Stack] = {}
    deltas: dict[int, Mapping[int, Stack]] = {}
    weights: dict[int, Mapping[int, Tensor]] = {}

    def watch(before: Models, after: Models, outcome: RoundOutcome) -> None:
        globals_.setdefault(before.rounds, before.tensors)
        globals_[after.rounds] = after.tensors
        weights[after.rounds] = outcome.weights
        if updates:
            deltas[after.rounds] = outcome.deltas

    models = train_models(engine, held, engine.federation.recipe, watch=watch, record=updates)
    return Trained(engine, models, History(globals_, deltas, weights))
