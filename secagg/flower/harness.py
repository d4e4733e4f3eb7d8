"""A Flower federation inside this process: real ClientApps, real messages, no ray, no network, no waiting.

What a node receives was bytes on the way, as in a deployment, so nobody shares an object with anybody. Nodes are served
one after the other, in the order of the messages; a client that raises is an error reply, as Flower has it. The class
is a `Grid` by registration (`isinstance` holds), so that this module is imported without flwr.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from time import process_time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

if TYPE_CHECKING:
    from flwr.app import Context, Message, RecordDict
    from flwr.proto.node_pb2 import NodeInfo
    from flwr.serverapp import Grid
    from flwr.supercore.run import Run

    App = Callable[[Message, Context], Message]
    Deliver = Callable[[Message], Message]
    Tamper = Callable[[Message, Deliver], Message | None]

RUN_ID = 1
Drop = Callable[[str, int], bool]


def node_id(partition: int) -> int:
    """Return the id of the node that holds `partition`: 64 bits, spread like Flower's own, but the same every time."""
    return int.from_bytes(sha256(f"node|{partition}".encode()).digest()[:8], "little")


def kind_of(message: "Message") -> str:
    """Return what a message is about: the text under `stage` or `phase` of a config record, else its type."""
    for record in message.content.config_records.values() if message.has_content() else ():
        for key in ("stage", "phase"):
            if isinstance(record.get(key), str):
                return str(record[key])
    return message.metadata.message_type


class InProcessGrid:
    """A Flower `Grid` that runs its nodes itself, for either API: workflows as well as `strategy.start(grid=...)`.

    Flower wants to know who is speaking before any `Message` is made (`TaskIdentity`, one a process): the constructor
    says "the server of this run"; as a context manager the grid puts back what stood there.

    Args:
        client_apps: ClientApps (or any callable like one) by node id, or in a row: then `node_id(i)` names the i-th.
        drop: asked with `kind_of(message)` and the node's id; True loses the message on its way to the node.
        tamper: stands between server and node. It is called with the message to a node and with `deliver`, which
            hands a message to its node and returns the reply; it may change, hold back (None) or deliver several.
        run_config: what every client's context shows as `run_config`.

    Attributes:
        contexts: each node's `Context` with its state, which lives as long as the grid.
        cpu_seconds: CPU time spent inside each node's app, by node id.
        uploaded: bytes of the replies on the wire (protobuf), by node id.
        errors: (kind, node id, exception) of every client that raised.
    """

    def __init__(
        self,
        client_apps: "Mapping[int, App] | Sequence[App]",
        *,
        drop: Drop | None = None,
        tamper: "Tamper | None" = None,
        run_config: Mapping[str, Any] | None = None,
    ) -> None:
        from flwr.app import Context, RecordDict
        from flwr.common.constant import SUPERLINK_NODE_ID
        from flwr.serverapp import Grid
        from flwr.supercore.run import Run

        Grid.register(type(self))
        named = client_apps if isinstance(client_apps, Mapping) else {node_id(i): a for i, a in enumerate(client_apps)}
        self.client_apps = dict(named)
        self.drop, self.tamper = drop, tamper
        self.contexts = {
            node: Context(
                run_id=RUN_ID,
                node_id=node,
                node_config={"partition-id": partition, "num-partitions": len(self.client_apps)},
                state=RecordDict(),
                run_config=dict(run_config or {}),
            )
            for partition, node in enumerate(self.client_apps)
        }
        self.cpu_seconds: defaultdict[int, float] = defaultdict(float)
        self.uploaded: Counter[int] = Counter()
        self.errors: list[tuple[str, int, Exception]] = []
        self._run = Run.create_empty(RUN_ID)
        self._replies: dict[str, Message] = {}
        self._sent = 0
        self._previous = _identity()
        _speak_as((RUN_ID, SUPERLINK_NODE_ID, 1))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _speak_as(self._previous)

    @property
    def as_grid(self) -> "Grid":
        """This very object, for a type checker."""
        return cast("Grid", self)

    @property
    def run(self) -> "Run":
        """The run that all messages belong to."""
        return self._run

    def set_run(self, run: "Run") -> None:
        """Take the run's details; its id stays that of the contexts."""
        self._run = run

    def create_message(
        self, content: "RecordDict", message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> "Message":
        """Return a message of the server to a node (Flower's older way of saying `Message(...)`)."""
        from flwr.app import Message

        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> list[int]:
        """Return the nodes, dropped or not: who will answer is not known beforehand."""
        return list(self.client_apps)

    def get_nodes(self) -> "list[NodeInfo]":
        """Return the nodes as Flower describes them."""
        from flwr.proto.node_pb2 import NodeInfo

        return [NodeInfo(node_id=node) for node in self.client_apps]

    def push_messages(self, messages: "Iterable[Message]") -> list[str]:
        """Deliver the messages; return the ids under which the replies can be pulled."""
        ids = []
        for message in messages:
            self._sent += 1
            message.metadata.__dict__["_message_id"] = f"message-{self._sent}"  # as Flower's in-memory grid does
            ids.append(message.metadata.message_id)
            reply = self._through(message)
            if reply is not None:
                self._replies[ids[-1]] = reply
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> "list[Message]":
        """Return the replies that have come, each once."""
        return [self._replies.pop(one) for one in message_ids if one in self._replies]

    def send_and_receive(self, messages: "Iterable[Message]", *, timeout: float | None = None) -> "list[Message]":  # noqa: ARG002  (nobody waits: a lost message is known to be lost)
        """Deliver the messages and return the replies in the same order, less the lost ones."""
        return self.pull_messages(self.push_messages(messages))

    def deliver(self, message: "Message") -> "Message":
        """Run the node's app on a message and return its reply; the way there and back is through bytes.

        Raises:
            KeyError: there is no such node.
        """
        from flwr.app import Error, Message
        from flwr.common.constant import ErrorCode

        there, _ = _as_bytes(message)
        node = message.metadata.dst_node_id
        app, before, start = self.client_apps[node], _identity(), process_time()
        try:
            _speak_as((RUN_ID, node, 1))
            reply = app(there, self.contexts[node])
        except Exception as error:  # a client may raise anything: it is told to the server, as Flower does
            self.errors.append((kind_of(message), node, error))
            reply = Message(
                Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, f"{type(error)}:<'{error}'>"), reply_to=message
            )
        finally:
            self.cpu_seconds[node] += process_time() - start
            _speak_as(before)
        back, size = _as_bytes(reply)
        self.uploaded[node] += size
        return back

    def _through(self, message: "Message") -> "Message | None":
        if self.drop is not None and self.drop(kind_of(message), message.metadata.dst_node_id):
            return None
        if self.tamper is None:
            return self.deliver(message)
        return self.tamper(_as_bytes(message)[0], self.deliver)  # a copy: its changes are not the server's


