"""What every f-divergence shares: its value, the gradient that a student's logits see, and the capped loss."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unlearning.errors import UnlearningError


@dataclass(frozen=True)
class Divergence(ABC):
    """One f-divergence, with the cap that f-FUM's max phase puts on it."""

    name: str
    """As a request or a recipe names it."""
    cap: float
    """An example that is this far away (nats or the divergence's own unit) pulls no more; infinity caps none."""
    upper_bound: float = math.inf
    """No value exceeds it."""

    def __post_init__(self) -> None:
        if not self.cap > 0:
            raise UnlearningError("unlearning.cap", f"{self.name}: a cap is positive, not {self.cap}", "Raise the cap.")

    @abstractmethod
    def f(self, u: Tensor) -> Tensor:
        """Return the convex function of the ratio u = p/q > 0, any shape."""

    @abstractmethod
    def derivative(self, u: Tensor) -> Tensor:
        """Return f'(u); of total variation the middle of the subgradients at 1."""

    @abstractmethod
    def conjugate(self, t: Tensor) -> Tensor:
        """Return f*(t) = sup over u >= 0 of u t - f(u): infinity where nothing bounds it."""

    @abstractmethod
    def _terms(self, lp: Tensor, lq: Tensor) -> Tensor:
        """Return q (f(u) - f'(1) (u - 1)) from log p and log q."""

    @abstractmethod
    def _slopes(self, lp: Tensor, lq: Tensor) -> Tensor:
        """Return q (h(u) + constant): the gradient is blind to the constant."""

    def value(self, teacher_logits: Tensor, student_logits: Tensor) -> Tensor:
        """Return D_f of the softmax distributions, uncapped and without autograd's graph.

        Args:
            teacher_logits: Shape (..., C), broadcast against the student's.
            student_logits: Shape (..., C).

        Returns:
            Shape (...). What the number format cannot carry is given as about the largest number that it can.
        """
        return self._terms(*_log_softmax(teacher_logits, student_logits)).sum(-1).clamp(min=0.0)

    def logit_gradient(self, teacher_logits: Tensor, student_logits: Tensor) -> Tensor:
        """Return the gradient of min(D_f, cap) in the student's logits, shape (..., C): zero where D_f >= cap.

        Arguments as in `value`.
        """
        lp, lq = _log_softmax(teacher_logits, student_logits)
        slopes = self._slopes(lp, lq)
        gradient = slopes - lq.exp() * slopes.sum(-1, keepdim=True)
        likeliest = lq.argmax(-1, keepdim=True)  # where q is near 1 its entry is lost to cancellation; they sum to 0
        gradient = gradient.scatter(-1, likeliest, 0.0)
        gradient = gradient.scatter(-1, likeliest, -gradient.sum(-1, keepdim=True))
        capped = self._terms(lp, lq).sum(-1, keepdim=True) >= self.cap
        return torch.where(capped, torch.zeros_like(gradient), gradient)

    def loss(self, teacher_logits: Tensor, student_logits: Tensor) -> Tensor:
        """Return min(D_f, cap), shape (...), differentiable once in the student's logits; the teacher is frozen.

        An example is capped where the result is >= `cap`. Arguments as in `value`; works under `torch.func`.
        """
        teacher = teacher_logits.detach().expand_as(student_logits)
        result: Tensor = _Capped.apply(teacher, student_logits, self)  # type: ignore[no-untyped-call]  # torch's
        return result


class _Capped(torch.autograd.Function):
    """A capped divergence with the analytic gradient: autograd's own overflows where the value is capped."""

    generate_vmap_rule = True  # the stacked engine trains many models in one `vmap`

    @staticmethod
    def forward(teacher: Tensor, student: Tensor, divergence: Divergence) -> Tensor:
        return divergence.value(teacher, student).clamp(max=divergence.cap)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Divergence], output: Tensor) -> None:  # noqa: ARG004 - torch's
        teacher, student, ctx.divergence = inputs
        ctx.save_for_backward(teacher, student)

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[None, Tensor, None]:
        return None, outer.unsqueeze(-1) * ctx.divergence.logit_gradient(*ctx.saved_tensors), None


def _log_softmax(teacher: Tensor, student: Tensor) -> tuple[Tensor, Tensor]:
    """Return log p and log q of the same shape, cut off from autograd."""
    lp, lq = teacher.detach().log_softmax(-1), student.detach().log_softmax(-1)
    lp, lq = torch.broadcast_tensors(lp, lq)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return lp, lq
