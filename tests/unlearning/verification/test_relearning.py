"""Learning again: step for step as torch's own optimiser does it; quick for who remembers, slow for who was pushed."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from unlearning.federated.data import ClientData, FederatedData, SimulatedFederation
from unlearning.federated.objectives import Ascent
from unlearning.federated.oracles import engine_for, model_seeds
from unlearning.federated.recipe import TrainingRecipe
from unlearning.federated.rounds import LocalSteps, Models, Phase, Stack, one_of, stacked, train_models
from unlearning.federated.training import seeded
from unlearning.verification.relearning import LEARNERS, MOST_STEPS, PATIENCE, RATE_SHARE, Relearning, relearning

RECIPE = TrainingRecipe(rounds=20, local_epochs=3, batch_size=8, learning_rate=0.6)


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Linear(8, 40), nn.ReLU(), nn.Linear(40, 3))


def examples(count: int, source: torch.Generator) -> ClientData:
    x = torch.randn(count, 8, generator=source)
    return ClientData(x, x[:, :3].argmax(1))


@dataclass(frozen=True)
class Planted:
    """Models of a federation whose first client has labels that no other has: what it taught is memory alone."""

    federation: SimulatedFederation
    forget: ClientData
    retrained: Stack
    originals: Stack

    def loss(self, state: Mapping[str, Tensor]) -> float:
        engine = engine_for(self.federation, (0,))
        logits = engine.logits(stacked([state]), self.forget.x)[0]
        return float(nn.functional.cross_entropy(logits, self.forget.y))

    def pushed(self, state: Mapping[str, Tensor], epochs: int) -> Mapping[str, Tensor]:
        """The model after gradient ascent on the forget set."""
        engine = engine_for(self.federation, (3,))
        up = Phase(
            "max", {0: self.forget}, RECIPE.model_copy(update={"local_epochs": epochs}),
            LocalSteps(Ascent(), gradient_clip=1.0),
        )  # fmt: skip
        return one_of(engine.round(Models(stacked([state])), up)[0].tensors, 0)

    def again(self, delivered: Mapping[str, Tensor]) -> Relearning:
        before = one_of(self.originals, LEARNERS)
        found = relearning(
            self.federation, self.forget, before=before, delivered=delivered,
            references=self.retrained, originals=self.originals, seed=1,
        )  # fmt: skip
        assert found is not None
        return found


@pytest.fixture(scope="module")
def planted() -> Planted:
    source = torch.Generator().manual_seed(0)
    clients = [examples(24, source) for _ in range(4)]
    clients[0] = ClientData(clients[0].x, (clients[0].y + 1) % 3)
    data = FederatedData(tuple(clients), examples(10, source))
    federation = SimulatedFederation(data, RECIPE, perceptron)
    held = dict(enumerate(clients))
    made = []
    for purpose, shares in (("retrained", {c: held[c] for c in (1, 2, 3)}), ("originals", held)):
        engine = engine_for(federation, model_seeds(0, purpose, LEARNERS + 1))
        made.append(train_models(engine, shares, RECIPE).tensors)
    return Planted(federation, clients[0], *made)


@pytest.fixture(scope="module")
def honest(planted: Planted) -> Relearning:
    """One more retrained model, as if it had been delivered."""
    return planted.again(one_of(planted.retrained, LEARNERS))


def test_one_more_retrained_model_learns_as_quickly_as_the_others(honest: Relearning) -> None:
    found, index = honest, honest.index()
    assert index.interval is not None
    assert len(index.oracle_steps) == LEARNERS
    assert index.interval.low <= 1 <= index.interval.high
    assert len(found.references) == len(found.originals) == LEARNERS
    control = found.control()
    assert control is not None
    assert control < 0.5  # who has something to remember is quicker: the index could have shown it


def test_a_model_that_only_covered_its_memory_is_quicker(planted: Planted) -> None:
    original = one_of(planted.originals, LEARNERS)
    covered = planted.pushed(original, 4)
    assert planted.loss(covered) > planted.loss(one_of(planted.retrained, LEARNERS))  # by its loss it never knew
    index = planted.again(covered).index()
    assert index.interval is not None
    assert index.interval.high < 1


def test_a_model_that_was_pushed_too_far_is_slower_and_one_that_can_learn_no_more_surely_so(planted: Planted) -> None:
    retrained = one_of(planted.retrained, LEARNERS)
    pushed = planted.again(planted.pushed(retrained, 20)).index()
    assert pushed.interval is not None
    assert pushed.interval.low > 1
    dead = planted.again({**retrained, "0.bias": retrained["0.bias"] - 100})  # no hidden unit answers anything
    index = dead.index()
    assert index.interval is not None
    assert index.interval.low > 3
    assert index.steps is None
    slowest = max(step for step in index.oracle_steps if step is not None)
    assert dead.steps == min(MOST_STEPS, PATIENCE * slowest)  # it was waited for, not for ever


def test_each_step_is_that_of_torchs_own_optimiser(planted: Planted, honest: Relearning) -> None:
    start, found = one_of(planted.retrained, LEARNERS), honest
    model = perceptron()
    model.load_state_dict(dict(start))
    optimiser = torch.optim.SGD(model.parameters(), lr=RATE_SHARE * RECIPE.learning_rate)
    data, expected = planted.forget, []
    for step in range(9):
        expected.append(float(nn.functional.cross_entropy(model(data.x), data.y).detach()))
        order = torch.randperm(len(data), generator=seeded(1)(f"relearning/round/{step + 1}/client/0/batches"))
        batch = order[: RECIPE.batch_size]
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(data.x[batch]), data.y[batch]).backward()
        optimiser.step()
    np.testing.assert_allclose(found.delivered[:9], expected, rtol=1e-5)
    assert found.learning_rate == RATE_SHARE * RECIPE.learning_rate


def test_a_model_that_cannot_be_trained_gives_no_index(planted: Planted) -> None:
    wild = {name: 1e30 * tensor for name, tensor in one_of(planted.retrained, 0).items()}
    found = relearning(
        planted.federation, planted.forget, before=one_of(planted.originals, 0), delivered=wild,
        references=planted.retrained, originals=planted.originals, seed=1,
    )  # fmt: skip
    assert found is None
