"""What one round of Flower's own SecAgg+ costs: its workflow and its mod, in this process, with our grid between them.

The client is charged what its app does (`InProcessGrid.cpu_seconds`), the server what the workflow does between the
messages; the way through protobuf is charged to nobody here, where ours pays for reading and writing.
"""

import logging
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from secagg.flower.harness import InProcessGrid, node_id, run_workflow
from secagg.measure import Measured
from secagg.setting import RoundConfig

if TYPE_CHECKING:
    from flwr.app import Message

_EXAMPLES = 1000
"""Every client's weight, and the largest: so Flower scales nothing before it rounds."""


class _TimedGrid(InProcessGrid):
    """Knows how much CPU time went by while messages were under way."""

    waited = 0.0

    def send_and_receive(self, messages: "Iterable[Message]", *, timeout: float | None = None) -> "list[Message]":
        ready = list(messages)  # made by the workflow: the server's work
        start = time.process_time()
        try:
            return super().send_and_receive(ready, timeout=timeout)
        finally:
            self.waited += time.process_time() - start


def version() -> str:
    """Return Flower's version."""
    from importlib.metadata import version

    return version("flwr")


def measured_flower_round(config: RoundConfig, updates: NDArray[np.float32], dropped: int) -> Measured:
    """Run one round of Flower and return what it cost; arguments as for `secagg.measure.measured_round`.

    Raises:
        RuntimeError: the workflow ended without a result.
    """
    from flwr.common import ndarrays_to_parameters
    from flwr.server.strategy import FedAvg
    from flwr.server.workflow import SecAggPlusWorkflow

    lost = {node_id(place) for place in range(config.clients - dropped, config.clients)}
    workflow = SecAggPlusWorkflow(
        num_shares=(config.degree or 0) + 1,
        reconstruction_threshold=config.threshold or 0,
        max_weight=float(_EXAMPLES),
        clipping_range=config.quantization.clipping_range,
        quantization_range=config.quantization.levels,
        modulus_range=1 << config.modulus_bits,
    )
    spent = 0.0

    def timed(grid: Any, context: Any) -> None:
        nonlocal spent
        start = time.process_time()
        workflow(grid, context)
        spent = time.process_time() - start - grid.waited

    strategy = FedAvg(
        initial_parameters=ndarrays_to_parameters([np.zeros(config.length, np.float32)]),
        fraction_evaluate=0.0,
        min_fit_clients=config.clients,
        min_available_clients=config.clients,
    )
    logging.getLogger("flwr").setLevel(logging.ERROR)
    with _TimedGrid(
        [_app(update) for update in updates],
        drop=lambda kind, node: kind == "collect_masked_vectors" and node in lost,
    ) as grid:
        context = run_workflow(grid, timed, strategy)
    return _result(context, grid, updates, lost, spent)


def _result(context: Any, grid: _TimedGrid, updates: NDArray[np.float32], lost: set[int], spent: float) -> Measured:
    [record] = context.state.array_records.values()
    [mean] = [array.numpy() for array in record.values()]
    if grid.errors or not mean.any():
        raise RuntimeError(f"Flower's workflow ended without a result: {grid.errors[:1]}")
    alive = [node for node in grid.get_node_ids() if node not in lost]
    plain = updates[: len(alive)].mean(axis=0, dtype=np.float64)
    return Measured(
        1000 * sum(grid.cpu_seconds[node] for node in alive) / len(alive),
        spent,
        sum(grid.uploaded[node] for node in alive) // len(alive),
        float(np.abs(mean - plain).max()),
    )


def _app(update: NDArray[np.float32]) -> Any:
    from flwr.client.mod import secaggplus_mod
    from flwr.clientapp import ClientApp
    from flwr.common import Code, FitRes, Status, ndarrays_to_parameters
    from flwr.compat.client.client import Client

    class Constant(Client):  # type: ignore[misc,unused-ignore]
        def fit(self, ins: Any) -> Any:  # noqa: ARG002  (its update does not depend on the model)
            return FitRes(Status(Code.OK, ""), ndarrays_to_parameters([update]), _EXAMPLES, {})

    return ClientApp(client_fn=lambda context: Constant(), mods=[secaggplus_mod])  # noqa: ARG005
