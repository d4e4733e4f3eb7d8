"""A recorded Flower run is the run: its models, its updates and its weights give one another."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from secagg.flower.harness import InProcessGrid, node_id
from secagg.flower.message import SecAggGrid, secagg_mod
from tests.unlearning.federated.flower.federations import (
    CLIENTS,
    FORGET_NODE,
    arrays_of,
    client_app,
    fed_avg,
    federation,
    grid_of,
    trained,
)
from unlearning.errors import UnlearningError
from unlearning.federated.data import SimulatedFederation
from unlearning.federated.flower import FFUMStrategy, RecordingStrategy
from unlearning.federated.recording import Modes, Recording, load_recording
from unlearning.federated.rounds import Models, one_of

pytestmark = pytest.mark.flower
NUMBERS = {node_id(client): client for client in range(CLIENTS)}
ALL = Modes(client_updates="all")


@pytest.fixture(scope="module")
def simulated() -> SimulatedFederation:
    return federation()


@pytest.fixture(scope="module")
def before(simulated: SimulatedFederation) -> Models:
    return trained(simulated)


class Once(InProcessGrid):
    """Gives replies by an iterator that can be read once, as Flower's interface allows."""

    def send_and_receive(self, messages: Any, *, timeout: float | None = None) -> Any:
        yield from super().send_and_receive(messages, timeout=timeout)


Recorded = Callable[..., Recording]


@pytest.fixture
def recorded(simulated: SimulatedFederation, before: Models, tmp_path: Path) -> Recorded:
    def run(modes: Modes | None = ALL, rounds: int = 3, inner: Any = None, drop: Any = None) -> Recording:
        with Once([client_app(simulated.data.clients)] * CLIENTS, drop=drop) as grid:
            chosen = fed_avg(1) if inner is None else inner
            strategy = RecordingStrategy(chosen, tmp_path / "kept", modes, clients=NUMBERS)
            strategy.start(grid.as_grid, arrays_of(before), num_rounds=rounds)
        return load_recording(tmp_path / "kept")

    return run


def test_models_updates_and_weights_give_one_another(
    simulated: SimulatedFederation, before: Models, recorded: Recorded
) -> None:
    kept = recorded()
    assert kept.global_rounds == (0, 1, 2, 3)
    assert kept.told.examples == tuple(len(one) for one in simulated.data.clients)
    total = sum(kept.told.examples)
    for number in (1, 2, 3):
        [stored] = [one for one in kept.told.kept if one.round == number]
        assert stored.participants == tuple(range(CLIENTS))
        assert stored.weights == pytest.approx([count / total for count in kept.told.examples])
        start, end = kept.global_model(number - 1), kept.global_model(number)
        for client in range(CLIENTS):  # the app moves every weight by the client's number plus 1
            assert all(
                torch.allclose(tensor, torch.full_like(tensor, client + 1), atol=1e-5)
                for tensor in kept.client_update(number, client).values()
            )
        mean = sum((client + 1) * count for client, count in enumerate(kept.told.examples)) / total
        assert all(torch.allclose(end[name], tensor + mean, atol=1e-5) for name, tensor in start.items())
    assert all(torch.equal(kept.global_model(0)[name], tensor) for name, tensor in one_of(before.tensors, 0).items())


def test_it_names_nodes_and_no_data_recipe_or_code(simulated: SimulatedFederation, recorded: Recorded) -> None:
    kept = recorded(rounds=1)
    assert kept.told.nodes == tuple(str(node) for node in NUMBERS)
    assert (kept.told.data, kept.told.recipe, kept.told.code) == (None, None, None)
    assert not kept.same_code()
    with pytest.raises(UnlearningError, match="names no data"):
        kept.check_belongs(simulated)


@pytest.mark.parametrize(
    ("modes", "globals_", "updates"),
    [
        (None, (0, 1, 2, 3), ()),
        (Modes(global_models="last", client_updates="last"), (3,), (3,)),
        (Modes(global_models="interval", client_updates="interval"), (0, 2, 3), (2, 3)),
    ],
)
def test_each_mode_keeps_its_rounds(
    recorded: Recorded, modes: Modes | None, globals_: tuple[int, ...], updates: tuple[int, ...]
) -> None:
    kept = recorded(modes)
    assert kept.global_rounds == globals_
    assert all(kept.updates_of(client) == updates for client in range(CLIENTS))


