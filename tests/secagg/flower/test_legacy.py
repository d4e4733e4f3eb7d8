"""The older API: a drop-in for Flower's mod and workflow that ends where plain averaging ends, and tells less."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secagg.flower.config import SecAggConfig
from secagg.flower.exchange import RECORD, VECTOR
from secagg.flower.grid import IndividualReplies
from secagg.flower.harness import InProcessGrid, node_id, run_workflow
from secagg.flower.legacy import FedauditSecAggWorkflow, fedaudit_secagg_mod
from secagg.flower.message import SESSIONS
from secagg.policy import ClientPolicy
from secagg.quantize import Quantization
from secagg.transcript import TranscriptWriter
from secagg.verify import verify_transcripts

pytestmark = pytest.mark.flower
WEIGHTED = SecAggConfig(modulus_bits=64, quantization=Quantization(8.0, 2**22, "integer", 100))
STEP = 2 * 8.0 / 2**22


def app(mods: list[Any], trains: Callable[[int], bool] = lambda partition: True) -> Any:
    """A client that moves every element a quarter of the way towards its own number."""
    from flwr.clientapp import ClientApp
    from flwr.common import Code, FitRes, Status, ndarrays_to_parameters, parameters_to_ndarrays
    from flwr.compat.client.client import Client

    class Towards(Client):  # type: ignore[misc]
        def __init__(self, partition: int) -> None:
            self.partition = partition

        def fit(self, ins: Any) -> Any:
            moved = [one + np.float32(0.25) * (self.partition - one) for one in parameters_to_ndarrays(ins.parameters)]
            code = Code.OK if trains(self.partition) else Code.FIT_NOT_IMPLEMENTED
            return FitRes(Status(code, ""), ndarrays_to_parameters(moved), 3 * self.partition + 1, {"loss": 0.5})

    def client_fn(context: Any) -> Any:
        return Towards(int(context.node_config["partition-id"]))

    return ClientApp(client_fn=client_fn, mods=mods)


def strategy(name: str = "FedAvg", **options: Any) -> Any:
    import flwr.server.strategy as strategies
    from flwr.common import ndarrays_to_parameters

    start = ndarrays_to_parameters([np.zeros((2, 3), np.float32), np.ones((), np.float32)])
    return getattr(strategies, name)(initial_parameters=start, fraction_evaluate=0.0, **options)


def model_of(context: Any) -> list[Any]:
    [record] = context.state.array_records.values()
    return [array.numpy() for array in record.values()]


def plaintext(partitions: Any, rounds: int = 1) -> list[Any]:
    """The definition: a weighted mean of the clients' models, round after round."""
    model = [np.zeros((2, 3)), np.ones(())]
    weights = {p: 3 * p + 1 for p in partitions}
    for _ in range(rounds):
        moved = {p: [one + 0.25 * (p - one) for one in model] for p in partitions}
        model = [sum(w * moved[p][i] for p, w in weights.items()) / sum(weights.values()) for i in range(2)]
    return model


def assert_close(model: list[Any], expected: list[Any], rounds: int = 1) -> None:
    for ours, theirs in zip(model, expected, strict=True):
        assert ours.shape == theirs.shape
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, theirs, atol=rounds * STEP, rtol=1e-6)


def test_three_rounds_end_where_plain_averaging_ends() -> None:
    with InProcessGrid([app([fedaudit_secagg_mod()])] * 6) as grid:
        ours = model_of(run_workflow(grid, FedauditSecAggWorkflow(WEIGHTED), strategy(), 3))
        assert not grid.errors
        assert all(set(context.state) == {SESSIONS} for context in grid.contexts.values())
    from flwr.server.workflow.default_workflows import default_fit_workflow

    with InProcessGrid([app([])] * 6) as grid:
        plain = model_of(run_workflow(grid, default_fit_workflow, strategy(), 3))
    assert_close(ours, plain, 3)
    assert_close(ours, plaintext(range(6), 3), 3)


