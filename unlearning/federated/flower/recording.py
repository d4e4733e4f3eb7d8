"""Recording a Flower run: what a later unlearning needs, in the folder of `unlearning.federated.recording`.

Rounds have Flower's numbers. Clients have numbers of ours, from 0, since Flower's node ids are beyond what JSON keeps
exactly; recording.json says which node is which. Data, recipe and code are not named in it: the server never sees them.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from reports.nouns import LARGEST_INTEGER
from unlearning.errors import UnlearningError
from unlearning.federated.federation_file import Recording as Modes
from unlearning.federated.flower.parameters import hides_updates, setting_of
from unlearning.federated.flower.records import only_arrays, tensors_of
from unlearning.federated.flower.wrapped import WrappedStrategy
from unlearning.federated.privacy import Tensors
from unlearning.federated.recorder import RoundFiles
from unlearning.federated.training import RoundRecord

if TYPE_CHECKING:
    from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
    from flwr.serverapp import Grid
    from flwr.serverapp.strategy import Result, Strategy

__all__ = ["RecordingStrategy"]


class RecordingStrategy(WrappedStrategy):
    """A Flower strategy that writes down what another one does; the outermost one, since `start` says when it ends.

    Under secure aggregation (`SecAggGrid`) the server sees sums, so global models alone can be kept.

    Args:
        inner: Trains.
        folder: Of the recording; made if missing, must be empty when the run starts.
        modes: What to keep; every global model and no update where None.
        clients: By Flower's node id, the client's number in the recording: 0, 1, …; a node that is not named gets the
            next one when it first answers.

    Raises:
        UnlearningError: Flower is not installed, or the numbers are not 0, 1, ….
    """

    def __init__(
        self, inner: "Strategy", folder: Path, modes: Modes | None = None, *, clients: Mapping[int, int] | None = None
    ) -> None:
        super().__init__(inner)
        self.clients: dict[int, int] = dict(clients or {})
        """By node id: the number of every client that is known."""
        if sorted(self.clients.values()) != list(range(len(self.clients))):
            told = f"clients have the numbers {sorted(self.clients.values())}"
            raise UnlearningError("unlearning.recording", told, "Number them 0, 1, …, each once.")
        self._folder, self._modes = folder, modes or Modes()
        self._files: RoundFiles | None = None
        self._before: Tensors = {}
        self._hidden = False
        self._examples: dict[int, int] = {}

    def start(
        self,
        grid: "Grid",
        initial_arrays: "ArrayRecord",
        num_rounds: int | None = None,
        timeout: float = 3600,
        train_config: "ConfigRecord | None" = None,
        evaluate_config: "ConfigRecord | None" = None,
        evaluate_fn: "Callable[[int, ArrayRecord], MetricRecord | None] | None" = None,
    ) -> "Result":
        """Run and record the rounds, as many as the inner strategy says where `num_rounds` is None, or Flower's 3.

        Raises:
            UnlearningError: `unlearning.recording`, the folder holds something, or updates are asked for that secure
                aggregation hides.
        """
        rounds = int(getattr(self.strategy, "num_rounds", 3)) if num_rounds is None else num_rounds
        self._hidden = hides_updates(grid)
        if self._hidden and self._modes.client_updates != "none":
            told = "under secure aggregation no single update reaches the server"
            raise UnlearningError("unlearning.recording", told, 'Record with client_updates = "none".')
        self._files = files = RoundFiles(self._folder, self._modes, rounds=rounds, sampled=True)
        result = super().start(grid, initial_arrays, rounds, timeout, train_config, evaluate_config, evaluate_fn)
        numbered = sorted(self.clients, key=self.clients.__getitem__)
        examples = tuple(self._examples.get(node, 0) for node in numbered)
        files.write_file(examples=examples, nodes=tuple(map(str, numbered)))
        self._files = None
        return result

    def configure_train(
        self, server_round: int, arrays: "ArrayRecord", config: "ConfigRecord", grid: "Grid"
    ) -> "Iterable[Message]":
        """Return the inner strategy's messages, and remember the model that they start from.

        Raises:
            UnlearningError: `unlearning.recording`, this strategy was not started itself.
        """
        if self._files is None:
            told = "RecordingStrategy records what its own start runs, and another strategy was started"
            raise UnlearningError("unlearning.recording", told, "Put it around the others: it is the outermost one.")
        self._before = tensors_of(arrays)
        return super().configure_train(server_round, arrays, config, grid)

    def aggregate_train(
        self, server_round: int, replies: "Iterable[Message]"
    ) -> "tuple[ArrayRecord | None, MetricRecord | None]":
        """Return what the inner strategy makes of the replies, written down.

        Raises:
            UnlearningError: `unlearning.recording`, a number is too large for float16; `unlearning.arrays`, a reply is
                no update of the model, or its weight none.
        """
        heard = list(replies)  # an iterator can be read once, and the inner strategy is to read it too
        after, metrics = super().aggregate_train(server_round, heard)
        if self._files is None:
            raise ValueError("a round is aggregated that was not configured")
        moved = self._before if after is None else tensors_of(after)
        # after the inner strategy: one that clips writes its clipped updates into the replies
        answers = [] if after is None or self._hidden else [reply for reply in heard if reply.has_content()]
        by_client = sorted(((self._number(one), one) for one in _ascending(answers)), key=lambda pair: pair[0])
        self._files(RoundRecord(
            round=server_round, before=self._before, after=moved,
            participants=tuple(number for number, _ in by_client),
            deltas=tuple(self._delta(reply) for _, reply in by_client),
            weights=self._weights([reply for _, reply in by_client]),
            mean={name: tensor - self._before[name] for name, tensor in moved.items()},
            noise_standard_deviation=0.0, losses=(),
        ))  # fmt: skip
        return after, metrics

    def _number(self, reply: "Message") -> int:
        return self.clients.setdefault(reply.metadata.src_node_id, len(self.clients))

    def _delta(self, reply: "Message") -> Tensors:
        """Return what a reply changes in the round's model."""
        sent = tensors_of(only_arrays(reply.content)[1])
        shapes = {name: tensor.shape for name, tensor in self._before.items()}
        if {name: tensor.shape for name, tensor in sent.items()} != shapes:
            told = f"the reply of node {reply.metadata.src_node_id} holds other tensors than the model it was sent"
            raise UnlearningError("unlearning.arrays", told, "Answer with the model's own state dict.")
        return {name: (sent[name] - tensor).to(tensor.dtype) for name, tensor in self._before.items()}

    def _weights(self, replies: "list[Message]") -> tuple[float, ...]:
        """Return each reply's weight in the mean, by the metric that the inner strategy weighs by, else equal ones."""
        key = setting_of(self.strategy).weight
        told = [_weight(reply, key) for reply in replies]
        for reply, weight in zip(replies, told, strict=True):
            node = reply.metadata.src_node_id
            self._examples[node] = max(self._examples.get(node, 0), int(weight or 0))
        weights = [weight for weight in told if weight is not None]
        if len(weights) < len(told) or not sum(weights):
            return (1 / len(told),) * len(told) if told else ()
        return tuple(weight / sum(weights) for weight in weights)


def _ascending(replies: "list[Message]") -> "list[Message]":
    return sorted(replies, key=lambda reply: reply.metadata.src_node_id)


def _weight(reply: "Message", key: str) -> float | None:
    """Return the number under `key` in a reply's metrics, where there is one.

    Raises:
        UnlearningError: `unlearning.arrays`, it is no weight.
    """
    for record in reply.content.metric_records.values():
        if isinstance(value := record.get(key), int | float):
            if not 0 <= value <= LARGEST_INTEGER:
                told = f"node {reply.metadata.src_node_id} gives {key} = {value!r}"
                raise UnlearningError("unlearning.arrays", told, "A weight is a number from 0, such as of examples.")
            return float(value)
    return None
