"""The frozen model of an unlearning: it travels to a node once, and is kept there by its digest."""

import hashlib
from typing import TYPE_CHECKING

from torch import Tensor

from unlearning.errors import UnlearningError
from unlearning.federated.flower.assignment import TEACHER, Assignment, sent_tensors
from unlearning.federated.flower.records import digest_of, record_of, tensors_of
from unlearning.federated.recorder import tensor_bytes

if TYPE_CHECKING:
    from flwr.app import ArrayRecord, Context, RecordDict

__all__ = ["Teacher", "teacher_of"]


class Teacher:
    """The server's side: the model, and which nodes hold it."""

    def __init__(self, arrays: "ArrayRecord") -> None:
        self._file = tensor_bytes(tensors_of(arrays))
        self.digest = hashlib.sha256(self._file).hexdigest()
        """SHA-256 of its safetensors file."""
        self._holders: set[int] = set()

    def file_beside(self, arrays: "ArrayRecord") -> bytes | None:
        """Return what a node that lacks the teacher needs beside a round's model; None where that is the teacher."""
        return None if digest_of(arrays) == self.digest else self._file

    def goes_to(self, node: int) -> bool:
        """Tell whether a node lacks it; from here on the node counts as a holder."""
        lacks = node not in self._holders
        self._holders.add(node)
        return lacks

    def lost(self, node: int) -> None:
        """Learn that a node may not hold it: it failed, and what a failed message brought is not kept."""
        self._holders.discard(node)


def teacher_of(
    assignment: Assignment, content: "RecordDict", context: "Context", arrays: "ArrayRecord"
) -> dict[str, Tensor]:
    """Return the teacher of an assignment, on the client's side; from here on the client holds it.

    Args:
        assignment: Names its digest.
        content: Of the message, which may bring it.
        context: The client's; its state holds one teacher.
        arrays: The round's model, which may be it.

    Raises:
        UnlearningError: `unlearning.teacher`, the client does not hold it and the message does not bring it.
    """
    name = f"{TEACHER}/{assignment.teacher}"
    held = context.state.array_records
    if name in held:
        return tensors_of(held[name])
    tensors = sent_tensors(content, assignment.teacher)
    if tensors is None and digest_of(arrays) == assignment.teacher:
        tensors = tensors_of(arrays)
    if tensors is None:
        told = f"the teacher {assignment.teacher[:16]}… is not here, and the message does not bring it"
        raise UnlearningError("unlearning.teacher", told, "Let FFUMStrategy make the messages: it sends it again.")
    for other in [key for key in held if key.startswith(TEACHER)]:
        del context.state[other]
    context.state[name] = record_of(tensors)
    return tensors
