"""Training backwards on what is to be forgotten, freely or within a ball; then some rounds without it."""

from typing import ClassVar

import torch
from torch import Tensor

from reports.nouns import Count
from unlearning.federated.local import LocalSteps
from unlearning.federated.methods.base import (
    PREFIX,
    Method,
    Setting,
    UnlearningResult,
    Walk,
    continued,
    retained_round,
)
from unlearning.federated.methods.max_phase import go_carefully, usual_rate
from unlearning.federated.methods.recorded import added, departed, last_local_models
from unlearning.federated.needs import Needs
from unlearning.federated.objectives import Ascent
from unlearning.federated.recipe import AtLeastOne, Momentum, Positive
from unlearning.federated.rounds import Models, Phase, Stack, less, norms

INITIALISATIONS = 10
"""Random models that the ball's radius is measured by."""
SHARE_OF_DISTANCE = 1 / 3
"""The radius, over their mean distance from its centre."""


class GradientAscent(Method):
    """One round of the forget clients up the cross-entropy, then retained rounds: the folklore baseline."""

    name: ClassVar[str] = "ascent"
    needs: ClassVar[Needs] = Needs(forget_client=True, single_client_update=True)

    max_epochs: AtLeastOne = 2
    """Local epochs of the ascent."""
    lr_max: Positive | None = None
    """Learning rate of the ascent; None for 0.05, or 0.02 where there are convolutions."""
    clip_max: Positive = 1.0
    """Bound on a step's gradient in the ascent."""
    momentum: Momentum = 0.0
    """Of the ascent's steps."""
    post_rounds: Count = 4
    """Retained rounds after it."""

    def run(self, setting: Setting) -> UnlearningResult:
        """Return the models after; a run with nothing to forget, or nobody who answers, skips the ascent."""
        walk = Walk(setting, continued(setting.before))
        if setting.forgetting:
            self._ascend(setting, walk)
        for _ in range(self.post_rounds):
            walk.go(retained_round(setting))
        if setting.degraded:
            return UnlearningResult(walk.models, "degraded", warnings=("a forget client did not answer",))
        return UnlearningResult(walk.models)

    def _ascend(self, setting: Setting, walk: Walk) -> None:
        self._go_up(setting, walk, LocalSteps(Ascent(), gradient_clip=self.clip_max, frozen_statistics=True), None)

    def _go_up(self, setting: Setting, walk: Walk, local: LocalSteps, radius: Tensor | None) -> None:
        rate = self.lr_max or usual_rate(walk.models.tensors)

        def phase(slower: float) -> Phase:
            recipe = setting.recipe.model_copy(update={
                "local_epochs": self.max_epochs, "local_steps": None, "learning_rate": rate / slower,
                "momentum": self.momentum, "server_momentum": 0.0, "clients_per_round": 0,
            })  # fmt: skip
            return Phase("max", setting.forgetting, recipe, local, prefix=PREFIX, radius=radius)

        go_carefully(walk, phase)


class ProjectedAscent(GradientAscent):
    """Ascent within a ball round the mean of the others' models, then retained rounds.

    Source: Halimi et al. 2022, arXiv:2207.05521, and github.com/IBM/federated-unlearning, whose stop is a distance;
    here, as everywhere, a loss says when it is enough.
    """

    name: ClassVar[str] = "projected-ascent"
    needs: ClassVar[Needs] = Needs(
        forget_client=True, single_client_update=True, stored_updates=True, whole_clients=True
    )

    max_epochs: AtLeastOne = 5
    """Local epochs of the ascent, at most."""
    momentum: Momentum = 0.9
    """Of the ascent's steps."""
    stop_at: Positive = 2.2
    """Cross-entropy of a batch, in nats, from which a client stops; guessing one of ten classes has 2.30."""

    def _ascend(self, setting: Setting, walk: Walk) -> None:
        centre = self._without(setting)
        walk.models = Models(centre, walk.models.rounds)
        local = LocalSteps(Ascent(), gradient_clip=self.clip_max, frozen_statistics=True, stop_at=self.stop_at)
        self._go_up(setting, walk, local, _radius(setting, centre))

    def _without(self, setting: Setting) -> Stack:
        """Return w_ref = (N w - w_c) / (N - 1), with 1 / N the client's weight in the last mean; of several alike.

        A model in whose last round nobody else took part has no such mean, and stays as it is.
        """
        leaving = last_local_models(setting, self.name, departed(setting, self.name))
        if not leaving:
            return setting.before.tensors
        taken = torch.stack([weight for weight, _ in leaving.values()]).sum(0)
        left = torch.where(taken < 1, 1 - taken, 1.0)
        shares = {client: torch.where(taken < 1, -weight / left, 0.0) for client, (weight, _) in leaving.items()}
        steps = {client: less(theirs, setting.before.tensors) for client, (_, theirs) in leaving.items()}
        return added(setting.before.tensors, steps, shares)


def _radius(setting: Setting, centre: Stack) -> Tensor:
    """Return a third of the mean distance from `centre` to fresh initialisations, shape (M,)."""
    fresh = [setting.engine.initial(f"{PREFIX}ball/{number}/") for number in range(INITIALISATIONS)]
    return torch.stack([norms(less(one.tensors, centre)) for one in fresh]).mean(0) * SHARE_OF_DISTANCE
