"""f-FUM: the forget clients go away from the frozen teacher by an f-divergence, the retained ones go back to it.

    start ─▶ (max by the forget clients ─▶ min by the retained ones) x rounds ─▶ keep the best ─▶ post rounds

Source: Karimian et al., arXiv:2602.06187, and its predecessor SCRUB with rewinding (Kurmanji et al. 2023,
arXiv:2302.09880); the loop in detail, the direction guard and the reset are ours.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field

from reports.nouns import Count, FiniteNumber
from unlearning.errors import UnlearningError
from unlearning.federated.contributions import Generators
from unlearning.federated.data import ClientData
from unlearning.federated.divergences import Divergence, divergence
from unlearning.federated.local import LocalSteps
from unlearning.federated.methods.base import (
    PREFIX,
    Method,
    Progress,
    Setting,
    UnlearningResult,
    Walk,
    continued,
    mean_loss,
    retained_round,
)
from unlearning.federated.methods.max_phase import go_carefully, usual_rate
from unlearning.federated.needs import Needs
from unlearning.federated.objectives import Distillation, GuardedDivergence
from unlearning.federated.recipe import AtLeastOne, Momentum, Positive, TrainingRecipe
from unlearning.federated.rounds import Models, Phase, Stack, floating, norms, spread
from unlearning.federated.twins import label_matched

Name = Literal["kl", "reverse-kl", "js", "chi2", "hellinger", "tv", "alpha"]
Weight = Annotated[FiniteNumber, Field(ge=0)]

STILL = 1e-6
"""Relative change of the weights below which a max phase did nothing."""
MOSTLY_CAPPED = 0.9
_NO_WARNINGS: tuple[str, ...] = ()
_OTHER_TWIN = "the twin has other labels than the forget set, so that no round was chosen by it: the last was kept"


class FFUM(Method):
    """f-divergence federated unlearning, directed by default."""

    name: ClassVar[str] = "ffum"
    needs: ClassVar[Needs] = Needs(forget_client=True, single_client_update=True)

    divergence: Name = "kl"
    """Of the max phase, from the teacher to the student."""
    order: Positive = 1.5
    """Of the alpha divergence."""
    retain_divergence: Name = "js"
    """Of the min phase."""
    cap: Positive | None = None
    """Value from which an example's divergence pulls no more; None for the divergence's own."""
    margin: Weight = 0.01
    """How much less likely than to the teacher a label must be before the divergence takes over."""
    direction: Literal["label", "none"] = "label"
    """`none`: no guard. An f-divergence has no sign, so that this can teach what it should forget."""
    kick: Weight = 1e-3
    """Of undirected ascent: length of the random step off the teacher, over the weights' norm."""
    reset: Annotated[str, Field(pattern=r"^(none|init|rewind:[0-9]{1,6})$")] = "none"
    """Where the student starts: at the teacher, at fresh weights (only the min phase runs), at a recorded round."""
    rounds: AtLeastOne | None = None
    """Unlearning rounds; None for 3, or a quarter of the recipe's from fresh weights."""
    max_epochs: AtLeastOne = 2
    """Local epochs of a max phase."""
    post_rounds: Count | None = None
    """Retained rounds after it; None for 2, or 0 from fresh weights."""
    alpha: Weight | None = None
    """Weight of the min phase's divergence; None for 0.5, or 0.25 from fresh weights."""
    gamma: Weight = 1.0
    """Weight of the min phase's cross-entropy."""
    lr_max: Positive | None = None
    """Learning rate of the max phase; None for 0.05, or 0.02 where there are convolutions."""
    lr_min: Positive | None = None
    """Learning rate of the min phase; None for the recipe's."""
    clip_max: Positive = 1.0
    """Bound on a step's gradient in the max phase."""
    clip_min: Positive = 5.0
    """The same in the min phase."""
    momentum: Momentum | None = None
    """Clients' momentum in the min phase; None for the recipe's, or 0.9 from fresh weights."""
    tol: Weight = 0.05
    """How near to the twin's loss is near enough, in nats, and by how much the retained loss may grow, as a share."""

    def run(self, setting: Setting) -> UnlearningResult:
        """Return the models after; a run with nothing to forget skips the max phases."""
        fresh = self.reset == "init"
        walk = Walk(setting, self._start(setting))
        chooses = setting.kept is None and not fresh and bool(setting.forgetting) and setting.twin is not None
        comparable = chooses and setting.twin is not None and label_matched(setting.split.forgotten, setting.twin)
        chosen = _Best(self, setting) if comparable else None
        rounds = setting.kept if setting.kept is not None else self._rounds(setting)
        progress: Progress = "ok"
        capped = 0.0
        for number in range(1, rounds + 1):
            if setting.forgetting and not fresh:
                capped = self._go_away(setting, walk, first=number == 1)
                if number == 1 and setting.kept is None and still(setting.before, walk.models):
                    told = "the first max phase did not move the model: the method did not act"
                    return UnlearningResult(continued(setting.before), "none", 0, (told,))
            walk.go(self.min_phase(setting.retained, setting.recipe, setting.before.tensors))
            if chosen is not None and chosen.done(number, walk.models):
                break
        kept, warnings = rounds, (_OTHER_TWIN,) if chooses and not comparable else _NO_WARNINGS
        if chosen is not None:
            best, kept, warnings = chosen.take()
            walk.models = replace(best, rounds=walk.models.rounds, work=walk.models.work)
        for _ in range(self._post_rounds()):
            walk.go(retained_round(setting))
        if setting.degraded:
            progress, warnings = "degraded", (*warnings, "a forget client did not answer: fine-tuning only")
        elif capped > MOSTLY_CAPPED:
            progress = "capped"
            warnings = (*warnings, f"{capped:.0%} of the forget examples had reached the cap of the divergence")
        return UnlearningResult(walk.models, progress, kept, warnings, capped)

    def _rounds(self, setting: Setting) -> int:
        if self.rounds is not None:
            return self.rounds
        return max(1, setting.recipe.rounds // 4) if self.reset == "init" else 3

    def _post_rounds(self) -> int:
        if self.post_rounds is not None:
            return self.post_rounds
        return 0 if self.reset == "init" else 2

    def _start(self, setting: Setting) -> Models:
        """Return where the student starts."""
        if self.reset == "init":
            return setting.engine.initial(PREFIX)
        if self.reset == "none":
            return continued(setting.before)
        wanted = int(self.reset.partition(":")[2])
        if wanted not in setting.history.globals:
            known = ", ".join(map(str, sorted(setting.history.globals))) or "none"
            told = f"reset = {self.reset!r}: the global model of round {wanted} is not recorded (there are: {known})"
            raise UnlearningError("unlearning.recording", told, "Record global_models = 'all', or take another round.")
        return Models(setting.history.globals[wanted], setting.before.rounds)

    def max_phase(
        self, shares: Mapping[int, ClientData], recipe: TrainingRecipe, teacher: Stack, *, slower: float = 1.0
    ) -> Phase:
        """Return the round in which clients go away from the teacher on what they are to forget.

        Args:
            shares: By client: what it forgets.
            recipe: Of the federation.
            teacher: The frozen models before.
            slower: What the learning rate is divided by.
        """
        measure = divergence(self.divergence, order=self.order, cap=self.cap)
        objective = GuardedDivergence(measure, self.cap or measure.cap, self.margin, self.direction == "label")
        rate = self.lr_max or usual_rate(teacher)
        away = recipe.model_copy(update={
            "local_epochs": self.max_epochs, "local_steps": None, "learning_rate": rate / slower, "momentum": 0.0,
            "server_momentum": 0.0, "clients_per_round": 0,
        })  # fmt: skip
        local = LocalSteps(objective, gradient_clip=self.clip_max, frozen_statistics=True)
        return Phase("max", shares, away, local, teacher, prefix=PREFIX)

    def min_phase(self, shares: Mapping[int, ClientData], recipe: TrainingRecipe, teacher: Stack) -> Phase:
        """Return a retained round that stays near the teacher; arguments as in `max_phase`."""
        fresh = self.reset == "init"
        alpha = self.alpha if self.alpha is not None else (0.25 if fresh else 0.5)
        momentum = self.momentum if self.momentum is not None else (0.9 if fresh else recipe.momentum)
        measure: Divergence = divergence(self.retain_divergence, order=self.order, cap=math.inf)
        back = recipe.model_copy(update={
            "local_epochs": recipe.local_epochs if fresh else 1,
            "learning_rate": self.lr_min or recipe.learning_rate,
            "momentum": momentum,
        })  # fmt: skip
        local = LocalSteps(Distillation(measure, alpha, self.gamma), gradient_clip=self.clip_min)
        return Phase("min", shares, back, local, teacher, prefix=PREFIX)

    def _go_away(self, setting: Setting, walk: Walk, *, first: bool) -> float:
        """Let the forget clients go away from the teacher; return the share of examples that are capped.

        Raises:
            TrainingDiverged: It diverged at half the learning rate too.
        """
        if first and self.direction == "none":
            walk.models = self.kicked(walk.models, setting.engine.generators())
        teacher = setting.before.tensors
        done = go_carefully(
            walk, lambda slower: self.max_phase(setting.forgetting, setting.recipe, teacher, slower=slower)
        )
        return float(done.capped.mean())

    def kicked(self, models: Models, generators: Sequence[Generators]) -> Models:
        """Return the models a short random step away: the teacher itself is a stationary point."""
        lengths = norms(models.tensors)
        steps = {name: torch.empty_like(models.tensors[name]) for name in floating(models.tensors)}
        for model, generator in enumerate(generators):
            source = generator(f"{PREFIX}kick")
            for step in steps.values():
                step[model] = torch.randn(step[model].shape, generator=source, dtype=step.dtype)
        factors = self.kick * lengths / norms(steps).clamp_min(math.ulp(0.0))
        tensors = dict(models.tensors) | {
            name: models.tensors[name] + step * spread(factors, step) for name, step in steps.items()
        }
        return replace(models, tensors=tensors)


class _Best:
    """The rewind rule: of the rounds that kept what is retained, the one whose forget loss is nearest to the twin's."""

    def __init__(self, method: FFUM, setting: Setting) -> None:
        if len(setting.before) != 1:
            raise ValueError("the rewind rule chooses for one model; give `kept` to run several")
        self._tol, self._setting = method.tol, setting
        self._allowed = (1 + method.tol) * self._loss(setting.before, "retained")
        self._seen: list[tuple[float, float, int, Models]] = []

    def done(self, number: int, models: Models) -> bool:
        """Learn of a round's end, and tell whether it is near enough to stop."""
        distance = abs(self._loss(models, "forget") - self._loss(models, "twin"))
        retained = self._loss(models, "retained")
        self._seen.append((distance, retained, number, models))
        return distance <= self._tol and retained <= self._allowed

    def take(self) -> tuple[Models, int, tuple[str, ...]]:
        """Return the kept models, their round, and what there is to warn of."""
        useful = [one for one in self._seen if one[1] <= self._allowed]
        if useful:
            _, _, number, models = min(useful, key=lambda one: one[:1])
            return models, number, ()
        _, retained, number, models = min(self._seen, key=lambda one: one[1])
        told = f"no round kept the retained loss within {self._allowed:.3g} (the least was {retained:.3g})"
        return models, number, (f"{told}: lower lr_max or max_epochs",)

    def _loss(self, models: Models, of: Literal["retained", "forget", "twin"]) -> float:
        setting = self._setting
        data = {"retained": setting.split.retained, "forget": setting.split.forgotten, "twin": setting.twin}[of]
        if data is None:
            raise ValueError("the rewind rule compares with a twin set, and there is none")
        return float(mean_loss(setting.engine, models.tensors, data).mean())


def still(before: Models, after: Models) -> bool:
    """Tell whether the weights of every model stood still."""
    moved = norms({name: after.tensors[name] - before.tensors[name] for name in floating(before.tensors)})
    return bool((moved < STILL * norms(before.tensors)).all())
