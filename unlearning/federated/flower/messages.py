"""The messages of f-FUM's rounds in Flower."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from unlearning.errors import UnlearningError
from unlearning.federated.flower.assignment import PHASE, TENSORS, Assignment
from unlearning.federated.flower.parameters import InnerSetting, setting_of
from unlearning.federated.flower.records import UNLEARN_MAX
from unlearning.federated.flower.teacher import Teacher
from unlearning.federated.flower.wrapped import RestrictedGrid

if TYPE_CHECKING:
    from flwr.app import ArrayRecord, ConfigRecord, Message
    from flwr.serverapp import Grid
    from flwr.serverapp.strategy import Strategy

__all__ = ["forgetting", "retaining"]


def forgetting(
    assignment: Assignment,
    teacher: Teacher,
    arrays: "ArrayRecord",
    config: "ConfigRecord",
    nodes: Collection[int],
    keys: InnerSetting,
) -> "list[Message]":
    """Return the messages that have nodes forget.

    Args:
        assignment: Of the round.
        teacher: The frozen model; travels to a node that does not hold it.
        arrays: The global model.
        config: The caller's own, sent along.
        nodes: Flower's ids of them.
        keys: How the records of a message are named.
    """
    from flwr.app import ConfigRecord, Message, RecordDict

    file, messages = teacher.file_beside(arrays), []
    for node in nodes:
        told = assignment.config(file if teacher.goes_to(node) else None)
        record = ConfigRecord({**config, "server-round": assignment.round, **told})
        messages.append(Message(RecordDict({keys.arrays: arrays, keys.config: record}), node, UNLEARN_MAX))
    return messages


def retaining(
    inner: "Strategy",
    assignment: Assignment,
    teacher: Teacher,
    arrays: "ArrayRecord",
    config: "ConfigRecord",
    grid: "Grid",
    gone: Collection[int],
) -> "list[Message]":
    """Return the inner strategy's messages of a round without the nodes that are gone.

    Arguments as in `forgetting`.

    Raises:
        UnlearningError: `unlearning.flower`, the strategy would wait for more nodes than are left, for ever.
    """
    from flwr.app import ConfigRecord, Message, RecordDict

    seen = RestrictedGrid(grid, gone)
    left, needed = len(seen.get_node_ids()), setting_of(inner).least_nodes
    if left < needed <= len(list(grid.get_node_ids())):
        told = f"{type(inner).__name__} waits for {needed} nodes, and {left} are left without the forget nodes"
        mend = f"Give it min_train_nodes and min_available_nodes of {left} at most."
        raise UnlearningError("unlearning.flower", told, mend)
    added: dict[str, Any] = assignment.config() if assignment.phase == "min" else {PHASE: assignment.phase}
    name, messages = setting_of(inner).config, []
    file = teacher.file_beside(arrays) if assignment.needs_teacher else None
    for message in inner.configure_train(assignment.round, arrays, ConfigRecord({**config, **added}), seen.as_grid):
        node = message.metadata.dst_node_id
        if node in gone:  # of a strategy that keeps a list of nodes itself
            continue
        content = RecordDict(dict(message.content.items()))  # of its own: strategies send one to all
        content[name] = ConfigRecord({**content.config_records.get(name, {}), **added})
        if assignment.needs_teacher and teacher.goes_to(node) and file is not None:
            content.config_records[name][TENSORS] = file
        messages.append(Message(
            content, node, message.metadata.message_type, ttl=message.metadata.ttl, group_id=message.metadata.group_id
        ))  # fmt: skip
    return messages
