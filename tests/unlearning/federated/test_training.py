import functools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from unlearning.errors import TrainingDiverged, UnlearningError
from unlearning.federated.data import ClientData, FederatedData, SimulatedFederation
from unlearning.federated.recipe import ClientPrivacy, TrainingRecipe
from unlearning.federated.training import (
    RoundRecord,
    State,
    clipped,
    federated_round,
    initial_state,
    norm,
    seeded,
    train,
)
from unlearning.models import mlp

FULL_BATCH: dict[str, Any] = {"rounds": 1, "batch_size": 100, "learning_rate": 0.3}


def federation(*sizes: int, untrained: Any = None, **recipe: Any) -> SimulatedFederation:
    """A federation whose clients hold `sizes` random examples of four features and three labels."""
    rng = torch.Generator().manual_seed(0)
    clients = tuple(ClientData(torch.randn(n, 4, generator=rng), torch.randint(3, (n,), generator=rng)) for n in sizes)
    numbers = TrainingRecipe.model_validate({**FULL_BATCH, "seed": 5, **recipe})
    return SimulatedFederation(
        FederatedData(clients, clients[0]), numbers, untrained or functools.partial(mlp, (4,), 5, 3)
    )


def recorded(given: SimulatedFederation, **arguments: Any) -> tuple[State, list[RoundRecord]]:
    records: list[RoundRecord] = []
    return train(given, recorder=records.append, **arguments), records


def flat(tensors: Mapping[str, Tensor]) -> Tensor:
    return torch.cat([tensor.double().flatten() for tensor in tensors.values()])


