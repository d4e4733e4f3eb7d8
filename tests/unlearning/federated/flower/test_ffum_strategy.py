"""f-FUM inside Flower: the rounds go to the right nodes, and what they give is what the simulated f-FUM gives."""

import hashlib
import math
from typing import Any

import numpy as np
import pytest
import torch

from secagg.flower.harness import InProcessGrid, node_id
from secagg.flower.message import SecAggConfig, SecAggGrid, secagg_mod
from secagg.quantize import Quantization
from tests.unlearning.federated.flower.federations import (
    CLIENTS,
    FORGET,
    FORGET_NODE,
    SEED,
    arrays_of,
    client_app,
    fed_avg,
    federation,
    furthest,
    grid_of,
    trained,
    unlearnt_in_process,
)
from unlearning.errors import TrainingDiverged, UnlearningError
from unlearning.federated.data import SimulatedFederation
from unlearning.federated.engine import Sequential
from unlearning.federated.flower import FFUMStrategy
from unlearning.federated.flower.assignment import PHASE, TEACHER, TENSORS
from unlearning.federated.methods import Setting, method
from unlearning.federated.recorder import tensor_bytes
from unlearning.federated.request import UnlearningRequest, split
from unlearning.federated.rounds import Models, one_of, stacked

pytestmark = pytest.mark.flower
OTHERS = {node_id(client) for client in range(CLIENTS) if client != FORGET}
ROUNDS = {"rounds": 2, "post_rounds": 0}
WEIGHTED = SecAggConfig(modulus_bits=64, quantization=Quantization(8.0, 2**22, "integer", 100))


@pytest.fixture(scope="module")
def simulated() -> SimulatedFederation:
    return federation()


@pytest.fixture(scope="module")
def before(simulated: SimulatedFederation) -> Models:
    return trained(simulated)


class Watched:
    """Passes every message on, and remembers to whom it went, of which type and with which config."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, str, dict[str, Any]]] = []

    def __call__(self, message: Any, deliver: Any) -> Any:
        config = dict(message.content["config"])
        self.seen.append((message.metadata.dst_node_id, message.metadata.message_type, config))
        return deliver(message)

    def of_round(self, number: int) -> list[tuple[int, str, dict[str, Any]]]:
        return [one for one in self.seen if one[2]["server-round"] == number]


@pytest.mark.parametrize(
    "parameters",
    [
        {"rounds": 3},
        {"rounds": 1, "max_epochs": 3, "lr_max": 0.2, "gamma": 0.5},
        {"rounds": 2, "divergence": "chi2", "alpha": 1.0, "lr_min": 0.05, "momentum": 0.5},
        {"rounds": 2, "direction": "none", "kick": 1e-2},
        {"rounds": 2, "alpha": 0.0},
    ],
    ids=["default", "rates", "chi2", "undirected", "no-teacher"],
)
def test_a_run_in_flower_ends_where_the_simulated_one_ends(
    simulated: SimulatedFederation, before: Models, parameters: dict[str, Any]
) -> None:
    expected = unlearnt_in_process(simulated, before, post_rounds=0, **parameters)
    with grid_of(simulated) as grid:
        strategy = FFUMStrategy(fed_avg(), [FORGET_NODE], {"post_rounds": 0, **parameters}, seed=SEED)
        result = strategy.start(grid.as_grid, arrays_of(before))
        assert not grid.errors
    assert furthest(result.arrays, expected) < 1e-6
    assert furthest(result.arrays, before) > 1e-2  # control: there was a way to go
    assert (strategy.progress, strategy.warnings) == ("ok", [])


def test_the_first_step_of_a_max_phase_is_ascent_as_plain_torch_computes_it(
    simulated: SimulatedFederation, before: Models
) -> None:
    """At the teacher the guard takes every example's cross-entropy, up to ln C; one batch is one step."""
    held, state, rate = simulated.data.clients[FORGET], one_of(before.tensors, 0), 0.05
    app = client_app(simulated.data.clients, batch_size=len(held))
    with InProcessGrid([app] * CLIENTS) as grid:
        strategy = FFUMStrategy(fed_avg(), [FORGET_NODE], {"rounds": 1, "max_epochs": 1})
        result = strategy.start(grid.as_grid, arrays_of(before), num_rounds=1)
    network = simulated.build_model(torch.Generator())
    network.load_state_dict(state)
    surprise = -network(held.x).log_softmax(1)[torch.arange(len(held)), held.y]
    surprise.clamp(max=math.log(3)).mean().backward()
    length = math.sqrt(sum(float(one.grad.square().sum()) for one in network.parameters() if one.grad is not None))
    expected = {
        name: one.detach() + rate * min(1.0, 1.0 / length) * one.grad
        for name, one in network.named_parameters()
        if one.grad is not None
    }
    assert furthest(result.arrays, Models(stacked([expected]))) < 1e-6
    assert furthest(result.arrays, before) > 1e-3  # control: it is a step


