"""A small run of Flower's own SecAgg+: its real workflow, its real mod, clients whose updates are known beforehand.

What is measured on Flower, and what is recorded of it for others to judge, comes from here.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from secagg.flower.capture import CapturingGrid
from secagg.flower.harness import RUN_ID, Drop, InProcessGrid, node_id

if TYPE_CHECKING:
    from flwr.app import Context
    from flwr.clientapp import ClientApp
    from flwr.server import LegacyContext
    from flwr.serverapp import Grid

    from secagg.flower.harness import Tamper


@dataclass(frozen=True)
class FlowerRound:
    """The parameters of Flower's workflow.

    Attributes:
        num_shares: shares of a secret, the owner's own among them; odd, or all (flwr 1.41 raises on an even number
            below the cohort's), or as a float their part of the cohort. The degree is one less.
        reconstruction_threshold: shares that give a secret back, the owner's own counted.
    """

    num_shares: int | float = 3
    reconstruction_threshold: int = 2
    max_weight: float = 1000.0
    clipping_range: float = 8.0
    quantization_range: int = 1 << 22
    modulus_range: int = 1 << 32


@dataclass(frozen=True, eq=False)
class Rehearsal:
    """How a round of Flower's SecAgg+ went."""

    mean: NDArray[np.float64] | None
    """What the strategy was given, of the updates' length; None where the round gave no sum."""
    error: str | None
    """The exception that the workflow raised, if it did."""
    grid: InProcessGrid = field(repr=False)
    """The nodes, with their state as the round left it."""
    updates: NDArray[np.floating[Any]] = field(repr=False)
    """What the clients answered, clients x length."""
    folders: tuple[Path, ...] = ()
    """Where the rounds were recorded."""


def rehearse(
    updates: NDArray[np.floating[Any]],
    weights: Sequence[int] | None = None,
    setting: FlowerRound | None = None,
    *,
    drop: Drop | None = None,
    tamper: "Tamper | None" = None,
    rounds: int = 1,
    record: Path | None = None,
) -> Rehearsal:
    """Run Flower's SecAgg+ over known updates, quietly: Flower's log is silent meanwhile.

    Args:
        updates: clients x length; row i is the update of the node `node_id(i)` in every round.
        weights: examples of each client, from 1 to `max_weight`; all alike where left out.
        setting: the parameters of the workflow.
        drop: which messages are lost, as for `InProcessGrid`.
        tamper: what stands between server and node, as for `InProcessGrid`.
        rounds: how many.
        record: folder for the transcripts, one folder a round below it.
    """
    from flwr.server.workflow import SecAggPlusWorkflow

    weights = [int((setting or FlowerRound()).max_weight)] * len(updates) if weights is None else weights
    apps = {
        node_id(i): client_app(update, weight) for i, (update, weight) in enumerate(zip(updates, weights, strict=True))
    }
    error = None
    with InProcessGrid(apps, drop=drop, tamper=tamper) as grid, _silence():
        workflow = SecAggPlusWorkflow(**vars(setting or FlowerRound()))
        recorder = None if record is None else CapturingGrid(grid, record)
        talking = cast("Grid", recorder or grid)
        context, strategy = _server(talking, updates.shape[1])
        try:
            for number in range(1, rounds + 1):
                context.state.config_records["config"]["current_round"] = number
                workflow(talking, context)
        except Exception as raised:  # what Flower's server makes of a round, its crash included, is the result
            error = f"{type(raised).__name__}: {raised}"
        finally:
            if recorder is not None:
                recorder.close()
    mean = strategy.means[-1] if len(strategy.means) == rounds and error is None else None
    return Rehearsal(mean, error, grid, updates, tuple(recorder.folders) if recorder else ())


