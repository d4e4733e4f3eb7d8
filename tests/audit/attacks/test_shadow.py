"""Shadow models: many trained as one program are what each would be alone, and their scores are the definition's."""

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from audit.attacks.shadow import Recipe, Splits, StackedParameters, confidence, halves, scores, train_many
from unlearning.federated.data import ClientData
from unlearning.federated.privacy import clipped
from unlearning.federated.recipe import TrainingRecipe
from unlearning.federated.training import local_update
from unlearning.models import initialise


def perceptron() -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))


def convolutional() -> nn.Sequential:
    return nn.Sequential(
        nn.Unflatten(1, (1, 2, 3)), nn.Conv2d(1, 4, 2), nn.BatchNorm2d(4), nn.Sigmoid(), nn.Flatten(), nn.Linear(8, 3)
    )


def splits(shadows: int = 4, records: int = 20) -> Splits:
    source = torch.Generator().manual_seed(3)
    x = torch.randn(records, 6, generator=source)
    y = torch.randint(3, (records,), generator=source)
    return Splits(x, y, halves(shadows, records, np.random.default_rng(1)))


def own_generators(shadows: int, seed: int) -> list[torch.Generator]:
    """The generators that `train_many` seeds from its own."""
    seeds = torch.randint(2**62, (shadows,), generator=torch.Generator().manual_seed(seed)).tolist()
    return [torch.Generator().manual_seed(one) for one in seeds]


