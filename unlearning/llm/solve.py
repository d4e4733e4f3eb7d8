"""The closed form of LUNAR: the gate of an edit, by Cholesky, by its dual, or by conjugate gradients.

LUNAR (arXiv 2502.07218) trains one `down_proj` towards shifted outputs. With Delta = W' - W that is least squares,

    min  sum_f |Delta h_f - c r|^2  +  w sum_k |Delta h_k|^2  +  mu |Delta|^2,     Delta = c r v^T,
    v = (G_F + w G_K + mu I)^-1 s_F,    G = sum h h^T,    s_F = sum h_f,

and its one minimum has rank one, because every target is a multiple of r. g(h) = v . h is a gate: about one on what is
to be forgotten, about zero elsewhere. Several directions r_j, each for rows of its own, share the matrix: one v_j each.
"""

import math
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from unlearning.llm.conjugate import Iterate, conjugate_gradient
from unlearning.llm.gate import (
    Gate,
    by_cholesky,
    by_conjugate_gradient,
    raised,
    relative,
    ridge_absolute,
    singular,
    with_ridge,
)
from unlearning.llm.gradient import solve_gradient
from unlearning.llm.layer_statistics import gram_of

__all__ = [
    "Gate",
    "Iterate",
    "Summed",
    "conjugate_gradient",
    "gates_of_rows",
    "ridge_absolute",
    "solve_gate",
    "solve_gate_dual",
    "solve_gradient",
    "solve_rows",
]

Method = Literal["auto", "primal", "dual", "cg"]

WIDEST_CHOLESKY = 8192
"""A wider layer is solved by conjugate gradients."""
MEMORY = 2**31
"""Bytes that one m x m matrix of float64 may take, else conjugate gradients are used."""
BLOCK = 4096
"""Rows that are turned into float64 at once."""


class Summed(NamedTuple):
    """Forget rows that are known by their sums alone."""

    gram: Tensor
    """Sum of h h^T, shape (m, m)."""
    total: Tensor
    """Sum of h for each direction, shape (k, m)."""
    rows: float
    """In the sum, as many of each direction; where they are weighted, their weight."""

    def error(self, vector: Tensor, products: Tensor) -> float:
        """Return the root mean square of |Dh - r_j| of a gate (k, m), r_i r_j being `products`, (k, k)."""
        moved = (products * (vector @ self.gram @ vector.mT)).sum()
        along = (products @ vector @ self.total.mT).diagonal().sum()
        due = products.diagonal().mean() * self.rows
        return float(((moved - 2 * along + due).clamp(min=0) / self.rows).sqrt())


def solve_gate(
    total: Tensor, gram: Tensor, *, ridge: float, method: Literal["auto", "primal", "cg"] = "auto", memory: int = MEMORY
) -> Gate:
    """Return the gate from sums alone, which is all that clients send.

    Args:
        total: s_F, the sum of the forget rows, shape (m,), or one for each direction, (k, m).
        gram: G_F + w G_K, shape (m, m), symmetric; sums in float64.
        ridge: mu in units of the mean of the diagonal of `gram`.
        method: "auto" factors the matrix where `m` is `WIDEST_CHOLESKY` at most and m^2 float64 fit into `memory`.
        memory: Bytes.

    Raises:
        ValueError: Shapes disagree, a number is not finite, or the ridge is negative.
        NotUnlearnable: The matrix is not positive definite even at a thousand times the ridge (`llm.singular`).
    """
    width = gram.shape[-1]
    if gram.shape != (width, width) or total.shape[-1] != width or total.dim() not in (1, 2):
        raise ValueError(f"the sums have shape {tuple(total.shape)}, the matrix {tuple(gram.shape)}; need m and m x m")
    _finite(total, gram)
    _checked(ridge)
    total, gram = total.double(), gram.double()
    if method == "auto":
        method = "cg" if _too_wide(width, memory) else "primal"
    if method == "cg":
        return by_conjugate_gradient(total, lambda p: p @ gram, gram.diagonal(), ridge)
    return by_cholesky(total, gram, ridge)


def solve_gate_dual(forget_rows: Tensor, keep_rows: Tensor, *, keep_weight: float = 1.0, ridge: float) -> Gate:
    """Return the same gate through the n x n matrix of the rows' products, cheaper where rows are fewer than m / 2.

    H^T (H H^T + mu I)^-1 = (H^T H + mu I)^-1 H^T, the push-through identity, with the rows of H weighted by sqrt(w).

    Args:
        forget_rows: Shape (n, m), or (k, n, m): one group of rows for each direction.
        keep_rows: Shape (n', m).
        keep_weight: w.
        ridge: mu in units of the mean of the diagonal of G_F + w G_K.

    Raises:
        ValueError: Shapes disagree, a number is not finite, or ridge or weight is negative.
        NotUnlearnable: As `solve_gate`.
    """
    return gates_of_rows(forget_rows, keep_rows, keep_weight=keep_weight, method="dual")(ridge)


def solve_rows(
    forget_rows: Tensor,
    keep_rows: Tensor,
    *,
    keep_weight: float = 1.0,
    ridge: float,
    method: Method = "auto",
    memory: int = MEMORY,
) -> Gate:
    """Return the gate from rows by the cheapest way; arguments and errors as `gates_of_rows` and `solve_gate_dual`."""
    return gates_of_rows(forget_rows, keep_rows, keep_weight=keep_weight, method=method, memory=memory)(ridge)