def gradient_at(given: SimulatedFederation, parameters: Mapping[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
    module = given.build_model(torch.Generator())
    module.load_state_dict(dict(parameters))
    return flat(dict(enumerate(torch.autograd.grad(cross_entropy(module(x), y), list(module.parameters())))))  # type: ignore[arg-type]


def test_one_full_batch_round_is_one_step_on_all_data_together() -> None:
    given = federation(3, 7, 11)  # closed form: the weighted mean of the clients' gradients is the pooled gradient
    state, [record] = recorded(given)
    x = torch.cat([client.x for client in given.data.clients])
    y = torch.cat([client.y for client in given.data.clients])
    expected = flat(record.before) - 0.3 * gradient_at(given, record.before, x, y)
    torch.testing.assert_close(flat(state.parameters), expected, rtol=1e-5, atol=1e-7)
    assert record.weights == (3 / 21, 7 / 21, 11 / 21)


def test_unequal_clients_pull_the_mean_by_their_number_of_examples() -> None:
    state, [record] = recorded(federation(1, 30))
    moved = flat(state.parameters) - flat(record.before)
    first, second = (flat(delta) for delta in record.deltas)
    torch.testing.assert_close(moved, first / 31 + second * 30 / 31, rtol=1e-4, atol=1e-7)
    unweighted = (first + second) / 2
    assert (moved - unweighted).norm() > 0.1 * moved.norm()  # negative control: the weights do matter here


def test_local_steps_follow_torchs_own_sgd() -> None:
    given = federation(6, local_epochs=3, batch_size=6, momentum=0.9)
    state, [record] = recorded(given)
    module = given.build_model(torch.Generator())
    module.load_state_dict(dict(record.before))
    velocity = [torch.zeros_like(p) for p in module.parameters()]
    for _ in range(3):
        loss = cross_entropy(module(given.data.clients[0].x), given.data.clients[0].y)
        for parameter, speed, slope in zip(
            module.parameters(), velocity, torch.autograd.grad(loss, list(module.parameters())), strict=True
        ):
            speed.mul_(0.9).add_(slope)
            parameter.data.sub_(0.3 * speed)
    torch.testing.assert_close(flat(state.parameters), flat(module.state_dict()), rtol=1e-4, atol=1e-6)


def test_server_momentum_repeats_what_moved_before() -> None:
    _, records = recorded(federation(4, 4, rounds=3, server_momentum=0.5))
    steps = [flat(record.after) - flat(record.before) for record in records]
    means = [flat(record.mean) for record in records]
    torch.testing.assert_close(steps[1], means[1] + 0.5 * means[0], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(steps[2], means[2] + 0.5 * means[1] + 0.25 * means[0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("recipe", "examples"),
    [
        ({}, 3 + 7 + 11),
        ({"rounds": 2, "local_epochs": 3}, 2 * 3 * 21),
        ({"batch_size": 2, "local_steps": 3}, 3 + 6 + 6),  # the client of three has a last batch of one
        ({"batch_size": 1, "local_steps": 1}, 3),
    ],
)
def test_work_counts_gradients_of_single_examples(recipe: dict[str, Any], examples: int) -> None:
    assert train(federation(3, 7, 11, **recipe)).work.example_gradients == examples


def test_the_same_seed_gives_the_same_bits_and_another_does_not() -> None:
    given = federation(5, 5, 5, rounds=3, batch_size=2, clients_per_round=2)
    first, again, other = (flat(train(given, seed=seed).parameters) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_training_neither_reads_nor_moves_torchs_global_stream() -> None:
    given = federation(5, 5, batch_size=2, privacy=ClientPrivacy(clipping_norm=1.0, noise_multiplier=1.0))
    torch.manual_seed(1)
    first = flat(train(given).parameters)
    drawn = torch.rand(2)
    torch.manual_seed(2)
    assert torch.equal(flat(train(given).parameters), first)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(2), drawn)


def test_leaving_a_client_out_changes_no_other_clients_update() -> None:
    given = federation(5, 6, 7, batch_size=2)
    _, [everybody] = recorded(given)
    _, [without] = recorded(given, exclude={1})
    assert without.participants == (0, 2)
    assert torch.equal(flat(without.deltas[1]), flat(everybody.deltas[2]))
    assert without.weights == (5 / 12, 7 / 12)


def test_clients_are_drawn_anew_each_round_and_an_empty_one_never() -> None:
    _, records = recorded(federation(2, 0, 2, 2, 2, rounds=30, clients_per_round=2))
    drawn = [record.participants for record in records]
    assert {len(set(pair)) for pair in drawn} == {2}
    assert {client for pair in drawn for client in pair} == {0, 2, 3, 4}
    assert len(set(drawn)) > 3


def test_a_training_without_anybody_is_refused() -> None:
    with pytest.raises(UnlearningError, match="no client with examples is left"):
        train(federation(3, 0), exclude={0})


def test_a_loss_that_is_not_finite_ends_with_round_client_and_mend() -> None:
    given = federation(4, 4, local_epochs=9, learning_rate=1e38)
    with pytest.raises(TrainingDiverged, match="round 1, client 1") as caught:
        train(given, exclude={0})
    assert "Lower learning_rate" in caught.value.hint
    assert caught.value.exit_code == 3


PRIVATE = ClientPrivacy(clipping_norm=0.05, noise_multiplier=0.0)


def test_clipping_bounds_long_updates_and_leaves_short_ones() -> None:
    long, short = {"a": torch.full((4,), 3.0), "b": torch.full((5,), -4.0)}, {"a": torch.full((4,), 0.01)}
    assert norm(long) == pytest.approx(math.sqrt(36 + 80))
    assert norm(clipped(long, 2.0)) == pytest.approx(2.0, rel=1e-6)
    assert torch.nn.functional.cosine_similarity(flat(clipped(long, 2.0)), flat(long), dim=0) == pytest.approx(1.0)
    assert torch.equal(clipped(short, 2.0)["a"], short["a"])
    assert torch.equal(clipped({"a": torch.zeros(3)}, 2.0)["a"], torch.zeros(3))


def test_every_contribution_is_clipped_and_counts_the_same() -> None:
    _, [free] = recorded(federation(1, 30))
    state, [record] = recorded(federation(1, 30, privacy=PRIVATE))
    assert min(norm(delta) for delta in free.deltas) > 0.051  # control: unclipped they are longer
    assert [norm(delta) for delta in record.deltas] == pytest.approx([0.05, 0.05], rel=1e-5)
    assert record.weights == (0.5, 0.5)
    moved = flat(state.parameters) - flat(record.before)
    torch.testing.assert_close(moved, (flat(record.deltas[0]) + flat(record.deltas[1])) / 2, rtol=1e-3, atol=1e-7)


def noise_on_the_sum(noise_added_by: str, noise_multiplier: float, clients: int = 7) -> np.ndarray[Any, Any]:
    """The noise of one round on the sum of all clients' updates, one number a coordinate (about 21,000)."""
    privacy = {"clipping_norm": 0.5, "noise_multiplier": noise_multiplier, "noise_added_by": noise_added_by}
    given = federation(*[2] * clients, untrained=functools.partial(mlp, (4,), 2_600, 3), privacy=privacy)
    _, [record] = recorded(given)
    total = sum(flat(delta) for delta in record.deltas)
    assert record.noise_standard_deviation == noise_multiplier * 0.5
    return np.asarray(flat(record.mean) * clients - total)


def chi_square_p(noise: np.ndarray[Any, Any], standard_deviation: float) -> float:
    """Two-sided p-value of the hypothesis that `noise` is Gaussian with this standard deviation."""
    statistic = float((noise**2).sum()) / standard_deviation**2
    below = stats.chi2.cdf(statistic, len(noise))
    return float(2 * min(below, 1 - below))


@pytest.mark.parametrize("noise_added_by", ["clients", "server"])
def test_the_noise_on_the_sum_has_the_declared_scale(noise_added_by: str) -> None:
    noise = noise_on_the_sum(noise_added_by, 1.3)
    assert chi_square_p(noise, 1.3 * 0.5) > 1e-3
    assert stats.kstest(noise[::2] / (1.3 * 0.5), "norm").pvalue > 1e-3
    assert chi_square_p(noise, 1.3 * 0.5 * 1.05) < 1e-6  # the test has the power to see 5 %


@pytest.mark.parametrize("noise_added_by", ["clients", "server"])
def test_half_the_noise_is_refuted(noise_added_by: str) -> None:
    assert chi_square_p(noise_on_the_sum(noise_added_by, 0.65), 1.3 * 0.5) < 1e-12


def test_noise_is_fresh_in_every_round_and_for_every_client() -> None:
    privacy = {"clipping_norm": 1e-6, "noise_multiplier": 1e6}  # the contributions vanish beside it
    one = federation(2, 2, rounds=2, untrained=functools.partial(mlp, (4,), 900, 3), privacy=privacy)
    _, [first, second] = recorded(one)
    _, [alone, _] = recorded(one, exclude={1})
    noise = [np.asarray(flat(record.mean)) for record in (first, second, alone)]
    others = noise[0] * 2 * math.sqrt(2) - noise[2]  # what client 1 added in round 1: the mean of two shares, undone
    for a, b in ((noise[0], noise[1]), (others, noise[2])):
        assert abs(np.corrcoef(a, b)[0, 1]) < 4 / math.sqrt(len(a))
    assert np.corrcoef(noise[0], noise[2])[0, 1] > 0.5  # control: client 0 draws the same with and without client 1


def test_a_model_with_running_statistics_is_not_trained_privately() -> None:
    def untrained() -> nn.Module:
        return nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 3))

    with pytest.raises(UnlearningError, match="running statistics"):
        train(federation(4, 4, untrained=untrained, privacy=PRIVATE))
    state = train(federation(4, 4, untrained=untrained, rounds=2))  # without privacy they are averaged
    assert int(state.parameters["1.num_batches_tracked"]) == 2
    assert state.parameters["1.num_batches_tracked"].dtype == torch.int64


def test_the_initial_model_depends_on_the_seed_alone() -> None:
    given = federation(3, 3)
    first, again, other = (flat(initial_state(given, seeded(seed)).parameters) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def all_but(lost: int) -> Any:
    """A way to the server on which one client is lost; keeps what it was told."""

    def aggregation(
        number: int, before: Mapping[str, Tensor], sent: Mapping[int, Mapping[str, Tensor]]
    ) -> tuple[dict[str, Tensor], tuple[int, ...]]:
        aggregation.told = (number, before, sent)  # type: ignore[attr-defined]
        alive = tuple(client for client in sent if client != lost)
        mean = {name: torch.stack([sent[one][name] for one in alive]).mean(0) for name in before}
        return mean, alive

    return aggregation


def one_round(given: SimulatedFederation, aggregation: Any) -> tuple[State, RoundRecord]:
    records: list[RoundRecord] = []
    generator = seeded(5)
    state = federated_round(
        given, initial_state(given, generator), generator, recorder=records.append, aggregation=aggregation
    )
    return state, records[0]


def test_a_mean_that_comes_another_way_moves_the_model_and_names_who_is_in_it() -> None:
    state, record = one_round(federation(4, 4, 4), all_but(1))
    assert (record.participants, record.weights) == ((0, 2), (0.5, 0.5))
    expected = flat(record.before) + (flat(record.deltas[0]) + flat(record.deltas[1])) / 2
    torch.testing.assert_close(flat(state.parameters), expected, rtol=1e-5, atol=1e-7)


def test_with_nobody_lost_another_way_gives_the_model_that_the_simulator_gives() -> None:
    given = federation(4, 4, 4)
    there, _ = one_round(given, all_but(9))
    here, _ = one_round(given, None)
    torch.testing.assert_close(flat(there.parameters), flat(here.parameters), rtol=1e-5, atol=1e-7)


def test_another_way_does_not_weigh_clients_that_the_recipe_weighs() -> None:
    with pytest.raises(UnlearningError, match="weight"):
        one_round(federation(4, 5), all_but(9))


def test_what_a_client_sends_bears_its_share_of_the_noise_already() -> None:
    privacy = {"clipping_norm": 0.5, "noise_multiplier": 1.3, "noise_added_by": "clients", "least_contributors": 3}
    given = federation(2, 2, 2, 2, untrained=functools.partial(mlp, (4,), 2_600, 3), privacy=privacy)
    way = all_but(1)
    _, record = one_round(given, way)
    noise = np.asarray(flat(way.told[2][0]) - flat(record.deltas[0]))
    assert chi_square_p(noise, 1.3 * 0.5 / math.sqrt(3)) > 1e-3
    assert chi_square_p(noise, 1.3 * 0.5 / math.sqrt(4)) < 1e-6  # the test sees a share of a fourth
    assert record.noise_standard_deviation == pytest.approx(1.3 * 0.5)  # three are left, as the shares count on
    everybody, kept = one_round(given, all_but(9))
    assert kept.noise_standard_deviation == pytest.approx(1.3 * 0.5 * math.sqrt(4 / 3))
    assert everybody.rounds == 1


def test_a_sum_with_less_noise_than_declared_is_not_released() -> None:
    privacy = {"clipping_norm": 0.5, "noise_multiplier": 1.3, "noise_added_by": "clients", "least_contributors": 3}
    with pytest.raises(UnlearningError, match="least_contributors"):
        one_round(federation(2, 2, 2, privacy=privacy), all_but(1))
