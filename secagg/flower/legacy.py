"""Secure aggregation for Flower's older API: a mod and a workflow in the places of `secaggplus_mod` and its workflow.

    app = ClientApp(client_fn=client_fn, mods=[fedaudit_secagg_mod(policy, identity)])                 # client
    DefaultWorkflow(fit_workflow=FedauditSecAggWorkflow(SecAggConfig(...)))(grid, context)             # server

The rounds are those of `secagg.flower.message`. Unlike Flower's, neither a client's number of examples nor its metrics
go to the server: the strategy gets one result, the mean with the survivors' total weight.
"""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from secagg.flower.config import SecAggConfig
from secagg.flower.grid import require_averaging
from secagg.flower.message import SecureTraining
from secagg.flower.once import Once, OnceFolder
from secagg.flower.rounds import RecorderOf, SecureMean, secure_round
from secagg.flower.trained import Trained, whole
from secagg.keys import Identity
from secagg.messages import RoundAborted
from secagg.policy import ClientPolicy

if TYPE_CHECKING:
    from flwr.app import Context, Message, RecordDict
    from flwr.clientapp.typing import Mod
    from flwr.common import FitIns
    from flwr.server import LegacyContext
    from flwr.server.client_proxy import ClientProxy
    from flwr.serverapp import Grid

_log = logging.getLogger(__name__)


def fedaudit_secagg_mod(
    policy: ClientPolicy | None = None,
    identity: "Identity | Callable[[Context], Identity] | None" = None,
    *,
    once: Once | None = None,
) -> "Mod":
    """Return the mod for a ClientApp with a `client_fn`; arguments as of `secagg.flower.message.secagg_mod`.

    It answers `fit` alone; `evaluate` and the rest pass it by.
    """
    return SecureTraining(policy or ClientPolicy(), identity, read_fit_result, once or OnceFolder())


def read_fit_result(content: "RecordDict") -> Trained:
    """Return what a client's `fit` returned.

    Raises:
        ValueError: Its status is not OK, or the number of examples is no whole number.
    """
    from flwr.common import Code
    from flwr.compat.common.recorddict_compat import recorddict_to_fitres

    result = recorddict_to_fitres(content, keep_input=True)
    if result.status.code != Code.OK:
        raise ValueError("the client's fit did not succeed")
    arrays = content.array_records["fitres.parameters"]
    return Trained(arrays, whole(result.num_examples), tuple(result.metrics))


class FedauditSecAggWorkflow:
    """A fit workflow for `DefaultWorkflow`: asks the strategy whom to train, and gives it the mean.

    Args:
        config: Parameters of the rounds.
        timeout: Seconds to wait for answers in each phase; None waits for all.
        recorder: Makes what keeps a round's transcript, given its number.
    """

    def __init__(
        self, config: SecAggConfig | None = None, *, timeout: float | None = None, recorder: RecorderOf | None = None
    ) -> None:
        self._config, self._timeout, self._recorder = config or SecAggConfig(), timeout, recorder

    def __call__(self, grid: "Grid", context: "Context") -> None:
        """Run one round; one that is aborted is logged and leaves the model as it was.

        Raises:
            TypeError: The context is not a legacy one, or the strategy needs the clients' single results.
            ValueError: The instructions are no round (see `secure_round`).
            secagg.params.InfeasibleParameters: The cohort is too small for what the configuration withstands.
        """
        from flwr.compat.common.recorddict_compat import arrayrecord_to_parameters
        from flwr.server import LegacyContext
        from flwr.server.workflow.constant import MAIN_CONFIGS_RECORD, MAIN_PARAMS_RECORD, Key

        if not isinstance(context, LegacyContext):
            raise TypeError(f"a LegacyContext is needed, not {type(context).__name__}")
        require_averaging(context.strategy)
        number = cast(int, context.state.config_records[MAIN_CONFIGS_RECORD][Key.CURRENT_ROUND])
        parameters = arrayrecord_to_parameters(context.state.array_records[MAIN_PARAMS_RECORD], keep_input=True)
        chosen = context.strategy.configure_fit(number, parameters, context.client_manager)
        if not chosen:
            _log.info("round %d: the strategy chose nobody", number)
            return
        messages = _messages(chosen, number)
        try:
            mean = secure_round(grid, self._config, messages, number, timeout=self._timeout, recorder=self._recorder)
        except RoundAborted as aborted:
            _log.warning("round %d is aborted: %s", number, aborted)
            return
        proxies = {str(proxy.node_id): proxy for proxy, _ in chosen}
        _aggregate(context, number, proxies[mean.survivors[0]], mean)


def _messages(chosen: "list[tuple[ClientProxy, FitIns]]", number: int) -> "list[Message]":
    """Return one message a client; what several are told alike is written once."""
    from flwr.app import Message
    from flwr.compat.common.recorddict_compat import fitins_to_recorddict

    told = {id(instructions): instructions for _, instructions in chosen}
    contents = {key: fitins_to_recorddict(instructions, keep_input=True) for key, instructions in told.items()}
    return [
        Message(contents[id(instructions)], proxy.node_id, "train", group_id=str(number))
        for proxy, instructions in chosen
    ]


def _aggregate(context: "LegacyContext", number: int, proxy: "ClientProxy", mean: SecureMean) -> None:
    """Hand the mean to the strategy as the result of one client, and keep the model that it makes of it."""
    from flwr.common import Code, FitRes, Status
    from flwr.compat.common.recorddict_compat import arrayrecord_to_parameters, parameters_to_arrayrecord
    from flwr.server.workflow.constant import MAIN_PARAMS_RECORD

    parameters = arrayrecord_to_parameters(mean.arrays, keep_input=True)
    result = FitRes(Status(Code.OK, ""), parameters, mean.weight, {})
    failures: list[tuple[ClientProxy, FitRes] | BaseException] = [
        RuntimeError(f"client {client}: {why}") for client, why in mean.lost.items()
    ]
    aggregated, metrics = context.strategy.aggregate_fit(number, [(proxy, result)], failures)
    if aggregated is not None:
        context.state.array_records[MAIN_PARAMS_RECORD] = parameters_to_arrayrecord(aggregated, keep_input=True)
        context.history.add_metrics_distributed_fit(number, metrics)
