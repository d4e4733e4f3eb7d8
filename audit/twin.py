"""The unprotected twin: what a client would have sent in the clear, from the system's own model.

A control on another network proves nothing about this one, so every gradient here is taken at the base that the
recorded update names. The layers that a closed-form attack reads are found by running the model once and watching.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from audit.load import Truth
from reports.errors import SystemFileError

Array = npt.NDArray[np.float64]
MOST_LABELS = 100
"""Labels under which a record is tried; each costs a backward pass."""
DEFAULT_LEARNING_RATE = 0.01
"""Of a simulated delta where none is recorded; the attacks do not depend on its scale."""


@dataclass(frozen=True)
class Scale:
    """How a record becomes the model's input: (x - mean) / deviation."""

    mean: Array
    """Broadcasts against (B, *input_shape)."""
    deviation: Array
    """Likewise."""

    def normalised(self, x: Tensor) -> Tensor:
        """Return records, shape (B, *input_shape), as the model takes them, float32."""
        return ((x.double() - torch.from_numpy(self.mean)) / torch.from_numpy(self.deviation)).float()

    def flat(self, shape: tuple[int, ...]) -> tuple[Array, Array]:
        """Return mean and deviation of each coordinate of a flattened record of `shape`."""
        mean = np.broadcast_to(self.mean, (1, *shape)).reshape(-1)
        return np.array(mean), np.array(np.broadcast_to(self.deviation, (1, *shape)).reshape(-1))


@dataclass(frozen=True)
class LayerNames:
    """A linear layer by the names of its tensors."""

    weight: str
    """Of shape (out, in)."""
    bias: str | None
    """Of shape (out,); None where the layer has none."""


@dataclass(frozen=True)
class ReadableLayers:
    """The two layers that a closed-form attack can read."""

    first: LayerNames | None
    """The linear layer that sees the record itself; None where the first layer with weights is another."""
    last: LayerNames | None
    """The linear layer whose output is the model's; None where there is none such."""


def readable_layers(base: nn.Module, shape: tuple[int, ...], scale: Scale) -> ReadableLayers:
    """Return the layers of `base` that can be read, found by passing two random records through it.

    Args:
        base: The model.
        shape: Shape of one record.
        scale: Its normalisation.

    Raises:
        SystemFileError: the model does not take records of that shape.
    """
    x = scale.normalised(torch.rand((2, *shape), generator=torch.Generator().manual_seed(0)))
    calls: list[_Call] = []
    with _watched(base, calls):
        try:
            with torch.no_grad():
                output = base(x)
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            raise SystemFileError(
                "model.input_shape",
                f"system.toml: model.input_shape: the model does not take records of shape {shape}: {error}",
                "Declare the shape of one record, without the batch.",
            ) from error
    first = last = None
    if calls:
        early, late = calls[0], calls[-1]
        if isinstance(early.module, nn.Linear) and early.given.ndim == 2 and torch.equal(early.given, x.flatten(1)):
            first = _names(early.name, early.module)
        if isinstance(late.module, nn.Linear) and torch.equal(late.returned.reshape(-1), output.reshape(-1)):
            last = _names(late.name, late.module)
    return ReadableLayers(first, last)


@dataclass(frozen=True, eq=False)
class _Call:
    """One call of a module during a forward pass."""

    name: str
    module: nn.Module
    given: Tensor
    returned: Tensor


def loss_of(outputs: Tensor, y: Tensor) -> Tensor:
    """Return the mean loss: squared error for float targets, binary cross-entropy for one logit, else cross-entropy."""
    if y.is_floating_point():
        return functional.mse_loss(outputs.reshape(y.shape), y)
    if outputs.ndim == 1 or outputs.shape[-1] == 1:
        return functional.binary_cross_entropy_with_logits(outputs.reshape(y.shape), y.float())
    return functional.cross_entropy(outputs, y)


def clear_gradient(base: nn.Module, truth: Truth, scale: Scale, names: Collection[str]) -> dict[str, Array]:
    """Return the gradient of the mean loss over `truth` at `base` for the tensors `names`, float64."""
    parameters = {name: p for name, p in base.named_parameters(remove_duplicate=False) if name in names}
    with torch.enable_grad():
        leaves = {name: p.detach().requires_grad_() for name, p in parameters.items()}
        loss = loss_of(functional_call(base, leaves, (scale.normalised(truth.x),)), truth.y)
        gradients = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
    return {
        name: np.zeros(leaf.shape) if g is None else g.double().numpy()
        for (name, leaf), g in zip(leaves.items(), gradients, strict=True)
    }