def client_app(update: NDArray[np.floating[Any]], weight: int, *, mods: Sequence[Any] | None = None) -> "ClientApp":
    """Return a ClientApp that answers every fit with one array and so many examples; with Flower's mod by default."""
    from flwr.client.mod import secaggplus_mod
    from flwr.clientapp import ClientApp
    from flwr.common import Code, FitIns, FitRes, Scalar, Status, ndarrays_to_parameters
    from flwr.compat.client.client import Client

    class Known(Client):
        def fit(self, ins: FitIns) -> FitRes:  # noqa: ARG002  (what to answer is known)
            metrics: dict[str, Scalar] = {"train_loss": float(np.abs(update).mean())}
            return FitRes(Status(Code.OK, ""), ndarrays_to_parameters([np.asarray(update)]), weight, metrics)

    def client(context: "Context") -> Client:  # noqa: ARG001  (Flower looks at the parameter's name and type)
        return Known()

    return ClientApp(client_fn=client, mods=list(mods) if mods is not None else [secaggplus_mod])


def record_flower_run(
    folder: Path, clients: int = 5, length: int = 64, rounds: int = 1, *, drop: Drop | None = None, **setting: Any
) -> tuple[Path, ...]:
    """Record a run of Flower's real SecAgg+ on small made-up updates; return the rounds' folders.

    Args:
        folder: empty or not there yet.
        clients: nodes, `node_id(0)` and so on.
        length: elements of an update.
        rounds: how many.
        drop: which messages are lost, as for `InProcessGrid`.
        setting: fields of `FlowerRound`.
    """
    updates = np.linspace(-1, 1, clients * length).reshape(clients, length)
    weights = [10 * (i + 1) for i in range(clients)]
    return rehearse(updates, weights, FlowerRound(**setting), drop=drop, rounds=rounds, record=folder).folders


def _server(grid: "Grid", length: int) -> "tuple[LegacyContext, Any]":
    """Return what `DefaultWorkflow` prepares for a fit workflow, without its thread: that outlives a crashed round."""
    import flwr.compat.common.recorddict_compat as compat
    from flwr.app import ConfigRecord, Context, RecordDict
    from flwr.common import ndarrays_to_parameters, parameters_to_ndarrays
    from flwr.common.constant import SUPERLINK_NODE_ID
    from flwr.server import LegacyContext
    from flwr.server.compat.grid_client_proxy import GridClientProxy
    from flwr.server.strategy import FedAvg
    from flwr.server.workflow.constant import MAIN_CONFIGS_RECORD, MAIN_PARAMS_RECORD

    class Keeping(FedAvg):
        means: list[NDArray[Any]]

        def aggregate_fit(self, server_round: int, results: Any, failures: Any) -> Any:
            merged, metrics = super().aggregate_fit(server_round, results, failures)
            if merged is not None:
                self.means.append(parameters_to_ndarrays(merged)[0])
            return merged, metrics

    nodes = list(grid.get_node_ids())
    strategy = Keeping(
        min_fit_clients=len(nodes), min_available_clients=len(nodes), fit_metrics_aggregation_fn=lambda _: {}
    )
    strategy.means = []
    plain = Context(run_id=RUN_ID, node_id=SUPERLINK_NODE_ID, node_config={}, state=RecordDict(), run_config={})
    context = LegacyContext(plain, strategy=strategy)
    for node in nodes:
        context.client_manager.register(GridClientProxy(node_id=node, grid=grid, run_id=RUN_ID))
    start = ndarrays_to_parameters([np.zeros(length)])
    context.state.config_records[MAIN_CONFIGS_RECORD] = ConfigRecord()
    context.state.array_records[MAIN_PARAMS_RECORD] = compat.parameters_to_arrayrecord(start, keep_input=True)
    return context, strategy


@contextmanager
def _silence() -> Iterator[None]:
    logger = logging.getLogger("flwr")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with np.errstate(all="ignore"):  # a sum of weights that wrapped around to zero is divided by all the same
            yield
    finally:
        logger.setLevel(before)
