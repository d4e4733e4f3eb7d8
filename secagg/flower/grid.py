"""The grid that makes `strategy.start(grid=...)` a secure aggregation, whatever averaging strategy it is."""

import inspect
import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from secagg.flower.config import SecAggConfig
from secagg.flower.passing import PassingGrid
from secagg.flower.rounds import RecorderOf, SecureMean, secure_round
from secagg.flower.trained import is_training
from secagg.messages import RoundAborted

if TYPE_CHECKING:
    from flwr.app import Message
    from flwr.serverapp import Grid

INDIVIDUAL = frozenset(
    (
        "Bulyan", "FaultTolerantFedAvg", "FedMedian", "FedTrimmedAvg", "FedXgbBagging", "FedXgbCyclic", "FedXgbNnAvg",
        "Krum", "MultiKrum", "QFedAvg", "DPFedAvgFixed",
        "DifferentialPrivacyClientSideAdaptiveClipping", "DifferentialPrivacyClientSideFixedClipping",
        "DifferentialPrivacyServerSideAdaptiveClipping", "DifferentialPrivacyServerSideFixedClipping",
    )
)  # fmt: skip
"""Strategies of Flower 1.41 that look at single replies (or count them), which secure aggregation does not give."""
_log = logging.getLogger(__name__)


class IndividualReplies(TypeError):  # noqa: N818  (what the strategy asks for)
    """A strategy works on the clients' single models; under secure aggregation nobody has them."""


class SecAggGrid(PassingGrid):
    """A Flower grid over another: `train` messages become a round of secure aggregation, all else passes through.

    `send_and_receive` of `train` messages returns ONE reply, in the name of a survivor: an array record with the mean
    model (names, shapes and dtypes of the model sent) and a metric record with `num-examples`, the survivors' total
    weight. FedAvg and its kin average one reply to itself, so they work unchanged. Strategies that compare replies
    (median, Krum, clipping by the server) do not, and would not notice; Flower's own are refused, and yours should ask
    for nothing that `len(replies) == 1` spoils. An aborted round is logged, and returned as no reply at all.
    Clients refuse a `train` message that is pushed instead.

    Args:
        grid: The grid that the ServerApp was given.
        config: Parameters of the rounds.
        recorder: Makes what keeps a round's transcript, given its number.
    """

    def __init__(self, grid: "Grid", config: SecAggConfig | None = None, *, recorder: RecorderOf | None = None) -> None:
        super().__init__(grid)
        self._config, self._recorder = config or SecAggConfig(), recorder
        self._round = 0

    def send_and_receive(self, messages: "Iterable[Message]", *, timeout: float | None = None) -> "Iterable[Message]":
        """Run a round where the messages are for training; `timeout` seconds count for each phase of it.

        Raises:
            IndividualReplies: The strategy that calls is one that cannot work on a mean.
            ValueError: Training messages among others, or messages that are no round (see `secure_round`).
            secagg.params.InfeasibleParameters: The cohort is too small for what the configuration withstands.
        """
        outgoing = list(messages)
        training = sum(map(is_training, outgoing))
        if not training:
            return self._grid.send_and_receive(outgoing, timeout=timeout)
        if training < len(outgoing):
            raise ValueError("train messages are sent by themselves, so that they make one round")
        require_averaging(_caller())
        self._round += 1
        try:
            mean = secure_round(
                self._grid, self._config, outgoing, self._round, timeout=timeout, recorder=self._recorder
            )
        except RoundAborted as aborted:
            _log.warning("round %d is aborted: %s", self._round, aborted)
            return []
        _log.info("round %d: %d of %d clients are in the sum", self._round, len(mean.survivors), len(outgoing))
        return [_reply(mean, outgoing)]


def require_averaging(strategy: object) -> None:
    """Refuse a strategy, of either API, that is known to need the clients' single replies (`IndividualReplies`).

    A wrapper is looked into. By name, so that flwr need not be there; a strategy of your own is not known.
    """
    while strategy is not None:
        for kind in type(strategy).__mro__:
            if kind.__name__ in INDIVIDUAL:
                told = f"{type(strategy).__name__} works on single replies; secure aggregation gives their mean alone"
                raise IndividualReplies(f"{told}: take FedAvg, FedProx, FedAvgM, FedAdam, FedAdagrad or FedYogi")
        strategy = getattr(strategy, "strategy", None)


def _caller() -> Any:
    """Return the `self` of who called `send_and_receive`: in Flower that is the strategy, which the grid is not told.

    The median of one reply is that reply: without this look, a robust strategy would fail in silence.
    """
    frame = inspect.currentframe()
    caller = frame.f_back.f_back if frame is not None and frame.f_back is not None else None
    return caller.f_locals.get("self") if caller is not None else None


def _reply(mean: SecureMean, outgoing: "list[Message]") -> "Message":
    from flwr.app import Message, MetricRecord, RecordDict

    asked = {str(message.metadata.dst_node_id): message for message in outgoing}
    content = RecordDict({mean.name: mean.arrays, "metrics": MetricRecord({"num-examples": mean.weight})})
    return Message(content, reply_to=asked[mean.survivors[0]])