def test_the_latest_update_of_a_client_that_missed_the_last_round_is_kept(recorded: Recorded) -> None:
    rounds: list[int] = []

    def misses_the_last(kind: str, node: int) -> bool:
        rounds.append(node)
        return node == node_id(2) and rounds.count(node) == 3

    kept = recorded(Modes(client_updates="last"), drop=misses_the_last)
    assert [kept.updates_of(client) for client in range(CLIENTS)] == [(3,), (3,), (2,), (3,)]
    assert kept.told.kept[-1].participants == (0, 1, 3)


def test_a_round_that_nobody_answered_left_the_model_as_it_was(recorded: Recorded) -> None:
    calls: list[int] = []

    def second_round(kind: str, node: int) -> bool:
        calls.append(node)
        return calls.count(node) == 2

    kept = recorded(drop=second_round)
    assert [one.participants for one in kept.told.kept[1:]] == [tuple(range(CLIENTS)), (), tuple(range(CLIENTS))]
    first, second = kept.global_model(1), kept.global_model(2)
    assert all(torch.equal(first[name], tensor) for name, tensor in second.items())


def test_updates_are_kept_as_a_clipping_strategy_leaves_them(recorded: Recorded) -> None:
    from flwr.serverapp.strategy import DifferentialPrivacyServerSideFixedClipping

    kept = recorded(rounds=1, inner=DifferentialPrivacyServerSideFixedClipping(fed_avg(), 0.0, 0.25, CLIENTS))
    update = kept.client_update(1, 3)
    assert sum(float(tensor.square().sum()) for tensor in update.values()) ** 0.5 == pytest.approx(0.25, rel=1e-3)


def test_an_unlearning_is_recorded_with_all_its_rounds(
    simulated: SimulatedFederation, before: Models, tmp_path: Path
) -> None:
    with grid_of(simulated) as grid:
        inner = FFUMStrategy(fed_avg(), [FORGET_NODE], {"rounds": 2, "post_rounds": 1})
        RecordingStrategy(inner, tmp_path / "kept", ALL, clients=NUMBERS).start(grid.as_grid, arrays_of(before))
    kept = load_recording(tmp_path / "kept")
    assert [one.participants for one in kept.told.kept[1:]] == [(0,), (1, 2, 3), (0,), (1, 2, 3), (1, 2, 3)]
    assert [one.global_model for one in kept.told.kept[1:]] == [one.model for one in inner.executed]


def test_nodes_without_a_number_get_the_next_one(
    simulated: SimulatedFederation, before: Models, tmp_path: Path
) -> None:
    with grid_of(simulated) as grid:
        strategy = RecordingStrategy(fed_avg(CLIENTS), tmp_path / "kept", clients={FORGET_NODE: 0})
        strategy.start(grid.as_grid, arrays_of(before), num_rounds=1)
    rest = sorted(node for node in NUMBERS if node != FORGET_NODE)
    assert strategy.clients == {FORGET_NODE: 0} | {node: place for place, node in enumerate(rest, start=1)}
    with pytest.raises(UnlearningError, match=r"numbers \[0, 2\]"):
        RecordingStrategy(fed_avg(), tmp_path / "other", clients={1: 0, 2: 2})


def test_secure_aggregation_leaves_the_global_models_alone(tmp_path: Path) -> None:
    simulated = federation(6)
    start = arrays_of(trained(simulated))
    with InProcessGrid([client_app(simulated.data.clients, [secagg_mod()])] * 6) as grid:
        over = SecAggGrid(grid.as_grid)
        with pytest.raises(UnlearningError, match="no single update reaches the server"):
            RecordingStrategy(fed_avg(6), tmp_path / "kept", ALL).start(over, start, num_rounds=1)
        assert not grid.uploaded  # nobody was asked for anything
        RecordingStrategy(fed_avg(6), tmp_path / "kept").start(over, start, num_rounds=1)
    kept = load_recording(tmp_path / "kept")
    assert kept.global_rounds == (0, 1)
    assert kept.told.kept[1].participants == ()  # who is in the sum is not the server's to say of a single reply