def test_odd_rounds_go_to_the_forget_nodes_and_even_rounds_to_the_others(
    simulated: SimulatedFederation, before: Models
) -> None:
    watched = Watched()
    with grid_of(simulated, tamper=watched) as grid:
        strategy = FFUMStrategy(fed_avg(), [FORGET_NODE], {"rounds": 2, "post_rounds": 1})
        assert strategy.num_rounds == 5
        strategy.start(grid.as_grid, arrays_of(before))
    for number, phase in enumerate(["max", "min", "max", "min", "post"], start=1):
        asked = watched.of_round(number)
        assert {node for node, _, _ in asked} == ({FORGET_NODE} if phase == "max" else OTHERS)
        assert {kind for _, kind, _ in asked} == {"train.unlearn_max" if phase == "max" else "train"}
        assert {config[PHASE] for _, _, config in asked} == {phase}
    assert [one.phase for one in strategy.executed] == ["max", "min", "max", "min", "post"]
    assert [one.example_gradients for one in strategy.executed] == [40, 84, 40, 84, 0]  # 20 examples twice, 24+28+32


@pytest.mark.parametrize("parameters", [{}, {"rounds": 1}, {"post_rounds": 0}], ids=["default", "one", "no-post"])
def test_a_run_has_the_phases_that_the_simulated_one_has(
    simulated: SimulatedFederation, before: Models, parameters: dict[str, Any]
) -> None:
    executed: list[str] = []
    engine, asked = Sequential(simulated, (SEED,)), split(simulated.data, UnlearningRequest.client(FORGET))
    method("ffum", **parameters).run(Setting(engine, asked, before, watch=lambda note: executed.append(note.kind)))
    strategy = FFUMStrategy(fed_avg(), [FORGET_NODE], parameters)
    assert [strategy.phase(number) for number in range(1, strategy.num_rounds + 1)] == executed


def test_the_teacher_travels_to_a_node_once(simulated: SimulatedFederation, before: Models) -> None:
    watched = Watched()
    with grid_of(simulated, tamper=watched) as grid:
        FFUMStrategy(fed_avg(), [FORGET_NODE], ROUNDS).start(grid.as_grid, arrays_of(before))
        assert not grid.errors
        held = [list(context.state.array_records) for context in grid.contexts.values()]
    digest = hashlib.sha256(tensor_bytes(one_of(before.tensors, 0))).hexdigest()
    assert held == [[f"{TEACHER}/{digest}"]] * CLIENTS
    with_file = {number: [TENSORS in config for _, _, config in watched.of_round(number)] for number in range(1, 5)}
    # in round 1 the model is the teacher
    assert with_file == {1: [False], 2: [True] * 3, 3: [False], 4: [False] * 3}


