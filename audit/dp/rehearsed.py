"""From a declared system to the scores of rehearsed canaries: which mechanism, which model, whose data."""

from collections.abc import Callable

import torch

from audit.dp.accounting import completed
from audit.dp.canary_scores import CanaryScores
from audit.dp.lower_bound import LEAST_CANARIES
from audit.dp.rehearsal import Mechanism, canary_count, rehearse
from audit.load import input_scale, read_records
from audit.twin import Scale
from reports.check import Context
from reports.model import Federation, System
from unlearning.federated.data import ClientData
from unlearning.federated.partition import equal_shards
from unlearning.federated.recipe import TrainingRecipe
from unlearning.models import load_model

MOST_STEPS = 1000
"""Released sums that are rehearsed; fewer would leave less than is claimed."""
MOST_CLIENTS = 20
"""Honest clients; they are the same for every canary and only move the model."""
ROLES = ("members", "retain", "reference")
"""Whose records the honest clients hold, the first that is declared."""


class Unrehearsed(Exception):  # noqa: N818  it says what happened
    """The mechanism cannot be rehearsed."""

    def __init__(self, word: str, sentence: str) -> None:
        super().__init__(word, sentence)
        self.word, self.sentence = word, sentence


def rehearsed_scores(system: System, ctx: Context) -> CanaryScores:
    """Return the scores of canaries in a rehearsal of the declared mechanism, and in one without its noise.

    Raises:
        Unrehearsed: it is not declared in full, not of clients, too long, or the model is too small for canaries.
        unlearning.errors.UnlearningError: the model cannot be built, or does not learn.
        reports.errors.FedauditError: a file cannot be used.
    """
    federation = system.federation
    mechanism = _mechanism(federation)
    if federation is None or system.model is None or system.model.checkpoint is None:
        raise Unrehearsed("no-checkpoint", "No checkpoint is declared that a rehearsal could start from.")
    module = load_model(system.model, ctx.folder, trust_code=ctx.options.trust_code)
    room = canary_count(sum(parameter.numel() for parameter in module.parameters()))
    if room < LEAST_CANARIES:
        raise Unrehearsed("model-size", f"The model has room for {room} canaries; {LEAST_CANARIES} are needed.")
    clients = _clients(system, federation, ctx)
    recipe = TrainingRecipe(
        rounds=1,
        local_epochs=federation.local_epochs or 1,
        local_steps=federation.local_steps,
        batch_size=federation.batch_size or 32,
        learning_rate=federation.learning_rate or 0.01,
    )
    runs = []
    for purpose, noise in (("system", mechanism.noise_multiplier), ("control", 0.0)):
        own = Mechanism(mechanism.clipping_norm, noise, mechanism.steps, mechanism.sampling, mechanism.sampling_rate)
        rng = ctx.rng(f"rehearsal/{purpose}")
        runs.append(rehearse(module, clients, recipe, own, rng, _orders(ctx, purpose), ctx.progress))
    return CanaryScores(*runs)


def _mechanism(federation: Federation | None) -> Mechanism:
    if federation is None or federation.differential_privacy is None:
        raise Unrehearsed("no-mechanism", "No mechanism is declared that could be rehearsed.")
    declared = completed(federation.differential_privacy, federation)
    if declared.unit == "example":
        raise Unrehearsed("example-level", "The noise hides single examples; canaries are rehearsed as clients.")
    rate = 1.0 if declared.sampling == "full" else declared.sampling_rate
    norm, noise, steps = declared.clipping_norm, declared.noise_multiplier, declared.steps
    if norm is None or not noise or steps is None or declared.sampling is None or not rate:
        raise Unrehearsed("half-declared", "The mechanism is not declared in full, so it cannot be rehearsed.")
    if steps > MOST_STEPS:
        raise Unrehearsed("steps", f"{steps} sums are declared; a rehearsal runs {MOST_STEPS} at most.")
    return Mechanism(norm, noise, steps, declared.sampling, rate)


def _clients(system: System, federation: Federation, ctx: Context) -> list[ClientData]:
    """Return the honest clients: declared records of a classifier, dealt out evenly; none where there are none."""
    entries = {
        entry.role: (index, entry.path) for index, entry in enumerate(system.data) if entry.path.path.endswith(".npz")
    }
    role = next((role for role in ROLES if role in entries), None)
    if role is None or system.model is None or system.model.task == "regression" or (system.model.classes or 0) < 2:
        return []
    index, artifact = entries[role]
    truth = read_records(system, artifact, ctx.folder, f"data[{index}]")
    number = min(federation.clients_per_round or federation.clients or MOST_CLIENTS, MOST_CLIENTS, len(truth))
    whole = ClientData(Scale(*input_scale(system)).normalised(truth.x), truth.y)
    return [whole.take(shard) for shard in equal_shards(len(truth), number, ctx.rng("rehearsal/clients"))]


def _orders(ctx: Context, run: str) -> Callable[[str], torch.Generator]:
    return lambda purpose: ctx.generator(f"rehearsal/{run}/{purpose}")
