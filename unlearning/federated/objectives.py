"""What a client's local steps go down: cross-entropy, its opposite, and the two phases of f-FUM.

An objective takes logits of any leading shape, so that the same words train one model and a stack of them.
"""

import math
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from unlearning.federated.divergences import Divergence

__all__ = ["Ascent", "CrossEntropy", "Distillation", "GuardedDivergence", "Losses", "Objective", "cross_entropies"]


@dataclass(frozen=True, eq=False)
class Losses:
    """What an objective says of a batch."""

    values: Tensor
    """Of each example, in nats; shape (..., B)."""
    capped: Tensor | None = None
    """Which examples have reached the cap and pull no more, shape (..., B); None where nothing is capped."""


class Objective(Protocol):
    """A loss per example; local steps go down its mean."""

    @property
    def needs_teacher(self) -> bool:
        """Whether it compares with the frozen teacher."""
        ...

    def __call__(self, logits: Tensor, y: Tensor, teacher_logits: Tensor | None) -> Losses:
        """Return the losses of logits (..., B, C) at the labels y (..., B)."""
        ...


def cross_entropies(logits: Tensor, y: Tensor) -> Tensor:
    """Return -log q(y|x) of each example, in nats; logits (..., B, C), y (..., B)."""
    return -log_softmax(logits, dim=-1).gather(-1, y.unsqueeze(-1)).squeeze(-1)


@dataclass(frozen=True)
class CrossEntropy:
    """Plain training."""

    needs_teacher: bool = False
    """It has none."""

    def __call__(self, logits: Tensor, y: Tensor, teacher_logits: Tensor | None) -> Losses:  # noqa: ARG002
        """Return the cross-entropies."""
        return Losses(cross_entropies(logits, y))


@dataclass(frozen=True)
class Ascent:
    """Plain training backwards, without an end."""

    needs_teacher: bool = False
    """It has none."""

    def __call__(self, logits: Tensor, y: Tensor, teacher_logits: Tensor | None) -> Losses:  # noqa: ARG002
        """Return the negated cross-entropies."""
        return Losses(-cross_entropies(logits, y))


@dataclass(frozen=True)
class Distillation:
    """The min phase of f-FUM: stay near the teacher on what is retained, and keep learning it.

    `alpha * D_f(p||q) + gamma * CE`, as in SCRUB (Kurmanji et al. 2023, arXiv:2302.09880, eq. 3); nothing is capped, so
    that an example that has gone far is called back.
    """

    divergence: Divergence
    """From the teacher to the student."""
    alpha: float
    """Weight of the divergence."""
    gamma: float = 1.0
    """Weight of the cross-entropy."""
    temperature: float = 1.0
    """Both sides' logits are divided by it in the divergence."""

    @property
    def needs_teacher(self) -> bool:
        """Whether the divergence weighs anything."""
        return self.alpha > 0

    def __call__(self, logits: Tensor, y: Tensor, teacher_logits: Tensor | None) -> Losses:
        """Return the weighted sums."""
        values = self.gamma * cross_entropies(logits, y) if self.gamma else torch.zeros_like(y, dtype=logits.dtype)
        if self.needs_teacher:
            if teacher_logits is None:
                raise ValueError("the divergence needs the teacher's logits")
            heat, uncapped = self.temperature, replace(self.divergence, cap=math.inf)
            values = values + self.alpha * uncapped.loss(teacher_logits / heat, logits / heat)
        return Losses(values)


@dataclass(frozen=True)
class GuardedDivergence:
    """The max phase of f-FUM: away from the teacher, where that is away from the label as well.

    An f-divergence has no sign: it also grows where the student becomes surer of the label than the teacher. The guard
    takes an example's divergence only where q(y|x) < p(y|x) - margin, and raises its cross-entropy elsewhere; the kick
    that leaves the teacher, a stationary point, comes from there too. Undirected, the divergence is taken everywhere.

    Each is capped: KL grows without end, and a capped example pulls no more.
    """

    divergence: Divergence
    """From the teacher to the student."""
    cap: float
    """Value from which an example's divergence counts no more."""
    margin: float = 0.01
    """How much less likely than to the teacher the label must be."""
    directed: bool = True
    """Whether the guard is on."""
    needs_teacher: bool = True
    """It has one."""

    def __call__(self, logits: Tensor, y: Tensor, teacher_logits: Tensor | None) -> Losses:
        """Return minus the capped divergences, or minus the capped cross-entropies where the guard holds."""
        if teacher_logits is None:
            raise ValueError("the divergence needs the teacher's logits")
        away = replace(self.divergence, cap=self.cap).loss(teacher_logits, logits)
        far = away.detach() >= self.cap
        if not self.directed:
            return Losses(-away, far)
        surprise = cross_entropies(logits, y)
        ceiling = math.log(logits.shape[-1])
        lost = surprise.detach() >= ceiling
        untaught = torch.where(lost, torch.full_like(surprise, ceiling), surprise)
        of_student = (-surprise.detach()).exp()
        of_teacher = (-cross_entropies(teacher_logits, y)).exp()
        turned = of_student < of_teacher - self.margin
        return Losses(-torch.where(turned, away, untaught), torch.where(turned, far, lost))