def run_workflow(
    grid: "InProcessGrid | Grid", workflow: "Callable[[Grid, Context], None]", strategy: Any, rounds: int = 1
) -> Any:
    """Run Flower's `DefaultWorkflow` with `workflow` as its fit workflow.

    Args:
        grid: the nodes.
        workflow: such as `SecAggPlusWorkflow(...)`.
        strategy: a strategy of `flwr.server.strategy` with initial parameters.
        rounds: how many.

    Returns:
        The `LegacyContext`; its `history` and the model in `state` are the outcome.
    """
    from flwr.app import Context, RecordDict
    from flwr.common.constant import SUPERLINK_NODE_ID
    from flwr.server import LegacyContext, ServerConfig
    from flwr.server.workflow import DefaultWorkflow

    plain = Context(run_id=RUN_ID, node_id=SUPERLINK_NODE_ID, node_config={}, state=RecordDict(), run_config={})
    context = LegacyContext(plain, config=ServerConfig(num_rounds=rounds), strategy=strategy)
    DefaultWorkflow(fit_workflow=workflow)(cast("Grid", grid), context)
    return context


def _as_bytes(message: "Message") -> "tuple[Message, int]":
    from flwr.common.serde import message_from_proto, message_to_proto
    from flwr.proto.message_pb2 import Message as Wire

    data = message_to_proto(message).SerializeToString()
    return message_from_proto(Wire.FromString(data)), len(data)


Speaker = tuple[int | None, int | None, int | None]


def _identity() -> Speaker:
    from flwr.supercore.task_identity import TaskIdentity

    return TaskIdentity._run_id, TaskIdentity._node_id, TaskIdentity._task_id


def _speak_as(speaker: Speaker) -> None:
    from flwr.supercore.task_identity import TaskIdentity

    for name, value in zip(("_run_id", "_node_id", "_task_id"), speaker, strict=True):
        setattr(TaskIdentity, name, value)  # its public setters take no None, and nobody may have spoken before