def gates_of_rows(
    forget_rows: Tensor,
    keep_rows: Tensor,
    *,
    keep_weight: float = 1.0,
    summed: Summed | None = None,
    method: Method = "auto",
    memory: int = MEMORY,
) -> Callable[[float], Gate]:
    """Return the function from a ridge to its gate; what no ridge changes is worked out once.

    Args:
        forget_rows: As in `solve_gate_dual`.
        keep_rows: As there.
        keep_weight: w.
        summed: Further forget rows that are known by their sums alone, of the same directions.
        method: "auto" takes the dual below m / 2 rows where all are known, conjugate gradients, which never form a
            matrix, where m is above `WIDEST_CHOLESKY` or m^2 float64 would not fit into `memory`, and else the matrix.
        memory: Bytes.

    Raises:
        ValueError: As `solve_gate_dual`; or the dual is asked for, and not all rows are known.
    """
    groups, flat = _checked_rows(forget_rows, keep_rows, keep_weight)
    width, count = keep_rows.shape[1], len(flat) + len(keep_rows)
    if summed is not None and (summed.total.shape != (groups, width) or method == "dual"):
        raise ValueError(f"sums of shape {tuple(summed.total.shape)} do not go with {groups} directions and {method}")
    if method == "auto":
        narrow = 2 * count < width and not _too_wide(count, memory) and summed is None
        method = "dual" if narrow else "cg" if _too_wide(width, memory) else "primal"
    if method == "dual":
        return _by_dual(forget_rows, flat, keep_rows.double() * keep_weight**0.5, groups)
    total = flat.reshape(groups, -1, width).sum(1, dtype=torch.float64)
    total = total if summed is None else total + summed.total.to(total)
    total = total if forget_rows.dim() == 3 else total[0]
    weighted = [(block, 1.0) for block in _blocks(flat)] + [(block, keep_weight) for block in _blocks(keep_rows)]
    if method == "cg":
        diagonal = torch.zeros(width, dtype=torch.float64, device=keep_rows.device)
        for rows, weight in weighted:
            diagonal += weight * rows.double().square().sum(0)
        known = None if summed is None else summed.gram.to(diagonal)
        diagonal = diagonal if known is None else diagonal + known.diagonal()
        return lambda ridge: by_conjugate_gradient(
            total, lambda p: _product(weighted, known, p), diagonal, _checked(ridge)
        )
    gram = torch.zeros(width, width, dtype=torch.float64, device=keep_rows.device)
    for rows, weight in weighted:
        gram += weight * gram_of(rows)
    if summed is not None:
        gram += summed.gram.to(gram)
    return lambda ridge: by_cholesky(total, gram, _checked(ridge))


def _by_dual(forget_rows: Tensor, flat: Tensor, kept: Tensor, groups: int) -> Callable[[float], Gate]:
    """Return the function from a ridge to the gate of some weighted rows, by the matrix of their products."""
    rows = torch.cat([flat.double(), kept])
    members = rows.new_zeros(len(rows), groups)  # which row is in the sum of which direction
    members[: len(flat)] = torch.eye(groups, dtype=rows.dtype, device=rows.device).repeat_interleave(
        len(flat) // groups, dim=0
    )
    products, total = rows @ rows.mT, members.mT @ rows
    mean_of_diagonal = float(products.diagonal().sum()) / rows.shape[1]

    def solve(ridge: float) -> Gate:
        for jitter, mu in raised(_checked(ridge), mean_of_diagonal):
            factor, failed = torch.linalg.cholesky_ex(with_ridge(products, mu))
            if int(failed) == 0:
                vector = torch.cholesky_solve(members, factor).mT @ rows
                if bool(vector.isfinite().all()):
                    residual = (vector @ rows.mT) @ rows + mu * vector - total
                    vector = vector if forget_rows.dim() == 3 else vector[0]
                    return Gate(vector, ridge * 10**jitter, jitter, "dual", 0, relative(residual, total))
        raise singular(ridge)

    return solve


def _blocks(rows: Tensor) -> Iterator[Tensor]:
    """Yield rows a block at a time."""
    for start in range(0, len(rows), BLOCK):
        yield rows[start : start + BLOCK]


def _product(weighted: list[tuple[Tensor, float]], known: Tensor | None, p: Tensor) -> Tensor:
    """Return G p from rows, a block of which at a time becomes float64, and from the sum over others."""
    found = torch.zeros_like(p) if known is None else p @ known
    for rows, weight in weighted:
        block = rows.double()
        found += weight * (p @ block.mT) @ block
    return found


def _checked_rows(forget_rows: Tensor, keep_rows: Tensor, keep_weight: float) -> tuple[int, Tensor]:
    """Return how many right-hand sides there are, and all forget rows, group after group."""
    shapes = f"the forget rows have shape {tuple(forget_rows.shape)}, the keep rows {tuple(keep_rows.shape)}"
    if forget_rows.dim() not in (2, 3) or keep_rows.dim() != 2 or forget_rows.shape[-1] != keep_rows.shape[-1]:
        raise ValueError(f"{shapes}; need (n, m) or (k, n, m), and (n', m)")
    _finite(forget_rows, keep_rows)
    if not 0 <= keep_weight < math.inf:
        raise ValueError(f"the keep weight is {keep_weight}; it must be zero or more")
    groups = forget_rows.shape[0] if forget_rows.dim() == 3 else 1
    return groups, forget_rows.flatten(0, -2)


def _finite(*numbers: Tensor) -> None:
    """Refuse what no finite activation gives."""
    if not all(bool(one.isfinite().all()) for one in numbers):
        raise ValueError("an activation, or a sum of them, is not finite")


def _checked(ridge: float) -> float:
    """Return the ridge where it is one."""
    if not 0 <= ridge < math.inf:
        raise ValueError(f"the ridge is {ridge}; it must be zero or more")
    return ridge


def _too_wide(width: int, memory: int) -> bool:
    """Tell whether a matrix of this width is not to be factored."""
    return width > WIDEST_CHOLESKY or width * width * 8 > memory