def test_a_node_that_lost_its_state_gets_the_teacher_again(simulated: SimulatedFederation, before: Models) -> None:
    from flwr.app import RecordDict

    watched, lost = Watched(), node_id(2)

    class Forgetful(InProcessGrid):
        def get_node_ids(self) -> list[int]:
            if watched.of_round(3) and not watched.of_round(4):
                self.contexts[lost].state = RecordDict()
            return super().get_node_ids()

    app = grid_of(simulated).client_apps[lost]
    with Forgetful([app] * CLIENTS, tamper=watched) as grid:
        strategy = FFUMStrategy(fed_avg(), [FORGET_NODE], {"rounds": 4, "post_rounds": 0})
        strategy.start(grid.as_grid, arrays_of(before), num_rounds=6)
        told = [str(error) for _, _, error in grid.errors]
    assert len(told) == 1
    assert "the teacher" in told[0]
    with_file = [config["server-round"] for node, _, config in watched.seen if TENSORS in config and node == lost]
    assert with_file == [2, 6]  # it has lost it by round 4, which tells the server
    assert [lost in one.nodes for one in strategy.executed if one.phase == "min"] == [True, False, True]


@pytest.mark.parametrize("how", ["not listed", "no answer", "an error"])
def test_a_forget_node_that_does_not_take_part_degrades_the_run_with_a_warning(
    simulated: SimulatedFederation, before: Models, how: str
) -> None:
    away = node_id(7) if how == "not listed" else FORGET_NODE

    def broken(message: Any, context: Any) -> Any:
        raise OSError("the disk is full")

    with grid_of(simulated, drop=lambda kind, node: how == "no answer" and node == FORGET_NODE) as grid:
        if how == "an error":
            grid.client_apps[FORGET_NODE] = broken
        strategy = FFUMStrategy(fed_avg(CLIENTS - (how != "not listed")), [away], ROUNDS)
        result = strategy.start(grid.as_grid, arrays_of(before))
    assert strategy.progress == "degraded"
    assert len(strategy.warnings) == 2
    assert all(str(away) in told for told in strategy.warnings)
    assert ("the disk is full" in strategy.warnings[0]) == (how == "an error")
    assert [one.phase for one in strategy.executed] == ["min", "min"]
    assert furthest(result.arrays, before) > 1e-3  # fine-tuning went on


def test_the_others_forget_where_one_of_several_does_not_answer(simulated: SimulatedFederation, before: Models) -> None:
    nodes = [FORGET_NODE, node_id(1)]
    with grid_of(simulated, drop=lambda kind, node: node == FORGET_NODE) as grid:
        strategy = FFUMStrategy(fed_avg(2), nodes, ROUNDS)
        strategy.start(grid.as_grid, arrays_of(before))
    assert strategy.progress == "degraded"
    assert [one.nodes for one in strategy.executed if one.phase == "max"] == [(node_id(1),)] * 2


def test_a_first_max_phase_that_stands_still_ends_the_run(simulated: SimulatedFederation, before: Models) -> None:
    parameters = {**ROUNDS, "direction": "none", "kick": 0.0}  # the teacher is a stationary point of the divergence
    watched = Watched()
    with grid_of(simulated, tamper=watched) as grid:
        strategy = FFUMStrategy(fed_avg(), [FORGET_NODE], parameters)
        result = strategy.start(grid.as_grid, arrays_of(before))
    assert strategy.progress == "none"
    assert "did not act" in strategy.warnings[0]
    assert furthest(result.arrays, before) == 0
    assert {node for node, _, _ in watched.seen} == {FORGET_NODE}


def test_a_divergence_at_its_cap_is_told(simulated: SimulatedFederation, before: Models) -> None:
    with grid_of(simulated) as grid:
        strategy = FFUMStrategy(fed_avg(), [FORGET_NODE], {**ROUNDS, "cap": 1e-6, "lr_max": 2.0, "max_epochs": 20})
        strategy.start(grid.as_grid, arrays_of(before))
    assert strategy.progress == "capped"
    assert "had reached the cap" in strategy.warnings[-1]