def clear_delta(
    base: nn.Module, truth: Truth, scale: Scale, names: Collection[str], *, steps: int, learning_rate: float | None
) -> dict[str, Array]:
    """Return what `steps` of plain gradient descent on `truth` as one batch change in the tensors `names`, float64."""
    rate = learning_rate or DEFAULT_LEARNING_RATE
    start = {name: p.detach() for name, p in base.named_parameters(remove_duplicate=False)}
    delta = {name: np.zeros(tuple(p.shape)) for name, p in start.items()}
    x = scale.normalised(truth.x)
    for _ in range(steps):
        leaves = {n: (p + torch.from_numpy(delta[n]).to(p.dtype)).requires_grad_() for n, p in start.items()}
        with torch.enable_grad():
            loss = loss_of(functional_call(base, leaves, (x,)), truth.y)
            gradients = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
        for name, gradient in zip(leaves, gradients, strict=True):
            if gradient is not None:  # summed in float64: after minus before would cancel most digits of a small step
                delta[name] -= rate * gradient.double().numpy()
    return {name: delta[name] for name in names}


def first_impulses(
    base: nn.Module, layer: LayerNames, x: Tensor, scale: Scale, neurons: npt.NDArray[np.int64]
) -> Array:
    """Return dL/db of one neuron of the first layer for each record alone, under every label, shape (m, labels).

    Args:
        base: The model; its outputs are one logit a label, or one for two.
        layer: Its first linear layer.
        x: Records in raw units, shape (m, *input_shape).
        scale: Their normalisation.
        neurons: For each record the neuron that is asked about, shape (m,); beyond the layer's width it wraps, for
            rows of several views stacked.
    """
    seen: list[Tensor] = []
    handle = base.get_submodule(layer.weight.rpartition(".")[0]).register_forward_hook(
        lambda _module, _given, returned: seen.append(returned)
    )
    try:
        with torch.enable_grad():
            output = base(scale.normalised(x).requires_grad_())
    finally:
        handle.remove()
    rows = torch.arange(len(x))
    columns = torch.from_numpy(neurons) % seen[0].shape[1]
    labels = max(2, output.shape[-1]) if output.ndim > 1 else 2
    found = []
    for label in range(min(labels, MOST_LABELS)):
        loss = loss_of(output, torch.full((len(x),), label)) * len(x)  # the sum: each record's gradient is its own
        (gradient,) = torch.autograd.grad(loss, seen[0], retain_graph=True)
        found.append(gradient[rows, columns])
    return torch.stack(found, dim=1).double().numpy()


def clear_update(
    base: nn.Module, truth: Truth, scale: Scale, names: Collection[str], *,
    of: str, clients: int = 1, steps: int = 1, learning_rate: float | None = None,
) -> dict[str, Array]:  # fmt: skip
    """Return the clear sum of `clients` updates that share the records of `truth` between them, float64.

    Args:
        base: The model they start from.
        truth: All records, dealt out in order.
        scale: Their normalisation.
        names: Tensors that are wanted.
        of: "gradient" or "delta".
        clients: At most as many as there are records.
        steps: Of local training, for a delta.
        learning_rate: Of those steps.
    """
    total = {name: np.zeros(()) for name in names}
    for part in np.array_split(np.arange(len(truth)), min(clients, len(truth))):
        own = Truth(truth.x[part], truth.y[part])
        if of == "delta":
            update = clear_delta(base, own, scale, names, steps=steps, learning_rate=learning_rate)
        else:
            update = clear_gradient(base, own, scale, names)
        total = {name: total[name] + update[name] for name in names}
    return total


@contextmanager
def _watched(model: nn.Module, calls: list[_Call]) -> Iterator[None]:
    """Note every call of a module that holds parameters of its own, in order of return."""

    def note_as(name: str) -> Callable[[nn.Module, tuple[object, ...], object], None]:
        def note(module: nn.Module, given: tuple[object, ...], returned: object) -> None:
            if given and isinstance(given[0], Tensor) and isinstance(returned, Tensor):
                calls.append(_Call(name, module, given[0], returned))

        return note

    own = [(n, m) for n, m in model.named_modules() if any(True for _ in m.parameters(recurse=False))]
    handles = [module.register_forward_hook(note_as(name)) for name, module in own]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _names(name: str, layer: nn.Linear) -> LayerNames:
    prefix = f"{name}." if name else ""
    return LayerNames(f"{prefix}weight", None if layer.bias is None else f"{prefix}bias")


def records_of(truth: Truth, rows: npt.NDArray[np.int64]) -> Truth:
    """Return some records of `truth`, in the order of `rows`."""
    return Truth(truth.x[rows], truth.y[rows])
