from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from unlearning.errors import TrainingDiverged
from unlearning.federated.data import ClientData
from unlearning.federated.divergences import divergence
from unlearning.federated.local import LocalSteps, Work, batches, local_update, logits_of
from unlearning.federated.objectives import Ascent, Distillation, GuardedDivergence
from unlearning.federated.privacy import norm
from unlearning.federated.recipe import TrainingRecipe
from unlearning.models import initialise, mlp


def recipe(**numbers: Any) -> TrainingRecipe:
    return TrainingRecipe.model_validate({"rounds": 1, "batch_size": 4, "learning_rate": 0.3, **numbers})


def built(*layers: nn.Module) -> tuple[nn.Module, dict[str, Tensor]]:
    module = nn.Sequential(*layers) if layers else mlp((6,), 5, 3)
    initialise(module, torch.Generator().manual_seed(1))
    return module, {name: tensor.clone() for name, tensor in module.state_dict().items()}


@pytest.fixture
def data() -> ClientData:
    source = torch.Generator().manual_seed(2)
    return ClientData(torch.randn(12, 6, generator=source), torch.randint(3, (12,), generator=source))


def generator(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_clipped_step_is_no_longer_than_the_bound_says(data: ClientData) -> None:
    module, start = built()
    one_step = recipe(batch_size=12, learning_rate=1.0)
    free = norm(local_update(module, start, data, one_step, generator()).delta)
    for bound in (free / 2, free / 20):
        clipped = local_update(module, start, data, one_step, generator(), local=LocalSteps(gradient_clip=bound))
        assert norm(clipped.delta) == pytest.approx(bound, rel=1e-3)
    loose = local_update(module, start, data, one_step, generator(), local=LocalSteps(gradient_clip=free * 2))
    assert norm(loose.delta) == pytest.approx(free, rel=1e-5)


def test_a_ball_holds_after_every_step_and_not_only_at_the_end(data: ClientData) -> None:
    module, start = built()
    seen: list[float] = []

    class Watching(Ascent):
        def __call__(self, logits: Tensor, y: Tensor, teacher_logits: Tensor | None) -> Any:
            moved = {name: tensor.detach() - start[name] for name, tensor in module.state_dict().items()}
            seen.append(norm(moved))
            return super().__call__(logits, y, teacher_logits)

    local = LocalSteps(Watching(), radius=0.25)
    update = local_update(module, start, data, recipe(local_epochs=5, momentum=0.9), generator(), local=local)
    assert len(seen) == 15
    assert max(seen) <= 0.25 + 1e-6
    assert norm(update.delta) == pytest.approx(0.25, abs=1e-6)
    free = local_update(module, start, data, recipe(local_epochs=5, momentum=0.9), generator(),
                        local=LocalSteps(Ascent()))  # fmt: skip
    assert norm(free.delta) > 1  # negative control: it would have gone further


def test_a_client_stops_before_the_step_whose_loss_is_beyond_the_bound(data: ClientData) -> None:
    module, start = built()
    losses: list[float] = []

    class Watching(Ascent):
        def __call__(self, logits: Tensor, y: Tensor, teacher_logits: Tensor | None) -> Any:
            found = super().__call__(logits, y, teacher_logits)
            losses.append(abs(float(found.values.detach().mean())))
            return found

    long = recipe(local_epochs=20)
    update = local_update(module, start, data, long, generator(), local=LocalSteps(Watching(), stop_at=2.0))
    assert 1 < len(losses) < 60
    assert max(losses[:-1]) <= 2.0 < losses[-1]
    assert update.work == Work(4 * (len(losses) - 1))  # the batch that said stop took no step
    at_once = local_update(module, start, data, long, generator(), local=LocalSteps(Ascent(), stop_at=1e-9))
    assert (norm(at_once.delta), at_once.loss, at_once.work) == (0.0, 0.0, Work())


def test_forgetting_leaves_running_statistics_alone(data: ClientData) -> None:
    module, start = built(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3))
    frozen = local_update(module, start, data, recipe(), generator(),
                          local=LocalSteps(Ascent(), frozen_statistics=True)).delta  # fmt: skip
    moving = local_update(module, start, data, recipe(), generator(), local=LocalSteps(Ascent())).delta
    for name in ("1.running_mean", "1.running_var", "1.num_batches_tracked"):
        assert not bool(frozen[name].any())
        assert bool(moving[name].any())  # negative control: plain steps do move them
    for name in ("0.weight", "1.weight", "3.weight"):
        assert bool(frozen[name].any())


