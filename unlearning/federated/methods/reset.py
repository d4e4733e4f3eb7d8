"""Methods that spoil or go back before they train on: a negated layer, a faded model, an early one."""

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import nn

from reports.nouns import Count, FiniteNumber
from unlearning.errors import UnlearningError
from unlearning.federated.divergences import divergence
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
from unlearning.federated.methods.ffum import Weight
from unlearning.federated.methods.recorded import global_models
from unlearning.federated.methods.retrain import SHARE_OF_ROUNDS
from unlearning.federated.needs import Needs
from unlearning.federated.objectives import Distillation
from unlearning.federated.recipe import AtLeastOne, Momentum, Positive
from unlearning.federated.rounds import Models, Phase, floating

EARLY = 5
"""Rewinding goes back to the recipe's rounds over this."""


class Negation(Method):
    """NoT: the first layer's weights change sign, then retained rounds find their way back without the forget set.

    Source: Khalil et al. 2025 (CVPR), arXiv:2503.05657, where the layer is convolutional.
    """

    name: ClassVar[str] = "negation"
    needs: ClassVar[Needs] = Needs()

    post_rounds: Count = 4
    """Retained rounds after it."""

    def run(self, setting: Setting) -> UnlearningResult:
        """Return the models after; with nothing to forget the layer is negated all the same."""
        weight, convolutional = first_layer(setting.engine.federation.build_model(torch.Generator()))
        start = continued(setting.before)
        walk = Walk(setting, Models({**start.tensors, weight: -start.tensors[weight]}, start.rounds))
        for _ in range(self.post_rounds):
            walk.go(retained_round(setting))
        if convolutional:
            return UnlearningResult(walk.models)
        told = f"this model has no convolution, for which negation was made: {weight}, its first layer's, was negated"
        return UnlearningResult(walk.models, warnings=(told,))


def first_layer(module: nn.Module) -> tuple[str, bool]:
    """Return the name of the weight that negation turns, and whether its layer is convolutional.

    Raises:
        UnlearningError: No layer has a weight of two dimensions or more.
    """
    for name, layer in module.named_modules():
        if isinstance(layer, nn.modules.conv._ConvNd):
            return f"{name}.weight".lstrip("."), True
    for name, parameter in module.named_parameters():
        if parameter.dim() > 1:
            return name, False
    told = "negation turns the weights of a layer, and this model has none of two dimensions or more"
    raise UnlearningError("unlearning.model", told, "Take another method, such as rapid-retrain.")


class MomentumDegradation(Method):
    """MoDe: the model fades towards a random one, then retained rounds learn the faded-out answers again.

    Every round of degradation: w <- keep w + (1 - keep) w_random. Then the guidance: retained rounds down
    alpha KL(p||q) + gamma CE, p the model before. The forget set is used nowhere.

    Source: Zhao et al. 2024 (IEEE IoT-J), doi:10.1109/JIOT.2023.3321594, of which we know the abstract.
    """

    name: ClassVar[str] = "momentum-degradation"
    needs: ClassVar[Needs] = Needs()

    rounds: AtLeastOne = 5
    """Rounds of degradation; they take no gradient."""
    keep: Annotated[FiniteNumber, Field(ge=0, lt=1)] = 0.9
    """Share of the model that a round of degradation keeps."""
    post_rounds: Count = 4
    """Rounds of guidance."""
    alpha: Weight = 1.0
    """Weight of the divergence from the model before, in the guidance."""
    gamma: Weight = 1.0
    """Weight of the cross-entropy in the guidance."""

    def run(self, setting: Setting) -> UnlearningResult:
        """Return the models after; with nothing to forget they are degraded all the same."""
        noise = setting.engine.initial(f"{PREFIX}degradation/").tensors
        tensors = dict(setting.before.tensors)
        for _ in range(self.rounds):
            tensors |= {name: self.keep * tensors[name] + (1 - self.keep) * noise[name] for name in floating(tensors)}
        walk = Walk(setting, Models(tensors, setting.before.rounds))
        local = LocalSteps(Distillation(divergence("kl"), self.alpha, self.gamma))
        for _ in range(self.post_rounds):
            phase = Phase("min", setting.retained, setting.recipe, local, setting.before.tensors, PREFIX)
            walk.go(phase)
        return UnlearningResult(walk.models)


class Rewind(Method):
    """Goes back to an early global model and trains on from there without the forget set, with momentum.

    The early model has seen the forget set, though not for long; under secure aggregation its server has it.
    """

    name: ClassVar[str] = "rewind"
    needs: ClassVar[Needs] = Needs(base=False, stored_globals=True)

    start: AtLeastOne | None = None
    """The recorded round to go back to; None for the last one recorded up to a fifth of the recipe's."""
    rounds: AtLeastOne | None = None
    """Retained rounds; None for a quarter of the recipe's, rounded down."""
    momentum: Momentum = 0.9
    """Of the clients' steps."""
    server_momentum: Momentum = 0.5
    """Of the server's."""
    lr: Positive | None = None
    """Learning rate; None for the recipe's."""

    def run(self, setting: Setting) -> UnlearningResult:
        """Return the models after."""
        recipe = setting.recipe.model_copy(update={
            "momentum": self.momentum,
            "server_momentum": self.server_momentum if setting.recipe.privacy is None else 0.0,
            "learning_rate": self.lr or setting.recipe.learning_rate,
        })  # fmt: skip
        early = global_models(setting, self.name, self.start or self._early(setting))
        walk = Walk(setting, Models(early, setting.before.rounds))
        for _ in range(self.rounds or max(1, recipe.rounds // SHARE_OF_ROUNDS)):
            walk.go(Phase("post", setting.retained, recipe, prefix=PREFIX))
        return UnlearningResult(walk.models)

    def _early(self, setting: Setting) -> int:
        """Return the round to go back to: a fifth of the recipe's where none before it is recorded."""
        fifth = max(1, setting.recipe.rounds // EARLY)
        return max((number for number in setting.history.globals if 0 < number <= fifth), default=fifth)