def test_a_weight_that_is_not_finite_stops_the_run_by_its_round(simulated: SimulatedFederation, before: Models) -> None:
    from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict

    def poisoned(message: Any, context: Any) -> Any:
        arrays = {
            name: np.full(one.shape, np.nan, one.dtype) for name, one in _numpy(message.content["arrays"]).items()
        }
        metrics = MetricRecord({"num-examples": 1, "loss": 0.0, "capped": 0.0})
        record = ArrayRecord({name: torch.from_numpy(one) for name, one in arrays.items()})
        return Message(RecordDict({"arrays": record, "metrics": metrics}), reply_to=message)

    with grid_of(simulated) as grid:
        grid.client_apps[FORGET_NODE] = poisoned
        with pytest.raises(TrainingDiverged, match="round 1, max phase") as raised:
            FFUMStrategy(fed_avg(), [FORGET_NODE], ROUNDS).start(grid.as_grid, arrays_of(before))
    assert raised.value.exit_code == 3


def test_a_client_halves_its_rate_once_before_it_gives_up(simulated: SimulatedFederation, before: Models) -> None:
    with grid_of(simulated) as grid:
        strategy = FFUMStrategy(fed_avg(), [FORGET_NODE], {**ROUNDS, "lr_max": 1e38, "clip_max": 1e38})
        strategy.start(grid.as_grid, arrays_of(before), num_rounds=1)
        [(_, _, error)] = grid.errors
    assert isinstance(error, TrainingDiverged)
    assert "5e+37" in str(error)
    assert strategy.progress == "degraded"


def test_from_fresh_weights_only_the_min_phase_runs(simulated: SimulatedFederation, before: Models) -> None:
    watched, fresh = Watched(), Models({k: torch.zeros_like(t) + 0.01 for k, t in before.tensors.items()})
    parameters = {"reset": "init", "rounds": 2, "post_rounds": 0}
    with grid_of(simulated, tamper=watched) as grid:
        strategy = FFUMStrategy(fed_avg(), [FORGET_NODE], parameters, teacher=arrays_of(before))
        result = strategy.start(grid.as_grid, arrays_of(fresh))
        assert not grid.errors
    assert {node for node, _, _ in watched.seen} == OTHERS
    assert [one.phase for one in strategy.executed] == ["min", "min"]
    assert all(TENSORS in config for _, _, config in watched.of_round(1))
    assert furthest(result.arrays, fresh) > 1e-3


def test_a_node_that_keeps_other_data_takes_part_in_both_phases(simulated: SimulatedFederation, before: Models) -> None:
    watched = Watched()
    with grid_of(simulated, tamper=watched) as grid:
        strategy = FFUMStrategy(fed_avg(CLIENTS), [FORGET_NODE], ROUNDS, training_nodes=[FORGET_NODE])
        strategy.start(grid.as_grid, arrays_of(before))
    assert {node for node, _, _ in watched.of_round(1)} == {FORGET_NODE}
    assert {node for node, _, _ in watched.of_round(2)} == {FORGET_NODE, *OTHERS}


def test_the_inner_strategys_momentum_does_not_see_the_max_phase(
    simulated: SimulatedFederation, before: Models
) -> None:
    from flwr.serverapp.strategy import FedAvgM

    class Momentum(FedAvgM):  # type: ignore[misc]
        rounds: list[int] = []  # noqa: RUF012  (one test, one list)

        def aggregate_train(self, server_round: int, replies: Any) -> Any:
            self.rounds.append(server_round)
            return super().aggregate_train(server_round, replies)

    inner = Momentum(fraction_evaluate=0.0, server_momentum=0.5)
    with grid_of(simulated) as grid:
        FFUMStrategy(inner, [FORGET_NODE], ROUNDS).start(grid.as_grid, arrays_of(before))
    assert inner.rounds == [2, 4]


def test_a_strategy_that_waits_for_more_nodes_than_are_left_is_an_error_not_a_wait(
    simulated: SimulatedFederation, before: Models
) -> None:
    with grid_of(simulated) as grid, pytest.raises(UnlearningError, match="waits for 4 nodes, and 3 are left"):
        FFUMStrategy(fed_avg(CLIENTS), [FORGET_NODE], ROUNDS).start(grid.as_grid, arrays_of(before))


