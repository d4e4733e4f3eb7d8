"""Training anew without the forget set: as the recipe says, or in a quarter of the rounds with momentum."""

from typing import ClassVar

from unlearning.federated.methods.base import PREFIX, Method, Setting, UnlearningResult, Walk, continued, retained_round
from unlearning.federated.needs import Needs
from unlearning.federated.recipe import AtLeastOne, Momentum, Positive
from unlearning.federated.rounds import Phase

SHARE_OF_ROUNDS = 4
"""Rapid retraining takes the recipe's rounds over this, rounded down: at least as many times less work."""


class Retrain(Method):
    """The recipe, from fresh weights, on what is retained: what all others are measured against."""

    name: ClassVar[str] = "retrain"
    exact: ClassVar[bool] = True
    needs: ClassVar[Needs] = Needs(base=False)

    def run(self, setting: Setting) -> UnlearningResult:
        """Return models that have never seen the forget set."""
        walk = Walk(setting, setting.engine.initial(PREFIX))
        for _ in range(setting.recipe.rounds):
            walk.go(Phase("train", setting.retained, setting.recipe, prefix=PREFIX))
        return UnlearningResult(walk.models)


class RapidRetrain(Method):
    """Retraining with client and server momentum, in fewer rounds; exact by construction.

    The idea is Liu et al. 2022 (INFOCOM, arXiv:2203.07320); theirs is second-order, this is plain momentum.
    """

    name: ClassVar[str] = "rapid-retrain"
    exact: ClassVar[bool] = True
    needs: ClassVar[Needs] = Needs(base=False)

    rounds: AtLeastOne | None = None
    """Rounds of training; None for a quarter of the recipe's, rounded down."""
    momentum: Momentum = 0.9
    """Of the clients' steps."""
    server_momentum: Momentum = 0.5
    """Of the server's."""
    lr: Positive | None = None
    """Learning rate; None for the recipe's."""

    def run(self, setting: Setting) -> UnlearningResult:
        """Return models that have never seen the forget set."""
        recipe = setting.recipe.model_copy(update={
            "momentum": self.momentum,
            "server_momentum": self.server_momentum if setting.recipe.privacy is None else 0.0,
            "learning_rate": self.lr or setting.recipe.learning_rate,
        })  # fmt: skip
        walk = Walk(setting, setting.engine.initial(PREFIX))
        for _ in range(self.rounds or max(1, recipe.rounds // SHARE_OF_ROUNDS)):
            walk.go(Phase("train", setting.retained, recipe, prefix=PREFIX))
        return UnlearningResult(walk.models)


class FineTune(Method):
    """Some more rounds without the forget set: the folklore baseline."""

    name: ClassVar[str] = "finetune"
    needs: ClassVar[Needs] = Needs()

    rounds: AtLeastOne = 4
    """Retained rounds."""

    def run(self, setting: Setting) -> UnlearningResult:
        """Return the models before, trained on."""
        walk = Walk(setting, continued(setting.before))
        for _ in range(self.rounds):
            walk.go(retained_round(setting))
        return UnlearningResult(walk.models)
