"""FedEraser: train anew without the forget set, in few short rounds, each as long a step as the recorded one was."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor

from reports.nouns import Count
from unlearning.errors import UnlearningError
from unlearning.federated.methods.base import PREFIX, Method, Server, Setting, UnlearningResult, Walk, retained_round
from unlearning.federated.methods.recorded import added, global_models, require_updates, updates_of
from unlearning.federated.needs import Needs
from unlearning.federated.recipe import AtLeastOne
from unlearning.federated.rounds import Models, Phase, RoundOutcome, Stack, norms

TINY = 1e-30
"""Norm below which an update has no direction."""


class FedEraser(Method):
    """Recalibrates stored updates: their lengths, and directions from a short training of those that stay.

    Every `interval` rounds: w <- w + sum_k wt_k |U_k| U'_k / |U'_k|, U as stored, U' from w with half of the epochs,
    over all of a client's parameters together. It starts from the untrained model.

    Source: Liu et al. 2021 (IWQoS), arXiv:2012.13891, section III; there the first stored updates are taken as they
    are, here they are recalibrated like the others, since the retained examples of a sample request are not theirs.
    """

    name: ClassVar[str] = "federaser"
    needs: ClassVar[Needs] = Needs(base=True, stored_globals=True, stored_updates=True)

    interval: AtLeastOne = 2
    """Recorded rounds that one recalibrated round stands for."""
    post_rounds: Count = 2
    """Retained rounds after it."""

    def run(self, setting: Setting) -> UnlearningResult:
        """Return the models after."""
        chosen = self._chosen(setting)
        walk = Walk(setting, Models(global_models(setting, self.name, 0)))
        recipe = setting.recipe.model_copy(update={
            "local_epochs": max(1, setting.recipe.local_epochs // 2), "server_momentum": 0.0, "clients_per_round": 0,
        })  # fmt: skip
        for number in chosen:
            stored, weights = updates_of(setting, self.name, number), setting.history.weights[number]
            took_part = {client for client, weight in weights.items() if bool((weight > 0).any())}
            shares = {client: data for client, data in setting.retained.items() if client in took_part}
            if shares:
                walk.go(Phase("train", shares, recipe, prefix=PREFIX), server=_recalibrated(stored, weights))
        for _ in range(self.post_rounds):
            walk.go(retained_round(setting))
        return UnlearningResult(walk.models)

    def _chosen(self, setting: Setting) -> Sequence[int]:
        """Return the first recorded round, and after each the next one that is `interval` later.

        Raises:
            UnlearningError: More than `interval` rounds lie between two recorded ones.
        """
        require_updates(setting, self.name, ())
        recorded = sorted(setting.history.updates)
        for earlier, later in pairwise([0, *recorded, setting.before.rounds]):
            if later - earlier > self.interval or not recorded:
                told = f"{self.name} needs clients' updates every {self.interval} rounds"
                missing = f"{told}, and none of the rounds {earlier + 1} to {later - 1} are recorded"
                mend = 'Record client_updates = "all" ([recording] of federation.toml)'
                hint = f"{mend}, raise interval, or take a method that needs none, such as rapid-retrain."
                raise UnlearningError("unlearning.recording", missing, hint)
        chosen = recorded[:1]
        for number in recorded:
            if number - chosen[-1] >= self.interval:
                chosen.append(number)
        return chosen


def _recalibrated(stored: Mapping[int, Stack], weights: Mapping[int, Tensor]) -> Server:
    """Return a server's step: the clients' new directions, at the stored lengths, of those a model had drawn."""

    def server(before: Models, outcome: RoundOutcome) -> Stack:
        present = {client: torch.where(weights[client] > 0, weight, 0.0) for client, weight in outcome.weights.items()}
        total = torch.stack(list(present.values())).sum(0).clamp_min(TINY)
        factors = {
            client: weight / total * norms(stored[client]) / norms(outcome.deltas[client]).clamp_min(TINY)
            for client, weight in present.items()
        }
        return added(before.tensors, outcome.deltas, factors)

    return server