@pytest.mark.parametrize("phase", ["advertise", "shares", "masked_input", "unmask"])
def test_a_drop_out_in_any_phase_costs_no_more_than_its_own_update(phase: str) -> None:
    lossy = InProcessGrid(
        [app([fedaudit_secagg_mod()])] * 6, drop=lambda kind, node: kind == phase and node == node_id(2)
    )
    with lossy as grid:
        context = run_workflow(grid, FedauditSecAggWorkflow(WEIGHTED), strategy())
    assert_close(model_of(context), plaintext(range(6) if phase == "unmask" else [0, 1, 3, 4, 5]))


def test_a_fit_that_does_not_succeed_is_a_drop_out_that_the_strategy_hears_of() -> None:
    with InProcessGrid([app([fedaudit_secagg_mod()], lambda p: p != 2)] * 6) as grid:
        context = run_workflow(grid, FedauditSecAggWorkflow(WEIGHTED), strategy())
        assert_close(model_of(context), plaintext([0, 1, 3, 4, 5]))
    with InProcessGrid([app([fedaudit_secagg_mod()], lambda p: p != 2)] * 6) as grid:
        context = run_workflow(grid, FedauditSecAggWorkflow(WEIGHTED), strategy(accept_failures=False))
        assert np.array_equal(model_of(context)[0], np.zeros((2, 3)))


def test_an_aborted_round_leaves_the_model_and_says_why(caplog: pytest.LogCaptureFixture) -> None:
    with InProcessGrid([app([fedaudit_secagg_mod(ClientPolicy(min_clients=9))])] * 5) as grid:
        context = run_workflow(grid, FedauditSecAggWorkflow(WEIGHTED), strategy(), 2)
    assert np.array_equal(model_of(context)[0], np.zeros((2, 3)))
    assert "refused: policy-cohort" in caplog.text
    assert "round 2 is aborted: too-few-clients" in caplog.text


def test_neither_the_number_of_examples_nor_metrics_of_a_client_travel() -> None:
    replies: list[Any] = []

    def watch(message: Any, deliver: Any) -> Any:
        replies.append(deliver(message))
        return replies[-1]

    heard: list[Any] = []

    def weights(metrics: Any) -> Any:
        heard.extend(metrics)
        return {}

    with InProcessGrid([app([fedaudit_secagg_mod()])] * 5, tamper=watch) as grid:
        run_workflow(grid, FedauditSecAggWorkflow(WEIGHTED), strategy(fit_metrics_aggregation_fn=weights))
    assert len(replies) == 20
    assert all(set(reply.content) <= {RECORD, VECTOR} for reply in replies)
    assert heard == [(1 + 4 + 7 + 10 + 13, {})]


def test_a_strategy_that_compares_results_is_refused() -> None:
    with InProcessGrid([app([fedaudit_secagg_mod()])] * 5) as grid, pytest.raises(IndividualReplies, match="Krum"):
        run_workflow(grid, FedauditSecAggWorkflow(WEIGHTED), strategy("Krum"))


def test_another_context_than_the_legacy_one_is_refused() -> None:
    with InProcessGrid([app([])]) as grid, pytest.raises(TypeError, match="LegacyContext"):
        FedauditSecAggWorkflow()(grid.as_grid, grid.contexts[node_id(0)])


def test_a_recorded_run_verifies(tmp_path: Path) -> None:
    workflow = FedauditSecAggWorkflow(WEIGHTED, recorder=lambda number: TranscriptWriter(tmp_path / str(number)))
    with InProcessGrid([app([fedaudit_secagg_mod()])] * 5) as grid:
        run_workflow(grid, workflow, strategy(), 2)
    verified = verify_transcripts([tmp_path / "1", tmp_path / "2"])
    assert verified.status == "pass"
    assert [one.aggregate for one in verified.transcripts] == ["equal", "equal"]
