"""f-FUM inside a Flower run, around any strategy that averages: odd rounds forget, even rounds retain.

    round 1   max    train.unlearn_max to the forget nodes; their mean is the model
    round 2   min    the inner strategy, which sees no forget node, with {"unlearn-phase": "min"}
    …                as many pairs as the method has rounds
    after     post   the inner strategy with {"unlearn-phase": "post"}: plain training without the forget nodes

The loop is that of `unlearning.federated.methods.ffum`, less what a server cannot know: without the forget data and
its twin there is no going back to the best round and no early stop. As there, what the forget nodes send *is* the model
after a max phase; nothing here tells a node that forgets from one that takes the occasion to poison.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import torch

from unlearning.errors import TrainingDiverged, UnlearningError
from unlearning.federated.flower.assignment import Assignment, FlowerPhase
from unlearning.federated.flower.executed import ExecutedRound, executed_round, number_in
from unlearning.federated.flower.messages import forgetting, retaining
from unlearning.federated.flower.parameters import checked_method, hides_updates, setting_of
from unlearning.federated.flower.records import record_of, tensors_of
from unlearning.federated.flower.teacher import Teacher
from unlearning.federated.flower.wrapped import WrappedStrategy
from unlearning.federated.methods.base import Progress
from unlearning.federated.methods.ffum import MOSTLY_CAPPED, still
from unlearning.federated.rounds import Models, one_of, stacked
from unlearning.federated.training import seeded

if TYPE_CHECKING:
    from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
    from flwr.serverapp import Grid
    from flwr.serverapp.strategy import Result, Strategy

__all__ = ["FFUMStrategy"]

_log = logging.getLogger(__name__)


class FFUMStrategy(WrappedStrategy):
    """A Flower strategy that makes a federation forget; start it with the model that is to forget.

    Args:
        inner: Trains the retained nodes: FedAvg, or any strategy that averages.
        forget_nodes: Flower's ids of the nodes that hold what is to be forgotten.
        method_parameters: Of f-FUM; `tol` is not among them, and a reset needs `rounds` and a `teacher`.
        teacher: The frozen model; where None, the one that the run starts with.
        training_nodes: Those of `forget_nodes` that hold other data too and go on training, after a sample or class
            request; their train function leaves the forgotten examples out.
        seed: Of the kick, and of the order in which clients take their examples.

    Attributes:
        method: f-FUM with its parameters.
        executed: What each round did.
        warnings: What whoever relies on the result should know.

    Raises:
        UnlearningError: Flower is not installed, no node is to forget, or a parameter is wrong.
    """

    def __init__(
        self,
        inner: "Strategy",
        forget_nodes: Collection[int],
        method_parameters: Mapping[str, Any] | None = None,
        *,
        teacher: "ArrayRecord | None" = None,
        training_nodes: Collection[int] = (),
        seed: int = 0,
    ) -> None:
        super().__init__(inner)
        if not forget_nodes or not set(training_nodes) <= set(forget_nodes):
            told = "a node of training_nodes is no forget node" if forget_nodes else "there is no forget node"
            raise UnlearningError("unlearning.request", told, "Name the nodes that hold what is to be forgotten.")
        self.method = checked_method(method_parameters or {}, inner, has_teacher=teacher is not None)
        self.executed: list[ExecutedRound] = []
        self.warnings: list[str] = []
        self._forget = tuple(sorted(set(forget_nodes)))
        self._gone = frozenset(forget_nodes) - frozenset(training_nodes)
        self._seed = seed
        self._teacher = None if teacher is None else Teacher(teacher)
        self._sent: ArrayRecord | None = None
        self._asked: frozenset[int] = frozenset()
        self._hidden = self._degraded = self._still = False
        self._capped: float | None = None

    @property
    def num_rounds(self) -> int:
        """Flower's rounds that the method takes, all phases together."""
        fresh, post = self.method.reset == "init", self.method.post_rounds
        return self._forgetting_rounds + (post if post is not None else 0 if fresh else 2)

    @property
    def progress(self) -> Progress:
        """Whether the method could act, so far."""
        if self._still:
            return "none"
        if self._degraded:
            return "degraded"
        return "capped" if (self._capped or 0.0) > MOSTLY_CAPPED else "ok"

    def phase(self, server_round: int) -> FlowerPhase:
        """Return what one of Flower's rounds is for."""
        if server_round > self._forgetting_rounds:
            return "post"
        return "max" if server_round % 2 and self.method.reset != "init" else "min"

    def configure_train(
        self, server_round: int, arrays: "ArrayRecord", config: "ConfigRecord", grid: "Grid"
    ) -> "Iterable[Message]":
        """Return the messages of a round: to the forget nodes in odd rounds, to the others in even ones.

        Raises:
            UnlearningError: `unlearning.conflict`, the update of one forget node would be seen under secure
                aggregation; `unlearning.flower`, the inner strategy waits for more nodes than are left.
        """
        self._teacher = teacher = self._teacher or Teacher(arrays)
        phase = self.phase(server_round)
        self._sent, self._asked = arrays, frozenset()
        if self._still:
            return []
        assignment = Assignment(phase, server_round, self._seed, self.method, teacher.digest)
        if phase != "max":
            messages = retaining(self.strategy, assignment, teacher, arrays, config, grid, self._gone)
            self._asked = frozenset(message.metadata.dst_node_id for message in messages)
            return messages
        if self.method.direction == "none" and not self.executed:
            kicked = self.method.kicked(Models(stacked([tensors_of(arrays)])), [seeded(self._seed)])
            self._sent = record_of(one_of(kicked.tensors, 0))
        listed = frozenset(grid.get_node_ids())
        self._asked = frozenset(node for node in self._forget if node in listed)
        if missing := [node for node in self._forget if node not in listed]:
            self._degrade(server_round, f"forget nodes {_named(missing)} are not there")
        self._hidden = hides_updates(grid)
        if self._hidden and len(self._asked) == 1:
            told = "the sum of one forget node is its update, which secure aggregation is to hide"
            raise UnlearningError("unlearning.conflict", told, "Take reset = 'init', or more forget nodes.")
        keys = setting_of(self.strategy)
        return forgetting(assignment, teacher, self._sent, config, sorted(self._asked), keys)

    def aggregate_train(
        self, server_round: int, replies: "Iterable[Message]"
    ) -> "tuple[ArrayRecord | None, MetricRecord | None]":
        """Return the model after a round; after a max phase that nobody answered, the model before it.

        Raises:
            TrainingDiverged: After a max phase a weight is not finite.
        """
        heard = list(replies)
        if self._sent is None or self._teacher is None:
            raise ValueError("a round is aggregated that was not configured")
        for node in self._asked - {reply.metadata.src_node_id for reply in heard if reply.has_content()}:
            self._teacher.lost(node)
        if self._still:
            return self._sent, None
        if self.phase(server_round) == "max":
            return self._forgotten(server_round, heard, self._sent)
        after, metrics = self.strategy.aggregate_train(server_round, heard)
        if after is not None:
            phase = self.phase(server_round)
            self.executed.append(executed_round(server_round, phase, heard, self._sent, after))
        return after, metrics

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
        """Run the rounds, all of the method's where `num_rounds` is None; the rest is Flower's own.

        Raises:
            UnlearningError: `unlearning.flower`, it has run already.
        """
        if self._sent is not None:
            told = "this strategy has run, and keeps what it did and from which teacher"
            raise UnlearningError("unlearning.flower", told, "Make a new FFUMStrategy.")
        rounds = self.num_rounds if num_rounds is None else num_rounds
        return super().start(grid, initial_arrays, rounds, timeout, train_config, evaluate_config, evaluate_fn)

    @property
    def _forgetting_rounds(self) -> int:
        """Flower's rounds before the post rounds."""
        return (self.method.rounds or 3) * (1 if self.method.reset == "init" else 2)

    def _forgotten(
        self, server_round: int, heard: "list[Message]", before: "ArrayRecord"
    ) -> "tuple[ArrayRecord, MetricRecord | None]":
        """Return the weighted mean of what the forget nodes sent; `before` where there is none, or it is the same.

        The inner strategy has no part in it: its momentum would remember what is being forgotten.
        """
        from flwr.serverapp.strategy import FedAvg

        answers = [reply for reply in heard if reply.has_content()]
        why = "; ".join(str(reply.error.reason) for reply in heard if reply.has_error()) or "no answer in time"
        silent = self._asked - {reply.metadata.src_node_id for reply in answers}
        if silent and not (self._hidden and answers):  # there one reply stands for all
            self._degrade(server_round, f"forget nodes {_named(silent)} did not answer ({why[:500]})")
        keys = setting_of(self.strategy)
        after, metrics = FedAvg(weighted_by_key=keys.weight).aggregate_train(server_round, answers)
        if after is None:
            return before, None
        moved = Models(stacked([tensors_of(after)]))
        if not all(bool(torch.isfinite(tensor).all()) for tensor in moved.tensors.values()):
            told = f"round {server_round}, max phase: a weight is no longer finite"
            raise TrainingDiverged("unlearning.diverged", told, "Lower lr_max.")
        self._capped = number_in(metrics, "capped")
        if self._capped is not None and self._capped > MOSTLY_CAPPED:
            self._warn(f"round {server_round}: {self._capped:.0%} of the forget examples had reached the cap")
        if not self.executed and still(Models(stacked([tensors_of(before)])), moved):
            self._still = True
            self._warn("the first max phase did not move the model: the method did not act, and nothing follows")
            return before, None
        self.executed.append(executed_round(server_round, "max", heard, before, after, self._capped))
        return after, metrics

    def _degrade(self, server_round: int, told: str) -> None:
        self._degraded = True
        self._warn(f"round {server_round}: {told}: what only they hold is fine-tuned away, not unlearnt")

    def _warn(self, told: str) -> None:
        self.warnings.append(told)
        _log.warning("%s", told)


def _named(nodes: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(nodes)))
