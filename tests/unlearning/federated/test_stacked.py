"""The sequential engine is plain torch, model by model; the stacked one is held to it."""

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from unlearning.errors import TrainingDiverged, UnlearningError
from unlearning.federated.data import ClientData
from unlearning.federated.divergences import DIVERGENCES, divergence
from unlearning.federated.engine import Sequential
from unlearning.federated.local import PLAIN, LocalSteps
from unlearning.federated.objectives import (
    Ascent,
    CrossEntropy,
    Distillation,
    GuardedDivergence,
    Objective,
    cross_entropies,
)
from unlearning.federated.recipe import ClientPrivacy
from unlearning.federated.rounds import Engine, Models, Phase, RoundOutcome, one_of, stacked
from unlearning.federated.stacked import StackedFederation, applicable
from unlearning.federated.stacked_steps import LinearChain, Vectorised, program_of
from unlearning.federated.training import seeded, train
from unlearning.models import cnn, mlp

Flatten = Callable[[Any], Tensor]
SEEDS = (11, 12, 13)
STEEP = ("chi2", "alpha")
KINDS: dict[str, LocalSteps] = {
    "plain": PLAIN,
    "clipped": LocalSteps(gradient_clip=0.3),
    "ascent": LocalSteps(Ascent(), gradient_clip=1.0),
    "ascent-until": LocalSteps(Ascent(), gradient_clip=1.0, stop_at=1.4),
    "undirected": LocalSteps(GuardedDivergence(divergence("kl"), 0.05, directed=False)),
    "near-the-teacher": LocalSteps(Distillation(divergence("js"), 0.5, 1.0), gradient_clip=5.0),
    "soft-labels": LocalSteps(Distillation(divergence("kl"), 9.0, 0.0, temperature=3.0)),
    **{
        f"guarded-{name}": LocalSteps(
            GuardedDivergence(divergence(name), divergence(name).cap), gradient_clip=0.1 if name in STEEP else 1.0
        )
        for name in DIVERGENCES
    },
}
TRYING = {"momentum": 0.9, "server_momentum": 0.5, "learning_rate": 0.05, "clients_per_round": 2, "local_steps": 3}
"""All at once that a recipe can ask of an engine."""


def phase_of(engine: Engine, local: LocalSteps, models: Models, **recipe: Any) -> Phase:
    """A round of all clients, that starts beside its teacher."""
    numbers = engine.federation.recipe.model_copy(update=recipe)
    teacher = engine.initial("teacher/").tensors
    return Phase("max", dict(enumerate(engine.federation.data.clients)), numbers, local, teacher, "test/")


def after(engine: Engine, local: LocalSteps, rounds: int, **recipe: Any) -> tuple[Models, list[RoundOutcome]]:
    models = engine.initial()
    phase = phase_of(engine, local, models, **recipe)
    outcomes = []
    for _ in range(rounds):
        models, outcome = engine.round(models, phase, record=True)
        outcomes.append(outcome)
    return models, outcomes


@pytest.mark.parametrize("kind", ["plain", "ascent", "near-the-teacher", "guarded-kl", "guarded-chi2"])
def test_one_round_of_many_models_is_theirs_one_by_one(scenes: Any, flattened: Flatten, kind: str) -> None:
    slow, fast = (after(engine, KINDS[kind], 1)[0] for engine in scenes.engines(scenes.federation(), *SEEDS))
    torch.testing.assert_close(flattened(fast.tensors), flattened(slow.tensors), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("kind", "recipe"), [("plain", {}), *[(kind, TRYING) for kind in KINDS]])
def test_five_rounds_agree_to_ten_digits(scenes: Any, flattened: Flatten, kind: str, recipe: dict[str, Any]) -> None:
    given = scenes.federation(dtype=torch.float64)
    (slow, told), (fast, heard) = (
        after(engine, KINDS[kind], 5, **recipe) for engine in scenes.engines(given, *SEEDS[:2])
    )
    torch.testing.assert_close(flattened(fast.tensors), flattened(slow.tensors), rtol=0, atol=1e-10)
    assert (fast.rounds, fast.work) == (slow.rounds, slow.work)
    for one, other in zip(told, heard, strict=True):
        torch.testing.assert_close(other.losses, one.losses, rtol=0, atol=1e-10)
        torch.testing.assert_close(other.capped, one.capped, rtol=0, atol=1e-10)
        torch.testing.assert_close(other.update_norms, one.update_norms, rtol=0, atol=1e-10)
        for model in range(2):
            assert other.participants(model) == one.participants(model)
        for client, delta in one.deltas.items():
            torch.testing.assert_close(flattened(other.deltas[client]), flattened(delta), rtol=0, atol=1e-10)


