"""The f-divergences of f-FUM: how far a student's answers lie from a frozen teacher's, and which way leads further.

    D_f(P||Q) = sum_c q_c f(u_c),  u = p / q,  P = teacher, Q = student,  f convex with f(1) = 0

Answers are categorical, so each is computed exactly, example by example (Csiszár 1967; Ali and Silvey 1966). The
student's logits z see the gradient q_k (h_k - sum_c q_c h_c) with h(u) = f(u) - u f'(u).

Everything is worked out from log-softmax as a sum of terms that are never negative, with f(u) - f'(1) (u - 1) for f:
the same sum, since p and q both sum to 1, without the cancellation that would eat small divergences. Exponents that
can grow (chi2, alpha) are held below what the number format can carry, so finite logits always give finite numbers.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import torch
from torch import Tensor

from unlearning.errors import UnlearningError
from unlearning.federated.f_divergence import Divergence

__all__ = [
    "DIVERGENCES",
    "Alpha",
    "Divergence",
    "JensenShannon",
    "KullbackLeibler",
    "PearsonChiSquared",
    "ReverseKullbackLeibler",
    "SquaredHellinger",
    "TotalVariation",
    "divergence",
]


@dataclass(frozen=True)
class KullbackLeibler(Divergence):
    """KL(P||Q); its gradient q - p stays of order 1 at any depth."""

    name: str = "kl"
    cap: float = 5.0

    def f(self, u: Tensor) -> Tensor:
        """Return u ln u."""
        return torch.xlogy(u, u)

    def derivative(self, u: Tensor) -> Tensor:
        """Return 1 + ln u."""
        return 1.0 + u.log()

    def conjugate(self, t: Tensor) -> Tensor:
        """Return exp(t - 1)."""
        return (t - 1.0).exp()

    def _terms(self, lp: Tensor, lq: Tensor) -> Tensor:
        return _relative_entropy(lp, lq)

    def _slopes(self, lp: Tensor, lq: Tensor) -> Tensor:
        return -_difference(lp, lq)


@dataclass(frozen=True)
class ReverseKullbackLeibler(Divergence):
    """KL(Q||P); unbounded, but its gradient fades with q."""

    name: str = "reverse-kl"
    cap: float = 5.0

    def f(self, u: Tensor) -> Tensor:
        """Return -ln u."""
        return -u.log()

    def derivative(self, u: Tensor) -> Tensor:
        """Return -1/u."""
        return -1.0 / u

    def conjugate(self, t: Tensor) -> Tensor:
        """Return -1 - ln(-t) for t < 0."""
        return torch.where(t < 0, -1.0 - (-t).clamp(min=0.0).log(), math.inf)

    def _terms(self, lp: Tensor, lq: Tensor) -> Tensor:
        return _relative_entropy(lq, lp)

    def _slopes(self, lp: Tensor, lq: Tensor) -> Tensor:
        return lq.exp() * (lq - lp)


@dataclass(frozen=True)
class JensenShannon(Divergence):
    """Half the sum of KL to the middle distribution, from P and from Q."""

    name: str = "js"
    cap: float = 0.65
    upper_bound: float = math.log(2.0)

    def f(self, u: Tensor) -> Tensor:
        """Return (u ln u - (1 + u) ln((1 + u)/2)) / 2."""
        return (torch.xlogy(u, u) - (1.0 + u) * ((1.0 + u) / 2.0).log()) / 2.0

    def derivative(self, u: Tensor) -> Tensor:
        """Return ln(2u / (1 + u)) / 2."""
        return (2.0 * u / (1.0 + u)).log() / 2.0

    def conjugate(self, t: Tensor) -> Tensor:
        """Return -ln(2 - exp(2t)) / 2 for t < ln(2)/2."""
        return -(2.0 - (2.0 * t).exp()).clamp(min=0.0).log() / 2.0

    def _terms(self, lp: Tensor, lq: Tensor) -> Tensor:
        middle = _middle(lp, lq)
        return (_relative_entropy(lp, middle) + _relative_entropy(lq, middle)) / 2.0

    def _slopes(self, lp: Tensor, lq: Tensor) -> Tensor:
        return lq.exp() * (lq - _middle(lp, lq)) / 2.0


@dataclass(frozen=True)
class PearsonChiSquared(Divergence):
    """Sum of (p - q)^2 / q; its gradient explodes as q falls, so the cap is part of it."""

    name: str = "chi2"
    cap: float = 20.0

    def f(self, u: Tensor) -> Tensor:
        """Return (u - 1)^2."""
        return (u - 1.0).square()

    def derivative(self, u: Tensor) -> Tensor:
        """Return 2 (u - 1)."""
        return 2.0 * (u - 1.0)

    def conjugate(self, t: Tensor) -> Tensor:
        """Return t^2/4 + t, and -1 for t < -2, where u = 0 is best."""
        return torch.where(t < -2.0, -1.0, t.square() / 4.0 + t)

    def _terms(self, lp: Tensor, lq: Tensor) -> Tensor:
        return _exp(2.0 * torch.maximum(lp, lq) - lq) * torch.expm1(-(lp - lq).abs()).square()

    def _slopes(self, lp: Tensor, lq: Tensor) -> Tensor:
        return lq.exp() - _exp(2.0 * lp - lq)


@dataclass(frozen=True)
class SquaredHellinger(Divergence):
    """Sum of (sqrt p - sqrt q)^2."""

    name: str = "hellinger"
    cap: float = 1.9
    upper_bound: float = 2.0

    def f(self, u: Tensor) -> Tensor:
        """Return (sqrt u - 1)^2."""
        return (u.sqrt() - 1.0).square()

    def derivative(self, u: Tensor) -> Tensor:
        """Return 1 - 1/sqrt u."""
        return 1.0 - u.rsqrt()

    def conjugate(self, t: Tensor) -> Tensor:
        """Return t / (1 - t) for t < 1."""
        return torch.where(t < 1.0, t / (1.0 - t), math.inf)

    def _terms(self, lp: Tensor, lq: Tensor) -> Tensor:
        return torch.maximum(lp, lq).exp() * torch.expm1(-(lp - lq).abs() / 2.0).square()

    def _slopes(self, lp: Tensor, lq: Tensor) -> Tensor:
        return lq.exp() - ((lp + lq) / 2.0).exp()


@dataclass(frozen=True)
class TotalVariation(Divergence):
    """Half the sum of |p - q|."""

    name: str = "tv"
    cap: float = 0.98
    upper_bound: float = 1.0

    def f(self, u: Tensor) -> Tensor:
        """Return |u - 1| / 2."""
        return (u - 1.0).abs() / 2.0

    def derivative(self, u: Tensor) -> Tensor:
        """Return the sign of u - 1, halved."""
        return (u - 1.0).sign() / 2.0

    def conjugate(self, t: Tensor) -> Tensor:
        """Return t for |t| <= 1/2, and -1/2 below."""
        return torch.where(t > 0.5, math.inf, t.clamp(min=-0.5))

    def _terms(self, lp: Tensor, lq: Tensor) -> Tensor:
        return _difference(lp, lq).abs() / 2.0

    def _slopes(self, lp: Tensor, lq: Tensor) -> Tensor:
        return -lq.exp() * (lp - lq).sign() / 2.0


@dataclass(frozen=True)
class Alpha(Divergence):
    """The power divergence of `order` a: (sum of p^a q^(1-a) - 1) / (a (a - 1)) (Cressie and Read 1984)."""

    name: str = "alpha"
    cap: float = 10.0
    order: float = 1.5
    """Any finite number but 0 and 1, whose limits are reverse KL and KL."""

    def __post_init__(self) -> None:
        if not math.isfinite(self.order) or self.order in (0.0, 1.0):
            told = f"alpha: an order is a finite number other than 0 and 1, not {self.order}"
            raise UnlearningError("unlearning.order", told, "Order 0 is reverse-kl, order 1 is kl.")
        if 0.0 < self.order < 1.0:
            bound = 1.0 / (self.order * (1.0 - self.order))
            object.__setattr__(self, "upper_bound", bound)  # frozen; the bound follows from the order
        super().__post_init__()

    def f(self, u: Tensor) -> Tensor:
        """Return (u^a - a u - (1 - a)) / (a (a - 1))."""
        a = self.order
        return (u**a - a * u - (1.0 - a)) / (a * (a - 1.0))

    def derivative(self, u: Tensor) -> Tensor:
        """Return (u^(a-1) - 1) / (a - 1)."""
        return (u ** (self.order - 1.0) - 1.0) / (self.order - 1.0)

    def conjugate(self, t: Tensor) -> Tensor:
        """Return ((1 + (a - 1) t)^(a/(a-1)) - 1) / a, where its base is not negative."""
        a = self.order
        base = 1.0 + (a - 1.0) * t
        finite = (base.clamp(min=0.0) ** (a / (a - 1.0)) - 1.0) / a
        return finite if a > 0 else torch.where(base < 0, math.inf, finite)

    def _terms(self, lp: Tensor, lq: Tensor) -> Tensor:
        a, d = self.order, lp - lq
        near = lq.exp() * ((torch.expm1(a * d) - a * d) - a * (torch.expm1(d) - d))
        far = _exp(a * lp + (1.0 - a) * lq) - a * lp.exp() - (1.0 - a) * lq.exp()
        return torch.where(d.abs() * max(abs(a), 1.0) < 1.0, near, far) / (a * (a - 1.0))

    def _slopes(self, lp: Tensor, lq: Tensor) -> Tensor:
        return (lq.exp() - _exp(self.order * lp + (1.0 - self.order) * lq)) / self.order


def _relative_entropy(lp: Tensor, lq: Tensor) -> Tensor:
    """Return p log(p/q) - p + q from logarithms: never negative, and exact near p = q, where it is p d^2 / 2."""
    d = lq - lp
    return torch.where(d.abs() < 1.0, lp.exp() * (torch.expm1(d) - d), lq.exp() - lp.exp() * (1.0 + d))


def _middle(lp: Tensor, lq: Tensor) -> Tensor:
    """Return log((p + q) / 2) from logarithms, and just log p where q is p."""
    return torch.maximum(lp, lq) + torch.log1p(torch.expm1(-(lp - lq).abs()) / 2.0)


def _difference(lp: Tensor, lq: Tensor) -> Tensor:
    """Return p - q from logarithms, without cancellation."""
    d = lp - lq
    return -d.sign() * torch.maximum(lp, lq).exp() * torch.expm1(-d.abs())


def _exp(exponent: Tensor) -> Tensor:
    """Return exp, held so low that a sum over the classes, the last dimension, is still finite."""
    ceiling = math.log(torch.finfo(exponent.dtype).max) - math.log(max(exponent.shape[-1], 1)) - 2.0
    return exponent.clamp(max=ceiling).exp()


DIVERGENCES: Mapping[str, Callable[[], Divergence]] = MappingProxyType(
    {
        "kl": KullbackLeibler,
        "reverse-kl": ReverseKullbackLeibler,
        "js": JensenShannon,
        "chi2": PearsonChiSquared,
        "hellinger": SquaredHellinger,
        "tv": TotalVariation,
        "alpha": Alpha,
    }
)
"""Every divergence by its name, as its default."""


def divergence(name: str, *, order: float = 1.5, cap: float | None = None) -> Divergence:
    """Return the divergence called `name`.

    Args:
        name: A key of `DIVERGENCES`.
        order: Of `alpha`; the others have none.
        cap: In place of the default; infinity caps nothing.

    Raises:
        UnlearningError: There is no such divergence, or `order` or `cap` means nothing.
    """
    if name not in DIVERGENCES:
        known = ", ".join(DIVERGENCES)
        raise UnlearningError("unlearning.divergence", f"no divergence is called {name!r}", f"Choose one of {known}.")
    if name == "alpha":
        chosen: Divergence = Alpha(order=order)
        chosen = replace(chosen, cap=min(chosen.cap, 0.95 * chosen.upper_bound))  # a bounded one is never far below
    else:
        chosen = DIVERGENCES[name]()
    return chosen if cap is None else replace(chosen, cap=cap)
