"""One client's training: gradient steps from the global model, down one objective."""

import copy
import math
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from unlearning.errors import TrainingDiverged
from unlearning.federated.data import ClientData
from unlearning.federated.objectives import CrossEntropy, Objective
from unlearning.federated.privacy import Tensors, norm
from unlearning.federated.recipe import TrainingRecipe
from unlearning.models import drawing_from

__all__ = ["PLAIN", "LocalSteps", "LocalUpdate", "Work", "batches", "local_update", "logits_of"]

FORWARD_BATCH = 2048
"""Examples in one forward pass without gradients."""


@dataclass(frozen=True)
class Work:
    """What a training cost, counted in a way that no machine changes."""

    example_gradients: int = 0
    """Gradients of single examples."""
    teacher_forwards: int = 0
    """Forward passes of single examples through a frozen teacher."""

    def __add__(self, other: "Work") -> "Work":
        return Work(
            self.example_gradients + other.example_gradients,
            self.teacher_forwards + other.teacher_forwards,
        )


@dataclass(frozen=True, eq=False)
class LocalSteps:
    """What a client's steps go down, and how far one may go."""

    objective: Objective = field(default_factory=CrossEntropy)
    """The loss."""
    teacher: Tensors | None = None
    """The frozen model that the objective compares with, where it does: a state dict."""
    gradient_clip: float | None = None
    """L2 bound on a step's gradient; None where there is none."""
    frozen_statistics: bool = False
    """Whether BatchNorm uses its running statistics and leaves them alone, as forgetting must."""
    stop_at: float | None = None
    """Mean loss of a batch, by absolute value, from which a client stops; None for all its steps."""
    radius: float | None = None
    """L2 distance from where it starts that no step of a client leads beyond; None where there is none."""


PLAIN = LocalSteps()
"""Plain training."""


@dataclass(frozen=True, eq=False)
class LocalUpdate:
    """What one client's training gave."""

    delta: Tensors
    """Parameters after minus before."""
    loss: float
    """Mean loss over the steps' batches, in nats."""
    work: Work
    """What it cost."""
    capped: float = 0.0
    """Share of its examples, over all steps, that had reached the objective's cap."""


def local_update(
    module: nn.Module,
    parameters: Tensors,
    data: ClientData,
    recipe: TrainingRecipe,
    generator: torch.Generator,
    *,
    place: str = "local training",
    local: LocalSteps = PLAIN,
) -> LocalUpdate:
    """Return what a client's gradient steps make of the global model.

    Args:
        module: The architecture; its weights are overwritten.
        parameters: The global model's state dict.
        data: The client's examples, at least one.
        recipe: Epochs, steps, batch size, learning rate and momentum.
        generator: Source of the order of the examples, and of what the layers draw.
        place: What to call this training in an error.
        local: What the steps go down.

    Raises:
        TrainingDiverged: A loss is not finite.
    """
    taught = _teacher_logits(module, local, data)
    module.load_state_dict(dict(parameters))
    module.train()
    if local.frozen_statistics:
        for layer in module.modules():
            if isinstance(layer, _BatchNorm):
                layer.eval()
    optimiser = torch.optim.SGD(module.parameters(), lr=recipe.learning_rate, momentum=recipe.momentum)
    losses, examples, capped = [], 0, 0
    with _own_stream(module, generator):
        for batch in batches(len(data), recipe, generator):
            optimiser.zero_grad()
            found = local.objective(module(data.x[batch]), data.y[batch], None if taught is None else taught[batch])
            loss = found.values.mean()
            if not math.isfinite(loss.item()):
                mend = f"Lower learning_rate (it is {recipe.learning_rate:g})."
                raise TrainingDiverged("training.diverged", f"{place}: the loss is no longer finite", mend)
            if local.stop_at is not None and abs(loss.item()) > local.stop_at:
                break
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            if local.gradient_clip is not None:
                nn.utils.clip_grad_norm_(module.parameters(), local.gradient_clip)
            optimiser.step()
            if local.radius is not None:
                _project(module, parameters, local.radius)
            losses.append(loss.item())
            examples += len(batch)
            capped += 0 if found.capped is None else int(found.capped.sum())
    delta = {name: after.detach() - parameters[name] for name, after in module.state_dict().items()}
    work = Work(examples, 0 if taught is None else len(data))
    return LocalUpdate(delta, math.fsum(losses) / max(len(losses), 1), work, capped / max(examples, 1))


def batches(examples: int, recipe: TrainingRecipe, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield the indices of every step's batch: a new order each epoch, at most `local_steps` batches."""
    taken = 0
    for _ in range(recipe.local_epochs):
        order = torch.randperm(examples, generator=generator)
        for start in range(0, examples, recipe.batch_size):
            if taken == recipe.local_steps:
                return
            yield order[start : start + recipe.batch_size]
            taken += 1


def logits_of(module: nn.Module, parameters: Tensors, x: Tensor) -> Tensor:
    """Return the logits of a state dict on examples, shape (n, C), in evaluation mode; the module is overwritten."""
    module.load_state_dict(dict(parameters))
    module.eval()
    with torch.no_grad():
        return torch.cat(
            [module(x[start : start + FORWARD_BATCH]) for start in range(0, max(len(x), 1), FORWARD_BATCH)]
        )


def _teacher_logits(module: nn.Module, local: LocalSteps, data: ClientData) -> Tensor | None:
    """Return the teacher's logits on all of a client's examples, where the objective asks for them."""
    if not local.objective.needs_teacher:
        return None
    if local.teacher is None:
        raise ValueError("this objective compares with a teacher, and none is given")
    return logits_of(copy.deepcopy(module), local.teacher, data.x)


def _project(module: nn.Module, centre: Tensors, radius: float) -> None:
    """Move the parameters of `module` to the nearest point of the ball round `centre`."""
    with torch.no_grad():
        moved = {name: parameter - centre[name] for name, parameter in module.named_parameters()}
        distance = norm(moved)
        if distance > radius:
            for name, parameter in module.named_parameters():
                parameter.copy_(centre[name] + moved[name] * (radius / distance))


def _own_stream(module: nn.Module, generator: torch.Generator) -> nullcontext[None]:
    """Return what lets dropout draw from the client's own generator; nothing where no layer draws."""
    if any(isinstance(layer, _DropoutNd) for layer in module.modules()):
        return drawing_from(generator)  # type: ignore[return-value]
    return nullcontext()