def test_both_engines_keep_each_model_within_its_own_ball(scenes: Any, flattened: Flatten) -> None:
    ends = []
    radius = torch.tensor([0.02, 0.5, 1e9], dtype=torch.float64)
    for engine in scenes.engines(scenes.federation(dtype=torch.float64), *SEEDS):
        models = engine.initial()
        local = LocalSteps(Ascent(), gradient_clip=1.0)
        phase = replace(phase_of(engine, local, models, momentum=0.9, local_epochs=4), radius=radius)
        ends.append(flattened(engine.round(replace(models), replace(phase, shares={0: phase.shares[0]}))[0].tensors))
        distance = (ends[-1] - flattened(models.tensors)).norm(dim=1)
        torch.testing.assert_close(distance[:2], radius[:2])  # on the sphere: the ascent would go further
        assert distance[2] > 1
    torch.testing.assert_close(ends[0], ends[1], rtol=0, atol=1e-10)


def test_the_sequential_engine_with_one_model_is_plain_training_to_the_bit(scenes: Any) -> None:
    given = scenes.federation(clients_per_round=3, server_momentum=0.5)
    models, phase = Sequential(given, (5,)).initial(), None
    for _ in range(given.recipe.rounds):
        phase = Phase("train", dict(enumerate(given.data.clients)), given.recipe)
        models, _ = Sequential(given, (5,)).round(models, phase)
    plain = train(given, seed=5)
    assert all(torch.equal(models.tensors[name][0], tensor) for name, tensor in plain.parameters.items())
    assert models.work == plain.work


@pytest.mark.parametrize("chunk", [1, 2, 5])
def test_the_chunk_changes_nothing(scenes: Any, flattened: Flatten, chunk: int) -> None:
    given, seeds = scenes.federation(dtype=torch.float64), tuple(range(20, 25))
    recipe = {"clients_per_round": 2, "server_momentum": 0.5}
    whole, told = after(StackedFederation(given, seeds, 32), KINDS["guarded-kl"], 3, **recipe)
    parts, heard = after(StackedFederation(given, seeds, chunk), KINDS["guarded-kl"], 3, **recipe)
    torch.testing.assert_close(flattened(parts.tensors), flattened(whole.tensors), rtol=0, atol=1e-12)
    assert parts.work == whole.work
    for one, other in zip(told, heard, strict=True):
        assert one.weights.keys() == other.weights.keys()
        assert all(torch.equal(one.weights[client], other.weights[client]) for client in one.weights)
        torch.testing.assert_close(other.losses, one.losses, rtol=0, atol=1e-12)
        torch.testing.assert_close(flattened(other.deltas[0]), flattened(one.deltas[0]), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", [Sequential, StackedFederation])
def test_a_model_is_the_same_whoever_else_is_trained(scenes: Any, flattened: Flatten, kind: Any) -> None:
    given = scenes.federation(dtype=torch.float64)
    alone, _ = after(kind(given, (12,)), KINDS["guarded-js"], 3, clients_per_round=2)
    among, _ = after(kind(given, SEEDS), KINDS["guarded-js"], 3, clients_per_round=2)
    torch.testing.assert_close(flattened(among.tensors)[1], flattened(alone.tensors)[0], rtol=0, atol=1e-12)
    assert (flattened(among.tensors)[0] - flattened(alone.tensors)[0]).norm() > 0.1  # the seeds do matter


def test_every_model_draws_participants_of_its_own(scenes: Any) -> None:
    _, outcomes = after(StackedFederation(scenes.federation(), tuple(range(8))), PLAIN, 6, clients_per_round=2)
    drawn = [[outcome.participants(model) for outcome in outcomes] for model in range(8)]
    assert {len(set(clients)) for rounds in drawn for clients in rounds} == {2}
    assert len({tuple(rounds) for rounds in drawn}) > 4
    assert {client for rounds in drawn for clients in rounds for client in clients} == {0, 1, 2, 3}
    for outcome in outcomes:
        torch.testing.assert_close(torch.stack(list(outcome.weights.values())).sum(0), torch.ones(8).double())


def test_server_momentum_repeats_what_moved_before(scenes: Any, flattened: Flatten) -> None:
    engine = StackedFederation(scenes.federation(dtype=torch.float64), SEEDS)
    models = engine.initial()
    phase = phase_of(engine, PLAIN, models, server_momentum=0.5)
    steps, means = [], []
    for _ in range(3):
        moved, outcome = engine.round(models, phase, record=True)
        steps.append(flattened(moved.tensors) - flattened(models.tensors))
        deltas = {client: flattened(delta) for client, delta in outcome.deltas.items()}
        means.append(sum(delta * outcome.weights[client].unsqueeze(1) for client, delta in deltas.items()))
        models = moved
    torch.testing.assert_close(steps[1], means[1] + 0.5 * means[0])
    torch.testing.assert_close(steps[2], means[2] + 0.5 * means[1] + 0.25 * means[0])


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", ["plain", "ascent", "near-the-teacher", "guarded-kl", "guarded-chi2"])
def test_the_chains_gradients_are_autograds(kind: str, bias: bool) -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(6, 5, bias=bias), nn.ReLU(), nn.Linear(5, 4), nn.ReLU(),
                           nn.Linear(4, 3, bias=bias)).double()  # fmt: skip
    source = torch.Generator().manual_seed(0)
    states = [
        {name: torch.randn(tensor.shape, generator=source).double() for name, tensor in module.state_dict().items()}
        for _ in SEEDS
    ]
    x, taught = torch.randn(3, 7, 2, 3, generator=source).double(), torch.randn(3, 7, 3, generator=source).double()
    y = torch.randint(3, (3, 7), generator=source)
    objective: Objective = KINDS[kind].objective
    chain = program_of(module)
    assert isinstance(chain, LinearChain)
    found, losses = chain.gradients(stacked(states), x, y, objective, taught)
    vectorised, again = Vectorised(module).gradients(stacked(states), x, y, objective, taught)
    for model, state in enumerate(states):
        module.load_state_dict(state)
        values = objective(module(x[model]), y[model], taught[model]).values
        torch.testing.assert_close(losses.values[model], values.detach())
        torch.testing.assert_close(again.values[model], values.detach())
        gradients = torch.autograd.grad(values.mean(), list(module.parameters()))
        for (name, _), gradient in zip(module.named_parameters(), gradients, strict=True):
            torch.testing.assert_close(found[name][model], gradient)
            torch.testing.assert_close(vectorised[name][model], gradient)
    torch.testing.assert_close(chain.logits(stacked(states), x), Vectorised(module).logits(stacked(states), x))


