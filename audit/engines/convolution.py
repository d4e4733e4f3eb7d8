"""Convolutions for the factored engine: derivatives that ask for nothing with respect to the model's weights."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

_convolution_backward = torch.ops.aten.convolution_backward


@dataclass(frozen=True)
class Form:
    """How a convolution walks over an image."""

    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int


class Convolution(torch.autograd.Function):
    """A convolution whose derivatives ask for nothing with respect to the weight."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, weight: Tensor, bias: Tensor | None, form: Form) -> Tensor:
        """Return the convolution of images (N, in, h, w)."""
        ctx.form = form
        ctx.save_for_backward(image, weight)
        return functional.conv2d(image, weight, bias, form.stride, form.padding, form.dilation, form.groups)

    @staticmethod
    def backward(ctx: Any, outward: Tensor) -> tuple[Tensor | None, ...]:
        """Return the derivative with respect to the images, which can be differentiated again."""
        image, weight = ctx.saved_tensors
        return _Transposed.apply(outward, image.detach(), weight, ctx.form), None, None, None  # type: ignore[no-untyped-call]


class _Transposed(torch.autograd.Function):
    """The derivative of a convolution with respect to its image, and that one's own."""

    @staticmethod
    def forward(ctx: Any, outward: Tensor, image: Tensor, weight: Tensor, form: Form) -> Tensor:
        ctx.form = form
        ctx.save_for_backward(weight)
        return _gradients(outward, image, weight, form, of_image=True)

    @staticmethod
    def backward(ctx: Any, inward: Tensor) -> tuple[Tensor | None, ...]:
        (weight,) = ctx.saved_tensors
        form = ctx.form
        found = functional.conv2d(inward, weight, None, form.stride, form.padding, form.dilation, form.groups)
        return found, None, None, None


class WeightTerms(torch.autograd.Function):
    """<g, G> and |g|² of a convolution's weight through the weight gradients of all trials, as one grouped convolution.

    With u and v the derivatives with respect to the two, u G + 2 v g stands in for the weight when the derivatives
    with respect to image and impulse are taken.
    """

    @staticmethod
    def forward(
        ctx: Any, given: Tensor, impulse: Tensor, weight: Tensor, trials: int, form: Form
    ) -> tuple[Tensor, Tensor]:
        """Return both terms, each of shape (T,), for images (T * B, in, h, w) and the target of the weight."""
        image, outward = _merged(given, trials), _merged(impulse, trials)
        grouped = Form(form.stride, form.padding, form.dilation, form.groups * trials)
        stand_in = weight.new_empty((trials * weight.shape[1], *weight.shape[2:]))
        gradient = _gradients(outward, image, stand_in, grouped, of_image=False)
        ctx.trials, ctx.form = trials, grouped
        ctx.save_for_backward(image, outward, weight, gradient)
        rows = gradient.view(trials, -1)
        flat = weight.flatten(1)
        inner = rows @ flat[0] if len(flat) == 1 else (rows * flat).sum(dim=1)
        return inner, (rows * rows).sum(dim=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, inner: Tensor, squared: Tensor) -> tuple[Tensor | None, ...]:
        """Return the derivatives with respect to images and impulses."""
        image, outward, weight, gradient = ctx.saved_tensors
        form = ctx.form
        rows = gradient.view(ctx.trials, -1)
        standing = (inner[:, None] * weight.flatten(1) + 2 * squared[:, None] * rows).view_as(gradient)
        of_image = None
        if ctx.needs_input_grad[0]:
            of_image = _parted(_gradients(outward, image, standing, form, of_image=True), ctx.trials)
        of_impulse = functional.conv2d(image, standing, None, form.stride, form.padding, form.dilation, form.groups)
        return of_image, _parted(of_impulse, ctx.trials), None, None, None


def _gradients(outward: Tensor, image: Tensor, weight: Tensor, form: Form, *, of_image: bool) -> Tensor:
    """Return the derivative of <outward, image * weight> with respect to the image, or to the weight."""
    found = _convolution_backward(
        outward, image, weight, None, form.stride, form.padding, form.dilation, False, (0, 0), form.groups,
        [of_image, not of_image, False],
    )  # fmt: skip
    result: Tensor = found[0 if of_image else 1]
    return result


def _merged(images: Tensor, trials: int) -> Tensor:
    """Return images of shape (T * B, c, h, w) as B images whose channels are those of all trials."""
    batch = len(images) // trials
    parts = images.reshape(trials, batch, *images.shape[1:])
    return parts.transpose(0, 1).reshape(batch, -1, *images.shape[2:])


def _parted(images: Tensor, trials: int) -> Tensor:
    """Return what `_merged` was given."""
    parts = images.reshape(len(images), trials, -1, *images.shape[2:])
    return parts.transpose(0, 1).reshape(-1, *parts.shape[2:])