def test_frozen_statistics_are_what_the_steps_see(data: ClientData) -> None:
    module, start = built(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3))
    start["1.running_mean"] += 0.7
    whole = recipe(batch_size=12)
    update = local_update(module, start, data, whole, generator(), local=LocalSteps(frozen_statistics=True))
    module.load_state_dict(start)
    module.eval()
    gradients = torch.autograd.grad(cross_entropy(module(data.x), data.y), list(module.parameters()))
    for (name, _), gradient in zip(module.named_parameters(), gradients, strict=True):
        torch.testing.assert_close(update.delta[name], -0.3 * gradient, rtol=1e-4, atol=1e-6)


def test_dropout_draws_from_the_clients_own_generator(data: ClientData) -> None:
    module, start = built(nn.Linear(6, 5), nn.Dropout(0.5), nn.Linear(5, 3))
    whole = recipe(batch_size=12)
    torch.manual_seed(0)
    state = torch.get_rng_state()
    first = local_update(module, start, data, whole, generator()).delta
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(1)
    again = local_update(module, start, data, whole, generator()).delta
    other = local_update(module, start, data, whole, generator(4)).delta  # one batch: only what is dropped differs
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["0.weight"], other["0.weight"])


def test_a_teacher_is_asked_once_and_in_evaluation_mode(data: ClientData) -> None:
    module, start = built(nn.Linear(6, 5), nn.Dropout(0.5), nn.Linear(5, 3))
    told: list[Tensor] = []

    class Watching(Distillation):
        def __call__(self, logits: Tensor, y: Tensor, teacher_logits: Tensor | None) -> Any:
            assert teacher_logits is not None
            told.append(teacher_logits)
            return super().__call__(logits, y, teacher_logits)

    local = LocalSteps(Watching(divergence("kl"), 1.0), teacher=start)
    update = local_update(module, start, data, recipe(local_epochs=2), generator(), local=local)
    assert update.work == Work(24, 12)
    module.load_state_dict(start)
    with torch.no_grad():
        expected = module.eval()(data.x)
    torch.testing.assert_close(torch.cat(told[:3]).sort(dim=0).values, expected.sort(dim=0).values)


def test_the_share_of_capped_examples_is_over_all_steps(data: ClientData) -> None:
    module, start = built()
    steps = LocalSteps(GuardedDivergence(divergence("kl"), 1e-9, directed=False), teacher=start)
    moved = {name: tensor + 0.1 for name, tensor in start.items()}
    assert local_update(module, moved, data, recipe(), generator(), local=steps).capped == 1.0
    none = replace(steps, objective=GuardedDivergence(divergence("kl"), 50.0, directed=False))
    assert local_update(module, moved, data, recipe(), generator(), local=none).capped == 0.0
    assert local_update(module, start, data, recipe(), generator()).capped == 0.0


def test_a_loss_that_is_not_finite_names_the_place_and_the_mend(data: ClientData) -> None:
    module, start = built()
    with pytest.raises(TrainingDiverged, match="over there: the loss is no longer finite") as caught:
        local_update(module, start, data, recipe(learning_rate=1e30), generator(), place="over there")
    assert (caught.value.exit_code, caught.value.hint) == (3, "Lower learning_rate (it is 1e+30).")


def test_every_epoch_has_an_order_of_its_own_and_steps_may_run_out() -> None:
    taken = list(batches(5, recipe(local_epochs=2, batch_size=2), generator()))
    assert [len(batch) for batch in taken] == [2, 2, 1, 2, 2, 1]
    first, second = torch.cat(taken[:3]), torch.cat(taken[3:])
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(5))
    assert first.tolist() != second.tolist()
    assert len(list(batches(5, recipe(local_epochs=2, batch_size=2, local_steps=4), generator()))) == 4


def test_logits_of_nothing_are_empty() -> None:
    module, start = built()
    assert logits_of(module, start, torch.zeros(0, 6)).shape == (0, 3)
