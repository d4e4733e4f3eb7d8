"""A Flower grid around another: what every such grid hands on unchanged."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flwr.app import Message, RecordDict
    from flwr.proto.node_pb2 import NodeInfo
    from flwr.serverapp import Grid
    from flwr.supercore.run import Run
else:
    Grid = object  # flwr is imported where it is used; the class becomes a Grid by registration


class PassingGrid(Grid):
    """Passes everything to the grid it wraps; who builds on it overrides what it wants to see.

    Args:
        grid: The grid that reaches the nodes.
    """

    def __init__(self, grid: "Grid") -> None:
        from flwr.serverapp import Grid as FlowerGrid

        FlowerGrid.register(type(self))
        self._grid = grid

    @property
    def run(self) -> "Run":
        """The run, as the wrapped grid has it."""
        return self._grid.run

    def set_run(self, run: "Run") -> None:
        """Set the wrapped grid's run."""
        self._grid.set_run(run)

    def create_message(
        self, content: "RecordDict", message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> "Message":
        """Return a message as the wrapped grid makes it."""
        return self._grid.create_message(content, message_type, dst_node_id, group_id, ttl)

    def get_node_ids(self) -> Iterable[int]:
        """Return the wrapped grid's nodes."""
        return self._grid.get_node_ids()

    def get_nodes(self) -> "Iterable[NodeInfo]":
        """Return the wrapped grid's nodes as Flower describes them."""
        return self._grid.get_nodes()

    def push_messages(self, messages: "Iterable[Message]") -> Iterable[str]:
        """Push through the wrapped grid."""
        return self._grid.push_messages(messages)

    def pull_messages(self, message_ids: Iterable[str]) -> "Iterable[Message]":
        """Pull through the wrapped grid."""
        return self._grid.pull_messages(message_ids)

    def send_and_receive(self, messages: "Iterable[Message]", *, timeout: float | None = None) -> "Iterable[Message]":
        """Send through the wrapped grid, and wait there for the replies."""
        return self._grid.send_and_receive(messages, timeout=timeout)
