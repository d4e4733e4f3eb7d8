"""Learning again: step for step as torch's own optimiser does it, and quicker for whoever remembers."""

from typing import Any

import numpy as np
import torch
from torch import nn

from unlearning.federated.data import ClientData
from unlearning.federated.recipe import TrainingRecipe
from unlearning.models import mlp
from unlearning.verification.relearning import relearning_losses

RECIPE = TrainingRecipe(rounds=1, batch_size=4, learning_rate=0.3)


def examples(count: int = 10) -> ClientData:
    source = torch.Generator().manual_seed(0)
    return ClientData(torch.randn(count, 6, generator=source), torch.randint(3, (count,), generator=source))


def test_each_step_is_that_of_torchs_own_optimiser() -> None:
    model, data = mlp((6,), 5, 3), examples()
    before = {name: one.clone() for name, one in model.state_dict().items()}
    found = relearning_losses(model, before, data, RECIPE, torch.Generator().manual_seed(1), steps=7)
    assert all(torch.equal(one, before[name]) for name, one in model.state_dict().items())  # it was copied
    optimiser, source = torch.optim.SGD(model.parameters(), lr=0.3), torch.Generator().manual_seed(1)
    expected = [float(nn.functional.cross_entropy(model(data.x), data.y).detach())]
    for order in (torch.randperm(10, generator=source) for _ in range(3)):
        for batch in order.split(4):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(data.x[batch]), data.y[batch]).backward()
            optimiser.step()
            expected.append(float(nn.functional.cross_entropy(model(data.x), data.y).detach()))
    np.testing.assert_allclose(found, expected[:8], rtol=1e-6)


def test_a_model_that_has_learnt_it_starts_where_another_arrives() -> None:
    model, data = mlp((6,), 5, 3), examples()
    curve = relearning_losses(model, model.state_dict(), data, RECIPE, torch.Generator().manual_seed(1), steps=100)
    assert curve[-1] < curve[0] / 2
    assert len(curve) == 101


def test_the_delivered_model_is_held_against_references_that_learn_again(erased: Any) -> None:
    from reports.model import Effort
    from unlearning.verification.gather import gather

    given = erased("client:1", "finetune").delivered()
    found = gather(given, effort=Effort.STANDARD, seed=5, models=19)
    assert found.anamnesis is not None
    assert len(found.anamnesis.oracle_steps) == 8
    assert gather(given, effort=Effort.SMOKE, seed=5).anamnesis is None