class Shared(nn.Module):
    """No chain: a residual step, a scale without a layer, tanh."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 6), nn.Linear(6, 3)
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.last(x + self.scale * self.first(x).tanh())
        return logits


@pytest.mark.parametrize("kind", ["plain", "guarded-kl", "near-the-teacher"])
def test_any_architecture_without_a_state_of_its_own_can_be_stacked(scenes: Any, flattened: Flatten, kind: str) -> None:
    given = scenes.federation(dtype=torch.float64, untrained=Shared)
    slow, fast = (after(engine, KINDS[kind], 2)[0] for engine in scenes.engines(given, *SEEDS))
    torch.testing.assert_close(flattened(fast.tensors), flattened(slow.tensors), rtol=0, atol=1e-10)
    assert isinstance(program_of(Shared()), Vectorised)


def test_a_convolutional_network_trains_alike_where_it_is_stacked_all_the_same(flattened: Flatten, scenes: Any) -> None:
    given = scenes.federation(dtype=torch.float64, untrained=functools.partial(cnn, (1, 12, 12), 3))
    source = torch.Generator().manual_seed(0)
    images = ClientData(torch.randn(6, 1, 12, 12, generator=source).double(), torch.randint(3, (6,), generator=source))
    ends = []
    for engine in (Sequential(given, SEEDS), StackedFederation(given, SEEDS)):
        models = engine.initial()
        ends.append(engine.round(models, Phase("train", {0: images}, given.recipe))[0])
    torch.testing.assert_close(flattened(ends[1].tensors), flattened(ends[0].tensors), rtol=0, atol=1e-10)
    assert not applicable(given.build_model(torch.Generator()))  # by rule it is not


@pytest.mark.parametrize("layer", [nn.BatchNorm1d(5), nn.Dropout(0.5)])
def test_layers_with_a_state_or_draws_of_their_own_are_refused(scenes: Any, layer: nn.Module) -> None:
    given = scenes.federation(untrained=lambda: nn.Sequential(nn.Linear(6, 5), layer, nn.Linear(5, 3)))
    engine = StackedFederation(given, SEEDS)
    assert not applicable(given.build_model(torch.Generator()))
    with pytest.raises(ValueError, match="by the sequential engine"):
        engine.round(engine.initial(), Phase("train", {0: given.data.clients[0]}, given.recipe))


def test_private_rounds_are_the_sequential_engines(scenes: Any) -> None:
    privacy = ClientPrivacy(clipping_norm=1.0, noise_multiplier=1.0)
    slow, fast = scenes.engines(scenes.federation(privacy=privacy), *SEEDS)
    phase = Phase("train", dict(enumerate(slow.federation.data.clients)), slow.federation.recipe)
    with pytest.raises(ValueError, match="sequential engine"):
        fast.round(fast.initial(), phase)
    assert slow.round(slow.initial(), phase)[1].noise == 1.0


@pytest.mark.parametrize("place", [0, 1])
def test_a_round_of_nobody_is_refused(scenes: Any, place: int) -> None:
    engine = scenes.engines(scenes.federation(), *SEEDS)[place]
    nothing = engine.federation.data.clients[0].take(())
    with pytest.raises(UnlearningError, match="no client with examples is left"):
        engine.round(engine.initial(), Phase("train", {2: nothing}, engine.federation.recipe))


@pytest.mark.parametrize("place", [0, 1])
def test_a_teacher_that_is_missing_is_told(scenes: Any, place: int) -> None:
    engine = scenes.engines(scenes.federation(), *SEEDS)[place]
    phase = replace(phase_of(engine, KINDS["guarded-kl"], engine.initial()), teacher=None)
    with pytest.raises(ValueError, match="none is given"):
        engine.round(engine.initial(), phase)


@pytest.mark.parametrize("place", [0, 1])
def test_a_loss_that_is_not_finite_is_told_with_round_and_client(scenes: Any, place: int) -> None:
    engine = scenes.engines(scenes.federation(learning_rate=1e30), *SEEDS)[place]
    with pytest.raises(TrainingDiverged, match=r"^round 1, client 0: the loss is no longer finite"):
        engine.round(engine.initial(), phase_of(engine, PLAIN, engine.initial()))


@pytest.mark.parametrize("place", [0, 1])
def test_a_client_that_is_to_stop_does_not_stop_where_the_loss_is_no_number(scenes: Any, place: int) -> None:
    engine = scenes.engines(scenes.federation(), 11)[place]
    models = engine.initial()
    broken = replace(models, tensors={name: tensor * torch.nan for name, tensor in models.tensors.items()})
    with pytest.raises(TrainingDiverged, match="no longer finite"):
        engine.round(broken, phase_of(engine, KINDS["ascent-until"], models))


def test_logits_are_each_models_own_on_every_example(scenes: Any) -> None:
    given = scenes.federation(dtype=torch.float64)
    slow, fast = scenes.engines(given, *SEEDS)
    models, x = slow.initial(), torch.randn(1100, 6, generator=torch.Generator().manual_seed(0)).double()
    module = given.build_model(torch.Generator())
    for engine in (slow, fast):
        logits = engine.logits(models.tensors, x)
        assert logits.shape == (3, 1100, 3)
        for model in range(3):
            module.load_state_dict(one_of(models.tensors, model))
            torch.testing.assert_close(logits[model], module(x).detach())
        assert engine.logits(models.tensors, x[:0]).shape == (3, 0, 3)


def test_models_start_from_weights_of_their_own_and_a_prefix_gives_others(scenes: Any, flattened: Flatten) -> None:
    slow, fast = scenes.engines(scenes.federation(), *SEEDS)
    assert torch.equal(flattened(slow.initial().tensors), flattened(fast.initial().tensors))
    first, other = flattened(fast.initial().tensors), flattened(fast.initial("unlearn/").tensors)
    assert len({tuple(row.tolist()) for row in (*first, *other)}) == 6
    own = mlp((6,), 5, 3)
    own.load_state_dict(one_of(slow.initial().tensors, 0))
    assert torch.equal(
        own(torch.ones(1, 6)), slow.federation.build_model(seeded(11)("initialisation"))(torch.ones(1, 6))
    )


def test_cross_entropies_take_any_leading_shape() -> None:
    logits, y = torch.randn(2, 4, 3), torch.randint(3, (2, 4))
    expected = nn.functional.cross_entropy(logits.reshape(8, 3), y.reshape(8), reduction="none").reshape(2, 4)
    torch.testing.assert_close(cross_entropies(logits, y), expected)
    torch.testing.assert_close(CrossEntropy()(logits, y, None).values, expected)
