"""The client's side of f-FUM: what a Flower app answers in the max and in the min phase.

    @app.train("unlearn_max")
    def forget(message: Message, context: Context) -> Message:
        return unlearn_max(message, context, model=network(), loader=my_loader(context))

    @app.train()
    def train(message: Message, context: Context) -> Message:
        if phase_of(message) == "min":
            return unlearn_min(message, context, model=network(), loader=my_loader(context), learning_rate=0.1)
        ...  # as ever

The steps are those of the simulated federation (`unlearning.federated.local`), from the same draws: what is measured
there is what runs here.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from unlearning.errors import TrainingDiverged, UnlearningError
from unlearning.federated.data import ClientData
from unlearning.federated.flower.assignment import Assignment
from unlearning.federated.flower.records import only_arrays, record_of, require_flower, tensors_of
from unlearning.federated.flower.teacher import teacher_of
from unlearning.federated.local import LocalUpdate, local_update
from unlearning.federated.recipe import TrainingRecipe
from unlearning.federated.rounds import Phase, stacked
from unlearning.federated.training import seeded
from unlearning.models import match_parameters

if TYPE_CHECKING:
    from flwr.app import Context, Message

__all__ = ["unlearn_max", "unlearn_min"]

Loader = Iterable[tuple[Tensor, Tensor]]
"""Batches of examples (B, *input_shape) and labels (B,), such as a torch DataLoader gives."""
_UNUSED = 1.0
"""Learning rate of a recipe whose phase takes its own."""


def unlearn_max(message: "Message", context: "Context", *, model: nn.Module, loader: Loader) -> "Message":
    """Answer a message of the max phase: away from the teacher, on what this client is to forget.

    Where a loss is no longer finite, the phase is run once more at half the learning rate.

    Args:
        message: Of type `train.unlearn_max`.
        context: The client's; keeps the teacher between rounds.
        model: The architecture, which gives logits, on the CPU; its weights are overwritten.
        loader: What is to be forgotten. Read once, whole; its first batch says how large one is, and in which order
            examples are taken is drawn from the server's seed.

    Returns:
        A reply of one array record and one metric record: num-examples, loss, capped, and what it cost.

    Raises:
        UnlearningError: The message is not of this phase, the model does not fit, or the loader is empty.
        TrainingDiverged: A loss is not finite at half the learning rate either.
    """
    task = _Task(message, context, "max", model, loader)
    recipe = task.recipe(_UNUSED)
    phases = [task.method.max_phase(task.shares, recipe, task.stack, slower=slower) for slower in (1.0, 2.0)]
    try:
        return task.answered(task.update(phases[0]))
    except TrainingDiverged:
        return task.answered(task.update(phases[1]))


def unlearn_min(
    message: "Message",
    context: "Context",
    *,
    model: nn.Module,
    loader: Loader,
    learning_rate: float | None = None,
    momentum: float = 0.0,
    local_epochs: int = 1,
) -> "Message":
    """Answer a message of the min phase: near the teacher, and learning, on what this client retains.

    Args:
        message: Of a round whose config says {"unlearn-phase": "min"}.
        context: The client's; keeps the teacher between rounds.
        model: The architecture, which gives logits, on the CPU; its weights are overwritten.
        loader: What is retained; read as in `unlearn_max`.
        learning_rate: Of usual training; the method's lr_min goes before.
        momentum: Of usual training; the method's momentum goes before.
        local_epochs: Of usual training; they count with reset = "init" alone, else there is one.

    Returns:
        A reply as in `unlearn_max`.

    Raises:
        UnlearningError: As in `unlearn_max`, or neither the method nor the caller gives a learning rate.
        TrainingDiverged: A loss is not finite.
    """
    task = _Task(message, context, "min", model, loader)
    rate = learning_rate if learning_rate is not None else task.method.lr_min
    if rate is None:
        told = "the min phase has no learning rate"
        raise UnlearningError("unlearning.parameter", told, "Give unlearn_min learning_rate, or the method lr_min.")
    recipe = task.recipe(rate, momentum, local_epochs)
    return task.answered(task.update(task.method.min_phase(task.shares, recipe, task.stack)))


class _Task:
    """One message's work: the round's model, the teacher, and the client's examples."""

    def __init__(
        self, message: "Message", context: "Context", phase: Literal["max", "min"], model: nn.Module, loader: Loader
    ) -> None:
        require_flower()
        self._message, self._model = message, model
        self._assignment = Assignment.found_in(message.content, phase)
        self.method = self._assignment.method
        self._name, arrays = only_arrays(message.content)
        received = tensors_of(arrays)
        self._names = tuple(received)
        self._before = match_parameters(model, received, buffers=True, source="the round's model")
        self._teacher = self._before
        if self._assignment.needs_teacher:
            teacher = teacher_of(self._assignment, message.content, context, arrays)
            self._teacher = match_parameters(model, teacher, buffers=True, source="the teacher")
        self._data, self._batch_size = _whole(loader)
        self._client = int(context.node_config.get("partition-id", context.node_id))
        self.shares = {self._client: self._data}
        self.stack = stacked([self._teacher])

    def recipe(self, learning_rate: float, momentum: float = 0.0, local_epochs: int = 1) -> TrainingRecipe:
        """Return the client's usual training, as the method takes it."""
        return TrainingRecipe(
            rounds=1, batch_size=self._batch_size, learning_rate=learning_rate, momentum=momentum,
            local_epochs=local_epochs,
        )  # fmt: skip

    def update(self, phase: Phase) -> LocalUpdate:
        """Return what the phase's steps make of the round's model."""
        number = self._assignment.round
        generator = seeded(self._assignment.seed)(f"{phase.prefix}round/{number}/client/{self._client}/batches")
        return local_update(
            self._model, self._before, self._data, phase.recipe, generator,
            place=f"round {number}, {phase.kind} phase", local=replace(phase.local, teacher=self._teacher),
        )  # fmt: skip

    def answered(self, update: LocalUpdate) -> "Message":
        """Return the reply that carries the client's model."""
        from flwr.app import Message, MetricRecord, RecordDict

        after = {  # in the order that came: Flower's clipping mods ask for it
            name: (self._before[name] + update.delta[name]).to(self._before[name].dtype) for name in self._names
        }
        metrics = MetricRecord({
            "num-examples": len(self._data), "loss": update.loss, "capped": update.capped,
            "example-gradients": update.work.example_gradients, "teacher-forwards": update.work.teacher_forwards,
        })  # fmt: skip
        return Message(RecordDict({self._name: record_of(after), "metrics": metrics}), reply_to=self._message)


def _whole(loader: Loader) -> tuple[ClientData, int]:
    """Return all of a loader's examples, and how many its first batch holds."""
    batches = list(loader)
    if not batches or not sum(len(y) for _, y in batches):
        raise UnlearningError("unlearning.loader", "the loader gives no examples", "Answer with what the client holds.")
    x, y = (torch.cat([batch[place] for batch in batches]) for place in (0, 1))
    return ClientData(x, y), max(1, len(batches[0][1]))