def test_a_forget_node_is_not_trained_even_by_a_strategy_with_a_list_of_its_own(
    simulated: SimulatedFederation, before: Models
) -> None:
    from flwr.app import Message, RecordDict
    from flwr.serverapp.strategy import FedAvg

    class Stubborn(FedAvg):  # type: ignore[misc]
        def configure_train(self, server_round: int, arrays: Any, config: Any, grid: Any) -> Any:
            record = RecordDict({"arrays": arrays})  # and none of the config it is given
            return [Message(record, node_id(client), "train") for client in range(CLIENTS)]

    with grid_of(simulated) as grid:
        strategy = FFUMStrategy(Stubborn(fraction_evaluate=0.0), [FORGET_NODE], ROUNDS)
        strategy.start(grid.as_grid, arrays_of(before))
        assert not grid.errors
    assert [one.nodes for one in strategy.executed if one.phase == "min"] == [tuple(sorted(OTHERS))] * 2


@pytest.mark.parametrize(
    ("nodes", "parameters", "told"),
    [
        ([], {}, "there is no forget node"),
        ([1], {"tol": 0.1}, "takes no tol"),
        ([1], {"speed": 3}, "takes no parameter 'speed'"),
        ([1], {"divergence": "euclid"}, "divergence = 'euclid'"),
        ([1], {"reset": "init"}, "starts from another model"),
        ([1], {"reset": "rewind:3", "rounds": 2}, "starts from another model"),
    ],
)
def test_what_cannot_be_had_is_refused_at_once(nodes: list[int], parameters: dict[str, Any], told: str) -> None:
    with pytest.raises(UnlearningError, match=told) as raised:
        FFUMStrategy(fed_avg(), nodes, parameters)
    assert raised.value.exit_code == 2
    assert raised.value.hint


def test_a_strategy_runs_once(simulated: SimulatedFederation, before: Models) -> None:
    with grid_of(simulated) as grid:
        strategy = FFUMStrategy(fed_avg(), [FORGET_NODE], {"rounds": 1, "post_rounds": 0})
        strategy.start(grid.as_grid, arrays_of(before))
        with pytest.raises(UnlearningError, match="has run"):
            strategy.start(grid.as_grid, arrays_of(before))


def test_under_secure_aggregation_one_forget_node_is_a_conflict_and_several_are_one_sum() -> None:
    simulated = federation(8)
    start, parameters = arrays_of(trained(simulated)), {"rounds": 1, "post_rounds": 0}
    with InProcessGrid([client_app(simulated.data.clients, [secagg_mod()])] * 8) as grid:
        with pytest.raises(UnlearningError, match="the sum of one forget node is its update"):
            FFUMStrategy(fed_avg(4), [FORGET_NODE], parameters).start(SecAggGrid(grid.as_grid), start)
        assert not grid.uploaded  # nobody was asked for anything
    runs = []
    for hidden in (True, False):
        app = client_app(simulated.data.clients, [secagg_mod()] if hidden else [])
        with InProcessGrid([app] * 8) as grid:
            strategy = FFUMStrategy(fed_avg(4), [node_id(client) for client in range(4)], parameters)
            over = SecAggGrid(grid.as_grid, WEIGHTED) if hidden else grid.as_grid
            runs.append(strategy.start(over, start).arrays)
            assert not grid.errors
            assert (strategy.progress, strategy.warnings) == ("ok", [])
    for name, array in runs[1].items():
        np.testing.assert_allclose(runs[0][name].numpy(), array.numpy(), atol=2 * 16 / 2**22)


def test_noise_that_the_max_phase_would_go_without_is_a_conflict(before: Models) -> None:
    from flwr.serverapp.strategy import DifferentialPrivacyServerSideFixedClipping

    private = DifferentialPrivacyServerSideFixedClipping(fed_avg(), 1.0, 1.0, 3)
    with pytest.raises(UnlearningError, match="without the noise of DifferentialPrivacyServerSideFixedClipping"):
        FFUMStrategy(private, [FORGET_NODE], ROUNDS)
    FFUMStrategy(private, [FORGET_NODE], {"reset": "init", "rounds": 2}, teacher=arrays_of(before))  # no max phase


def _numpy(record: Any) -> dict[str, Any]:
    return {name: one.numpy() for name, one in record.items()}
