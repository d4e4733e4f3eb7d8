"""Gradient matching that never builds the weight gradient of a linear layer.

For z = W a + b the gradient of one trial is δᵀ a, with δ = dL/dz, so its product with a target G is <a Gᵀ, δ> and its
squared length Σ <a_p, a_q> <δ_p, δ_q> over pairs of positions p, q: both come from factors that are far smaller than
W. A convolution is a linear layer on patches; where it has more positions than pairs are worth, its weight gradients
are formed, small as they are. Neither form needs a gradient with respect to a weight in torch's graph.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from audit.engines.base import Chunked, cosine_distance, mean_loss
from audit.engines.convolution import Convolution, Form, WeightTerms

LARGEST_CHUNK = 64 * 2**20
"""Bytes that the inputs and outputs of the layers, and the weight gradients of convolutions, of a chunk may take."""


@dataclass(frozen=True, eq=False)
class _Call:
    """One layer's share in a forward pass."""

    layer: "_Watched"
    given: Tensor
    returned: Tensor


class Factored(Chunked):
    """The objective from layer inputs and output gradients; for models of linear and convolutional layers alone."""

    name = "factored"

    def __init__(self, model: nn.Module, device: str | torch.device = "cpu") -> None:
        """Copy `model`.

        Raises:
            ValueError: `suits` says no.
        """
        super().__init__(model, device)
        if not suits(model):
            raise ValueError(
                "the factored engine takes linear and convolutional layers alone, each with its own weights"
            )
        self._calls: list[_Call] = []
        self._sizes: dict[tuple[int, ...], int] = {}
        order = {name: position for position, name in enumerate(self.parameters)}
        for name, module in list(self.model.named_modules()):
            if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d):
                prefix = f"{name}." if name else ""
                watched = _Watched(module, order[f"{prefix}weight"], order.get(f"{prefix}bias"), self._calls)
                self.model = _replaced(self.model, name, watched)

    def chunk(self, x: Tensor) -> int:
        """Return as many trials as `LARGEST_CHUNK` holds."""
        shape = tuple(x.shape[1:])
        if shape not in self._sizes:
            with torch.no_grad():
                calls = self._run(x[0])[1]
            numbers = sum(
                call.given.numel() + call.returned.numel() + (call.layer.weight.numel() if call.layer.images else 0)
                for call in calls
            )
            self._sizes[shape] = numbers * x.element_size()
        return max(1, LARGEST_CHUNK // self._sizes[shape])

    def matched(self, x: Tensor, y: Tensor, target: list[Tensor]) -> Tensor:  # type: ignore[override]
        """Return the objective of one chunk; see `Chunked`."""
        trials = len(x)
        outputs, calls = self._run(x.flatten(0, 1))
        loss = mean_loss(outputs, y.flatten(0, 1), trials)
        seen = [call.returned for call in calls]
        impulses = torch.autograd.grad(loss, seen, create_graph=True, materialize_grads=True)
        inner, squared = x.new_zeros(trials), x.new_zeros(trials)
        for call, impulse in zip(calls, impulses, strict=True):
            layer = call.layer
            weight = target[layer.weight_at]
            bias = None if layer.bias_at is None else target[layer.bias_at]
            product, square = layer.terms(call.given, impulse, weight, bias, trials)
            inner, squared = inner + product, squared + square
        return cosine_distance(inner, squared)

    def _run(self, records: Tensor) -> tuple[Tensor, list[_Call]]:
        """Return the model's outputs and the calls of its layers.

        Raises:
            ValueError: a layer was called more than once, or not at all.
        """
        self._calls.clear()
        outputs: Tensor = self.model(records)
        calls = list(self._calls)
        self._calls.clear()
        if len({id(call.layer) for call in calls}) != len(calls) or len(calls) != len(list(_watched(self.model))):
            raise ValueError("a layer is called more than once, or not at all; take another engine")
        return outputs, calls


def suits(model: nn.Module) -> bool:
    """Tell whether the modules of `model` are such as the factored engine takes.

    All parameters belong to plain linear or convolutional layers, none to two of them, padding is with zeros and given
    in numbers, and no layer mixes the records of a batch.
    """
    owners = [module for module in model.modules() if any(True for _ in module.parameters(recurse=False))]
    plain = all(type(module) in (nn.Linear, nn.Conv1d, nn.Conv2d) for module in owners)
    images = [module for module in owners if isinstance(module, nn.Conv1d | nn.Conv2d)]
    zeros = all(module.padding_mode == "zeros" and not isinstance(module.padding, str) for module in images)
    mixing = any(isinstance(m, nn.modules.batchnorm._BatchNorm) and m.training for m in model.modules())
    names = len(list(model.named_parameters(remove_duplicate=False)))
    return plain and zeros and not mixing and names == len(list(model.parameters())) > 0


class _Watched(nn.Module):
    """A layer of fixed weights that notes its calls."""

    def __init__(
        self, layer: nn.Linear | nn.Conv1d | nn.Conv2d, weight_at: int, bias_at: int | None, calls: list[_Call]
    ) -> None:
        super().__init__()
        self.weight = layer.weight.detach()
        self.bias = None if layer.bias is None else layer.bias.detach()
        self.weight_at, self.bias_at, self.calls = weight_at, bias_at, calls
        self.images = not isinstance(layer, nn.Linear)
        if not isinstance(layer, nn.Linear):
            flat = isinstance(layer, nn.Conv1d)  # a row of pixels is an image of height one
            self.flat = flat
            self.form = Form(_two(layer.stride, 1), _two(layer.padding, 0), _two(layer.dilation, 1), layer.groups)

    def forward(self, given: Tensor) -> Tensor:
        """Return the layer's output, and note input and output."""
        returned = self._image(given) if self.images else functional.linear(given, self.weight, self.bias)
        self.calls.append(_Call(self, given, returned))
        return returned

    def _image(self, given: Tensor) -> Tensor:
        weight = self.weight.unsqueeze(-2) if self.flat else self.weight
        image = given.unsqueeze(-2) if self.flat else given
        result: Tensor = Convolution.apply(image, weight, self.bias, self.form)  # type: ignore[no-untyped-call]
        return result.squeeze(-2) if self.flat else result

    def terms(
        self, given: Tensor, impulse: Tensor, weight: Tensor, bias: Tensor | None, trials: int
    ) -> tuple[Tensor, Tensor]:
        """Return the layer's part of <g, G> and of |g|², each of shape (T,).

        Args:
            given: The layer's input, shape (T * B, ...).
            impulse: dL/dz, as the output.
            weight: Target of the weight, shape (T or 1, *shape).
            bias: Target of the bias, shape (T or 1, out); None where there is none.
            trials: T.
        """
        if not self.images:
            rows = given.reshape(trials, -1, given.shape[-1])
            return _linear_terms(rows, impulse.reshape(trials, -1, impulse.shape[-1]), weight, bias)
        if self.flat:
            given, impulse, weight = given.unsqueeze(-2), impulse.unsqueeze(-2), weight.unsqueeze(-2)
        return _image_terms(given, impulse, weight, bias, trials, self.form)


def _linear_terms(rows: Tensor, impulses: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return both terms of a linear layer for inputs (T, P, in) and impulses (T, P, out), by the cheaper form."""
    positions, wide, narrow = rows.shape[1], rows.shape[2], impulses.shape[2]
    summed = impulses.sum(dim=1)
    inner = rows.new_zeros(len(rows)) if bias is None else (summed * bias).sum(dim=1)
    squared = rows.new_zeros(len(rows)) if bias is None else (summed * summed).sum(dim=1)
    if positions == 1:
        row, impulse = rows[:, 0], impulses[:, 0]
        answer = functional.linear(row, weight[0]) if len(weight) == 1 else (weight @ row[:, :, None])[:, :, 0]
        return inner + (answer * impulse).sum(dim=1), squared + (row * row).sum(dim=1) * (impulse * impulse).sum(dim=1)
    if positions * (wide + narrow) <= wide * narrow:
        pairs = (rows @ rows.transpose(1, 2)) * (impulses @ impulses.transpose(1, 2))
        answer = rows @ weight.transpose(1, 2)
        return inner + (answer * impulses).sum(dim=(1, 2)), squared + pairs.sum(dim=(1, 2))
    gradient = impulses.transpose(1, 2) @ rows
    return inner + (gradient * weight).sum(dim=(1, 2)), squared + (gradient * gradient).sum(dim=(1, 2))


def _image_terms(
    given: Tensor, impulse: Tensor, weight: Tensor, bias: Tensor | None, trials: int, form: Form
) -> tuple[Tensor, Tensor]:
    """Return both terms of a convolution of images (T * B, in, h, w)."""
    positions = len(given) // trials * math.prod(impulse.shape[2:])
    patch, channels = math.prod(weight.shape[2:]), impulse.shape[1]
    if form.groups == 1 and positions * (patch + channels) < patch * channels:
        patches = functional.unfold(given, tuple(weight.shape[3:]), form.dilation, form.padding, form.stride)
        rows = patches.transpose(1, 2).reshape(trials, -1, patch)
        impulses = impulse.flatten(2).transpose(1, 2).reshape(trials, -1, channels)
        return _linear_terms(rows, impulses, weight.flatten(2), bias)
    terms: tuple[Tensor, Tensor] = WeightTerms.apply(given, impulse, weight, trials, form)  # type: ignore[no-untyped-call]
    inner, squared = terms
    if bias is not None:
        summed = impulse.reshape(trials, -1, channels, math.prod(impulse.shape[2:])).sum(dim=(1, 3))
        inner, squared = inner + (summed * bias).sum(dim=1), squared + (summed * summed).sum(dim=1)
    return inner, squared


def _replaced(model: nn.Module, name: str, layer: nn.Module) -> nn.Module:
    """Return the model with another module in the place called `name`; the module itself where that is empty."""
    if not name:
        return layer
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, layer)
    return model


def _watched(model: nn.Module) -> Iterator["_Watched"]:
    return (module for module in model.modules() if isinstance(module, _Watched))


def _two(value: str | int | tuple[int, ...], flat: int) -> tuple[int, int]:
    """Return an argument of a convolution for height and width; a convolution over one dimension has height `flat`."""
    assert not isinstance(value, str), "`suits` takes padding in numbers only"  # noqa: S101
    if isinstance(value, int):
        return value, value
    return (flat, value[0]) if len(value) == 1 else (value[0], value[1])
