"""The span of a projection's gradient, and how far a hidden state lies from it.

The gradient of a projection is Xᵀ D: X the states that it was given, one row a position, D what came back. Where D has
full row rank its columns span exactly the rows of X, so that a state that was there lies in the span and any other
does not (DAGER, Petrov et al. 2024, arXiv:2405.15586, section 4).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

FLOOR = 1e-6
"""Singular values below this share of the largest are rounding of float32."""
EDGE = 1.2
"""How far a singular value must stand above the largest that noise alone accounts for."""
SKETCH = 16
"""Directions outside the span that are looked at first."""


@dataclass(frozen=True, eq=False)
class Span:
    """A subspace of hidden states."""

    basis: Tensor
    """Orthonormal columns, float64, shape (width, rank)."""
    outside: Tensor
    """Some orthonormal directions outside it, float32, shape (width, few)."""
    noisy: bool
    """Whether the gradient holds more than its positions account for."""

    @property
    def rank(self) -> int:
        """Dimensions of the span."""
        return int(self.basis.shape[1])

    def distances(self, states: Tensor) -> Tensor:
        """Return for each state (n, width) its distance to the span over its length, float64, shape (n,)."""
        exact = states.double()
        left = exact - (exact @ self.basis) @ self.basis.T
        found: Tensor = left.norm(dim=1) / exact.norm(dim=1).clamp_min(1e-30)
        return found

    def near(self, states: Tensor, limit: float) -> Tensor:
        """Return the positions of states (n, width) whose distance is below `limit`.

        Most states are told apart by a few directions outside the span, which bound the distance from below.
        """
        bound = (states @ self.outside.to(states.dtype)).norm(dim=1)
        maybe = torch.nonzero(bound < 2 * limit * states.norm(dim=1)).flatten()  # twice: the bound is in float32
        return maybe[self.distances(states[maybe]) < limit]


def span_of(gradient: Tensor, most: int) -> Span:
    """Return the span of a gradient's columns.

    Args:
        gradient: Shape (width, outputs), float64.
        most: Positions behind it; directions beyond this many are noise.
    """
    left, values, _ = torch.linalg.svd(gradient, full_matrices=True)
    if not len(values) or not values[0] > 0:
        return Span(left[:, :0], left[:, :SKETCH].float(), noisy=False)
    beyond = float(values[most]) if most < len(values) else 0.0
    rank = min(int((values > max(FLOOR * float(values[0]), EDGE * beyond)).sum()), most)
    outside = left[:, rank : rank + SKETCH].float().contiguous()
    return Span(left[:, :rank].contiguous(), outside, noisy=beyond > FLOOR * float(values[0]))
