"""A Flower strategy around another, and a grid that keeps some nodes out of its sight.

Both are what they stand for by registration (`isinstance` holds), so that this module is imported without flwr.
"""

from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any, cast

from unlearning.federated.flower.records import require_flower

if TYPE_CHECKING:
    from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
    from flwr.proto.node_pb2 import NodeInfo
    from flwr.serverapp import Grid
    from flwr.serverapp.strategy import Result, Strategy
else:
    Strategy = object

__all__ = ["RestrictedGrid", "WrappedStrategy"]


class WrappedStrategy(Strategy):
    """Does as the strategy it wraps does; who builds on it overrides what is to be otherwise.

    Args:
        inner: A strategy of `flwr.serverapp.strategy`; kept as `strategy`, as Flower's own wrappers do.

    Raises:
        UnlearningError: `unlearning.flower`, Flower is not installed.
    """

    def __init__(self, inner: "Strategy") -> None:
        require_flower()
        from flwr.serverapp.strategy import Strategy as FlowerStrategy

        FlowerStrategy.register(type(self))
        self.strategy = inner

    def configure_train(
        self, server_round: int, arrays: "ArrayRecord", config: "ConfigRecord", grid: "Grid"
    ) -> "Iterable[Message]":
        """Return the inner strategy's messages for a round of training."""
        return self.strategy.configure_train(server_round, arrays, config, grid)

    def aggregate_train(
        self, server_round: int, replies: "Iterable[Message]"
    ) -> "tuple[ArrayRecord | None, MetricRecord | None]":
        """Return what the inner strategy makes of a round's replies."""
        return self.strategy.aggregate_train(server_round, replies)

    def configure_evaluate(
        self, server_round: int, arrays: "ArrayRecord", config: "ConfigRecord", grid: "Grid"
    ) -> "Iterable[Message]":
        """Return the inner strategy's messages for a round of evaluation."""
        return self.strategy.configure_evaluate(server_round, arrays, config, grid)

    def aggregate_evaluate(self, server_round: int, replies: "Iterable[Message]") -> "MetricRecord | None":
        """Return what the inner strategy makes of an evaluation's replies."""
        return self.strategy.aggregate_evaluate(server_round, replies)

    def summary(self) -> None:
        """Log the inner strategy's summary."""
        self.strategy.summary()

    def start(
        self,
        grid: "Grid",
        initial_arrays: "ArrayRecord",
        num_rounds: int = 3,
        timeout: float = 3600,
        train_config: "ConfigRecord | None" = None,
        evaluate_config: "ConfigRecord | None" = None,
        evaluate_fn: "Callable[[int, ArrayRecord], MetricRecord | None] | None" = None,
    ) -> "Result":
        """Run the rounds; arguments and result are Flower's own."""
        from flwr.serverapp.strategy import Strategy as FlowerStrategy

        return FlowerStrategy.start(
            self, grid, initial_arrays, num_rounds, timeout, train_config, evaluate_config, evaluate_fn
        )


class RestrictedGrid:
    """The grid it wraps, without some of its nodes.

    Args:
        grid: Reaches the nodes.
        hidden: Ids of the nodes that are not listed.
    """

    def __init__(self, grid: "Grid", hidden: Collection[int]) -> None:
        from flwr.serverapp import Grid as FlowerGrid

        FlowerGrid.register(type(self))
        self._grid, self._hidden = grid, frozenset(hidden)

    def get_node_ids(self) -> list[int]:
        """Return the nodes that are not hidden."""
        return [node for node in self._grid.get_node_ids() if node not in self._hidden]

    def get_nodes(self) -> "list[NodeInfo]":
        """Return the nodes that are not hidden, as Flower describes them."""
        return [node for node in self._grid.get_nodes() if node.node_id not in self._hidden]

    @property
    def as_grid(self) -> "Grid":
        """This very object, for a type checker."""
        return cast("Grid", self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._grid, name)
