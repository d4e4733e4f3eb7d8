"""Take back all that the forget clients have sent, then learn the old model's answers again from public data."""

from typing import ClassVar

from reports.nouns import Count
from unlearning.errors import UnlearningError
from unlearning.federated.divergences import divergence
from unlearning.federated.local import LocalSteps
from unlearning.federated.methods.base import (
    PREFIX,
    Method,
    Setting,
    UnlearningResult,
    Walk,
    retained_round,
)
from unlearning.federated.methods.recorded import added, departed, require_updates, updates_of
from unlearning.federated.needs import Needs
from unlearning.federated.objectives import Distillation
from unlearning.federated.recipe import AtLeastOne, Momentum, Positive
from unlearning.federated.rounds import Models, Phase, Stack


class KnowledgeDistillation(Method):
    """Subtracts the clients' recorded updates, each with the weight it had, and distils the model before.

    The server distils alone, on public data whose labels it does not read: temperature^2 KL(p_T||q_T), which keeps the
    gradients' size whatever the temperature. In transcripts the server bears the number after the last client's.

    Source: Wu et al. 2022, arXiv:2201.09441.
    """

    name: ClassVar[str] = "distillation"
    needs: ClassVar[Needs] = Needs(stored_updates=True, unlabelled_data=True, whole_clients=True)

    rounds: AtLeastOne = 4
    """Rounds of distillation, of as many epochs as a client's are."""
    temperature: Positive = 3.0
    """Both sides' logits are divided by it."""
    momentum: Momentum = 0.9
    """Of the server's steps."""
    clip_min: Positive = 1.0
    """Bound on a step's gradient: what is left after subtracting may be far from any model."""
    post_rounds: Count = 0
    """Retained rounds after it."""

    def run(self, setting: Setting) -> UnlearningResult:
        """Return the models after; with nothing to forget nothing is subtracted, and the rest is done."""
        if setting.unlabelled is None:
            told = "distillation needs public data, and there is none"
            raise UnlearningError(
                "unlearning.data", told, "Name data.holdout in federation.toml, or take another method."
            )
        walk = Walk(setting, Models(self._subtracted(setting), setting.before.rounds))
        recipe = setting.recipe.model_copy(update={
            "momentum": self.momentum, "server_momentum": 0.0, "clients_per_round": 0, "privacy": None,
        })  # fmt: skip
        towards = Distillation(divergence("kl"), self.temperature**2, 0.0, self.temperature)
        local = LocalSteps(towards, gradient_clip=self.clip_min)
        public = {len(setting.split.retain): setting.unlabelled}
        for _ in range(self.rounds):
            walk.go(Phase("min", public, recipe, local, setting.before.tensors, PREFIX))
        for _ in range(self.post_rounds):
            walk.go(retained_round(setting))
        return UnlearningResult(walk.models)

    def _subtracted(self, setting: Setting) -> Stack:
        """Return the models before, less every weighted update of the clients that go."""
        tensors = setting.before.tensors
        leaving = departed(setting, self.name)
        if not leaving:
            return tensors
        numbers = range(1, setting.before.rounds + 1)
        require_updates(setting, self.name, numbers)
        for number in numbers:
            updates = updates_of(setting, self.name, number)
            theirs = {client: updates[client] for client in leaving if client in updates}
            weights = setting.history.weights[number]
            tensors = added(tensors, theirs, {client: -weights[client] for client in theirs})
        return tensors