def assert_same(stacked: StackedParameters, shadow: int, expected: Any) -> None:
    for name, tensor in expected.items():
        torch.testing.assert_close(stacked.tensors[name][shadow], tensor, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("architecture", [perceptron, convolutional])
@pytest.mark.parametrize("local_steps", [None, 5])
def test_a_stack_is_what_each_training_alone_gives(architecture: Any, local_steps: int | None) -> None:
    given, model = splits(), architecture()
    how = {"local_epochs": 3, "batch_size": 4, "learning_rate": 0.3, "local_steps": local_steps}
    stacked = train_many(model, given, Recipe(**how), torch.Generator().manual_seed(5))
    for shadow, generator in enumerate(own_generators(4, 5)):  # the oracle: the federation's own local training
        alone = initialise(copy.deepcopy(model), generator)
        before = {name: tensor.clone() for name, tensor in alone.state_dict().items()}
        mine = torch.from_numpy(np.flatnonzero(given.member[shadow]))
        data = ClientData(given.x[mine], given.y[mine])
        delta = local_update(alone, before, data, TrainingRecipe(rounds=1, **how), generator).delta
        assert_same(stacked, shadow, {name: before[name] + delta[name] for name in before})


def test_a_shadow_does_not_depend_on_how_many_there_are() -> None:
    given, recipe = splits(), Recipe(local_epochs=2, batch_size=4)
    seeds = torch.Generator().manual_seed(5)
    first = Splits(given.x, given.y, given.member[:1])
    alone = train_many(perceptron(), first, recipe, torch.Generator().manual_seed(5))
    stacked = train_many(perceptron(), given, recipe, seeds)
    assert_same(stacked, 0, {name: tensor[0] for name, tensor in alone.tensors.items()})


@pytest.mark.parametrize("clipping_norm", [None, 0.05])
def test_rounds_average_what_the_drawn_clients_send(clipping_norm: float | None) -> None:
    given, model = splits(shadows=2), perceptron()
    recipe = Recipe(
        rounds=3, local_epochs=2, batch_size=2, learning_rate=0.5, clients=3, clients_per_round=2,
        clipping_norm=clipping_norm,
    )  # fmt: skip
    stacked = train_many(model, given, recipe, torch.Generator().manual_seed(2))
    for shadow, source in enumerate(own_generators(2, 2)):
        state = {k: v.clone() for k, v in initialise(copy.deepcopy(model), source).state_dict().items()}
        mine = torch.from_numpy(np.flatnonzero(given.member[shadow]))
        mine = mine[torch.randperm(len(mine), generator=source)]
        shares = torch.cat([mine, mine])[:12].reshape(3, 4)  # ten records for three clients: two are dealt twice
        for _ in range(3):
            drawn = torch.randperm(3, generator=source)[:2].sort().values.tolist()
            orders = [[torch.randperm(4, generator=source) for _ in drawn] for _ in range(2)]
            deltas = [
                alone(model, state, given, shares[client], [epoch[place] for epoch in orders], recipe)
                for place, client in enumerate(drawn)
            ]
            sent = deltas if clipping_norm is None else [clipped(delta, clipping_norm) for delta in deltas]
            state = {name: tensor + (sent[0][name] + sent[1][name]) / 2 for name, tensor in state.items()}
        assert_same(stacked, shadow, state)


def alone(
    model: nn.Module, state: Any, given: Splits, share: torch.Tensor, orders: list[torch.Tensor], recipe: Recipe
) -> dict[str, torch.Tensor]:
    """What one client's steps change, in plain torch."""
    module = copy.deepcopy(model)
    module.load_state_dict(state)
    optimiser = torch.optim.SGD(module.parameters(), lr=recipe.learning_rate)
    for order in orders:
        for batch in share[order].split(recipe.batch_size):
            optimiser.zero_grad()
            nn.functional.cross_entropy(module(given.x[batch]), given.y[batch]).backward()
            optimiser.step()
    return {name: tensor.detach() - state[name] for name, tensor in module.state_dict().items()}


def test_adam_on_a_stack_is_adam_on_each() -> None:
    given, model = splits(), perceptron()
    how = Recipe(local_epochs=2, batch_size=100, learning_rate=0.01, optimiser="adam")
    stacked = train_many(model, given, how, torch.Generator().manual_seed(9))
    for shadow, generator in enumerate(own_generators(4, 9)):
        module = initialise(copy.deepcopy(model), generator)
        mine = given.member[shadow]
        optimiser = torch.optim.Adam(module.parameters(), lr=0.01)
        for _ in range(2):
            optimiser.zero_grad()
            nn.functional.cross_entropy(module(given.x[mine]), given.y[mine]).backward()
            optimiser.step()
        assert_same(stacked, shadow, module.state_dict())


def test_noise_on_the_mean_has_the_declared_deviation() -> None:
    given = splits(shadows=2)
    quiet = Recipe(clients=5, clipping_norm=1e-6, batch_size=4)
    loud = Recipe(clients=5, clipping_norm=1e-6, batch_size=4, noise_multiplier=1e6)
    wide = nn.Sequential(nn.Linear(6, 3000), nn.ReLU(), nn.Linear(3000, 3))
    still, moved = (train_many(wide, given, one, torch.Generator().manual_seed(1)) for one in (quiet, loud))
    noise = (moved.tensors["0.weight"] - still.tensors["0.weight"]).flatten(1)
    assert torch.allclose(noise.std(dim=1), torch.tensor(1.0 / 5), rtol=0.03)  # 1e6 * 1e-6 over five clients
    assert abs(float(torch.corrcoef(noise)[0, 1])) < 0.05


def test_halves_put_every_record_into_half_of_the_shadows() -> None:
    member = halves(6, 30, np.random.default_rng(0))
    assert (member.sum(axis=1) == 15).all()
    assert (member.sum(axis=0) == 3).all()
    assert not np.array_equal(member[0], member[2])
    odd = halves(3, 7, np.random.default_rng(0))
    assert odd.sum(axis=1).tolist() == [3, 3, 3]


@pytest.mark.parametrize(
    "member", [np.zeros((2, 20), bool), np.ones((2, 19), bool), np.tri(2, 20, dtype=bool), np.ones((0, 20), bool)]
)
def test_splits_that_cannot_be_stacked_are_refused(member: Any) -> None:
    given = splits()
    with pytest.raises(ValueError, match=r"shadow needs|records"):
        Splits(given.x, given.y, member)


def test_scores_are_the_definition_s_and_stay_finite() -> None:
    source = torch.Generator().manual_seed(0)
    logits, y = 3 * torch.randn(50, 4, generator=source).double(), torch.randint(4, (50,), generator=source)
    p = torch.softmax(logits, dim=1)[torch.arange(50), y]
    np.testing.assert_allclose(confidence(logits, y), (p.log() - (1 - p).log()).numpy(), rtol=1e-9)
    sure = confidence(torch.tensor([[800.0, 0.0, 0.0]]), torch.tensor([0]))
    assert sure[0] == pytest.approx(800 - math.log(2))  # where p itself is 1.0


def test_one_logit_speaks_for_label_one() -> None:
    logit, y = torch.tensor([[2.0], [2.0]]), torch.tensor([1, 0])
    p = 1 / (1 + math.exp(-2.0))
    assert confidence(logit, y) == pytest.approx([math.log(p / (1 - p)), math.log((1 - p) / p)])


def test_scores_of_a_stack_are_those_of_its_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.attacks.shadow.SCORED_AT_ONCE", 100)  # several pieces
    given, model = splits(), convolutional()
    stacked = train_many(model, given, Recipe(batch_size=4), torch.Generator().manual_seed(1))
    found = scores(stacked, given.x, given.y)
    for shadow in range(4):
        model.load_state_dict({name: tensor[shadow] for name, tensor in stacked.tensors.items()})
        expected = confidence(model.eval()(given.x).detach(), given.y)
        np.testing.assert_allclose(found[shadow], expected, rtol=1e-4, atol=1e-5)
