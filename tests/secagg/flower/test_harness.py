"""The in-process federation: it runs what a deployment runs, and loses or bends just what it is told to."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from secagg.flower.harness import InProcessGrid, kind_of, node_id, run_workflow

pytestmark = pytest.mark.flower
CLIENTS = 5


def legacy_app(partition: int, mods: list[Any] | None = None) -> Any:
    """A client of the older API: its update is its number throughout, its weight its number plus one."""
    from flwr.clientapp import ClientApp
    from flwr.common import Code, FitRes, Status, ndarrays_to_parameters
    from flwr.compat.client.client import Client

    class Constant(Client):  # type: ignore[misc]
        def fit(self, ins: Any) -> Any:
            update = [np.full((2, 3), float(partition)), np.full(4, -float(partition))]
            return FitRes(Status(Code.OK, ""), ndarrays_to_parameters(update), partition + 1, {})

    return ClientApp(client_fn=lambda context: Constant(), mods=mods)


def federated_average() -> Any:
    from flwr.common import ndarrays_to_parameters
    from flwr.server.strategy import FedAvg

    start = ndarrays_to_parameters([np.zeros((2, 3)), np.zeros(4)])
    return FedAvg(initial_parameters=start, fraction_evaluate=0.0, min_fit_clients=2, min_available_clients=2)


def model_of(context: Any) -> list[Any]:
    [record] = context.state.array_records.values()
    return [array.numpy() for array in record.values()]


def query_app() -> Any:
    from flwr.app import ConfigRecord, Message, RecordDict
    from flwr.clientapp import ClientApp

    app = ClientApp()

    @app.query()
    def query(message: Any, context: Any) -> Any:
        seen = context.state.config_records.setdefault("seen", ConfigRecord({"times": 0}))
        seen["times"] += 1
        message.content["question"]["number"] += 1  # a careless client writes on what it was sent
        reply = ConfigRecord(
            {"times": seen["times"], "node": context.node_id, "number": message.content["question"]["number"]}
        )
        return Message(RecordDict({"reply": reply}), reply_to=message)

    return app


def ask(grid: InProcessGrid, **fields: Any) -> tuple[Any, list[Any]]:
    from flwr.app import ConfigRecord, Message, RecordDict

    content = RecordDict({"question": ConfigRecord({"number": 1, **fields})})
    nodes = grid.get_node_ids()
    return content, list(grid.send_and_receive([Message(content, node, "query", group_id="1") for node in nodes]))


def test_flower_takes_it_for_a_grid() -> None:
    from flwr.serverapp import Grid

    grid = InProcessGrid([query_app()])
    assert isinstance(grid, Grid)
    assert not [name for name in Grid.__abstractmethods__ if not hasattr(grid, name)]
    assert [info.node_id for info in grid.get_nodes()] == grid.get_node_ids()


def test_node_ids_are_as_large_as_flowers_own() -> None:
    assert max(node_id(i) for i in range(5)) > 2**53
    assert len({node_id(i) for i in range(1000)}) == 1000


def test_each_node_keeps_its_own_state_and_gets_its_own_copy() -> None:
    app = query_app()  # one ClientApp object serves all nodes, as in a simulation
    grid = InProcessGrid([app] * 3)
    for round_number in (1, 2):
        content, replies = ask(grid)
        assert [reply.content["reply"]["times"] for reply in replies] == [round_number] * 3
        assert [reply.content["reply"]["node"] for reply in replies] == grid.get_node_ids()
        assert [reply.metadata.src_node_id for reply in replies] == grid.get_node_ids()
        assert [reply.content["reply"]["number"] for reply in replies] == [2] * 3
        assert content["question"]["number"] == 1
    assert all(grid.uploaded[node] > 0 for node in grid.get_node_ids())


def test_a_lost_message_reaches_nobody_and_the_rest_arrive() -> None:
    grid = InProcessGrid([query_app()] * 3, drop=lambda kind, node: (kind, node) == ("ask", node_id(1)))
    _, replies = ask(grid, stage="ask")
    assert [reply.metadata.src_node_id for reply in replies] == [node_id(0), node_id(2)]
    assert not grid.contexts[node_id(1)].state
    assert len(ask(grid, stage="tell")[1]) == 3


def test_a_client_that_raises_is_an_error_reply_and_its_state_stays() -> None:
    def broken(message: Any, context: Any) -> Any:
        raise ValueError("no data")

    grid = InProcessGrid([query_app(), broken])
    _, [fine, error] = ask(grid)
    assert fine.has_content()
    assert error.has_error()
    assert "no data" in error.error.reason
    assert [(kind, node, type(raised)) for kind, node, raised in grid.errors] == [("query", node_id(1), ValueError)]


def test_what_stands_between_server_and_node_may_change_fork_and_hold_back() -> None:
    def tamper(message: Any, deliver: Any) -> Any:
        if message.metadata.dst_node_id == node_id(0):
            return None
        if message.metadata.dst_node_id == node_id(1):
            deliver(message)  # the node is asked twice; the server sees one answer
        message.content["question"]["number"] = 10
        return deliver(message)

    content, replies = ask(InProcessGrid([query_app()] * 3, tamper=tamper))
    assert [reply.metadata.src_node_id for reply in replies] == [node_id(1), node_id(2)]
    assert [reply.content["reply"]["times"] for reply in replies] == [2, 1]
    assert [reply.content["reply"]["number"] for reply in replies] == [11, 11]
    assert content["question"]["number"] == 1


def test_it_leaves_the_process_identity_as_it_was() -> None:
    from flwr.supercore.task_identity import TaskIdentity

    before = (TaskIdentity._run_id, TaskIdentity._node_id, TaskIdentity._task_id)
    with InProcessGrid([query_app()]) as grid:
        ask(grid)
        assert TaskIdentity.run_id == grid.run.run_id
    assert (TaskIdentity._run_id, TaskIdentity._node_id, TaskIdentity._task_id) == before


def test_flowers_default_workflow_averages_by_weight() -> None:
    from flwr.server.workflow.default_workflows import default_fit_workflow

    with InProcessGrid([legacy_app(i) for i in range(CLIENTS)]) as grid:
        context = run_workflow(grid, default_fit_workflow, federated_average(), rounds=2)
    mean = sum(i * (i + 1) for i in range(CLIENTS)) / sum(i + 1 for i in range(CLIENTS))
    matrix, vector = model_of(context)
    np.testing.assert_allclose(matrix, np.full((2, 3), mean))
    np.testing.assert_allclose(vector, np.full(4, -mean))


def test_flowers_secure_aggregation_gives_the_same_mean_with_its_real_mod_and_workflow() -> None:
    from flwr.client.mod import secaggplus_mod
    from flwr.server.workflow import SecAggPlusWorkflow

    stages = []

    def watch(message: Any, deliver: Any) -> Any:
        stages.append(kind_of(message))
        return deliver(message)

    apps = [legacy_app(i, [secaggplus_mod]) for i in range(CLIENTS)]
    with InProcessGrid(apps, tamper=watch) as grid:
        context = run_workflow(grid, SecAggPlusWorkflow(3, 2, max_weight=10.0), federated_average())
    mean = sum(i * (i + 1) for i in range(CLIENTS)) / sum(i + 1 for i in range(CLIENTS))
    matrix, vector = model_of(context)
    np.testing.assert_allclose(matrix, np.full((2, 3), mean), atol=1e-4)
    np.testing.assert_allclose(vector, np.full(4, -mean), atol=1e-4)
    expected = ["setup", "share_keys", "collect_masked_vectors", "unmask"]
    assert stages == [stage for stage in expected for _ in range(CLIENTS)]


def test_a_strategy_of_the_message_api_runs_on_it() -> None:
    from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict
    from flwr.clientapp import ClientApp
    from flwr.serverapp.strategy import FedAvg

    app = ClientApp()

    @app.train()
    def train(message: Any, context: Any) -> Any:
        partition = context.node_config["partition-id"]
        arrays = ArrayRecord([np.full(3, float(partition))])
        metrics = MetricRecord({"num-examples": partition + 1})
        return Message(RecordDict({"arrays": arrays, "metrics": metrics}), reply_to=message)

    with InProcessGrid([app] * CLIENTS) as grid:
        result = FedAvg(fraction_evaluate=0.0).start(
            grid=grid.as_grid, initial_arrays=ArrayRecord([np.zeros(3)]), num_rounds=2
        )
    mean = sum(i * (i + 1) for i in range(CLIENTS)) / sum(i + 1 for i in range(CLIENTS))
    np.testing.assert_allclose(result.arrays.to_numpy_ndarrays()[0], np.full(3, mean))


def test_the_module_is_imported_without_flower() -> None:
    code = "import secagg.flower.harness, sys; assert 'flwr' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