def test_it_must_be_the_outermost_strategy(simulated: SimulatedFederation, before: Models, tmp_path: Path) -> None:
    inside = FFUMStrategy(RecordingStrategy(fed_avg(), tmp_path / "kept"), [FORGET_NODE], {"rounds": 1})
    with grid_of(simulated) as grid, pytest.raises(UnlearningError, match="another strategy was started"):
        inside.start(grid.as_grid, arrays_of(before))


@pytest.mark.parametrize("weight", [-1, float("nan"), 2.0**60])
def test_a_weight_that_is_none_is_an_error_by_its_node(
    simulated: SimulatedFederation, before: Models, tmp_path: Path, weight: float
) -> None:
    from flwr.app import Message, MetricRecord, RecordDict

    def lying(message: Any, context: Any) -> Any:
        metrics = MetricRecord({"num-examples": weight})
        return Message(RecordDict({"arrays": message.content["arrays"], "metrics": metrics}), reply_to=message)

    with grid_of(simulated) as grid:
        grid.client_apps[FORGET_NODE] = lying
        with pytest.raises(UnlearningError, match=f"node {FORGET_NODE} gives num-examples"):
            RecordingStrategy(fed_avg(CLIENTS), tmp_path / "kept").start(grid.as_grid, arrays_of(before), num_rounds=1)


def test_replies_that_give_no_weight_weigh_alike(
    simulated: SimulatedFederation, before: Models, tmp_path: Path
) -> None:
    from flwr.serverapp.strategy import FedAvg

    class Unweighed(FedAvg):  # type: ignore[misc]
        def aggregate_train(self, server_round: int, replies: Any) -> Any:
            return replies[0].content["arrays"], None

    inner = Unweighed(fraction_evaluate=0.0, weighted_by_key="merit", min_train_nodes=CLIENTS)
    with grid_of(simulated) as grid:
        RecordingStrategy(inner, tmp_path / "kept").start(grid.as_grid, arrays_of(before), num_rounds=1)
    assert load_recording(tmp_path / "kept").told.kept[1].weights == (0.25,) * CLIENTS


def test_a_folder_that_holds_something_is_left_alone(
    simulated: SimulatedFederation, before: Models, tmp_path: Path
) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with grid_of(simulated) as grid, pytest.raises(UnlearningError, match="is not empty"):
        RecordingStrategy(fed_avg(), tmp_path).start(grid.as_grid, arrays_of(before), num_rounds=1)
    assert [one.name for one in tmp_path.iterdir()] == ["mine.txt"]


def test_a_run_that_is_stopped_leaves_no_recording(
    simulated: SimulatedFederation, before: Models, tmp_path: Path
) -> None:
    def stop(number: int, arrays: Any) -> None:
        if number == 2:
            raise KeyboardInterrupt

    with grid_of(simulated) as grid, pytest.raises(KeyboardInterrupt):
        RecordingStrategy(fed_avg(), tmp_path / "kept").start(
            grid.as_grid, arrays_of(before), num_rounds=3, evaluate_fn=stop
        )
    with pytest.raises(UnlearningError, match="no training was recorded here to its end"):
        load_recording(tmp_path / "kept")


def test_what_flower_asks_a_strategy_about_the_inner_one_answers(
    simulated: SimulatedFederation, before: Models, tmp_path: Path
) -> None:
    from flwr.app import ConfigRecord, MetricRecord
    from flwr.serverapp.strategy import FedAvg, Strategy

    class Noting(FedAvg):  # type: ignore[misc]
        asked: list[str] = []  # noqa: RUF012  (one test, one list)

        def summary(self) -> None:
            self.asked.append("summary")

        def configure_evaluate(self, server_round: int, arrays: Any, config: ConfigRecord, grid: Any) -> Any:
            self.asked.append("configure")
            return []

        def aggregate_evaluate(self, server_round: int, replies: Any) -> MetricRecord:
            self.asked.append("aggregate")
            return MetricRecord({"accuracy": 0.5})

    strategy = RecordingStrategy(Noting(), tmp_path / "kept")
    assert isinstance(strategy, Strategy)
    with grid_of(simulated) as grid:
        result = strategy.start(grid.as_grid, arrays_of(before), num_rounds=1)
    assert Noting.asked == ["summary", "configure", "aggregate"]
    assert result.evaluate_metrics_clientapp[1]["accuracy"] == 0.5
