"""A gate for the worst row instead of the average one: least squares whose rows are weighted by how badly they fare.

Plain least squares spends its freedom on making every gate exactly one or nothing. What is said or unsaid in the end
depends on the few rows that are far off; iteratively reweighted least squares (Lawson 1961; the p-norm form with
damping of Burrus, Barreto and Selesnick, IEEE Trans. Signal Processing 42(11), 1994) minimises a higher norm of the
errors instead, and the update keeps its rank.
"""

import torch
from torch import Tensor

from unlearning.llm.solve import Gate, Summed, ridge_absolute, solve_gate

__all__ = ["POWER", "ROUNDS", "solve_reweighted"]

POWER = 4.0
"""Norm of the errors; six runs after single rows and did worse on both small worlds it was tried on."""
ROUNDS = 6
DAMPING = 0.5
"""Share of the logarithm of a weight that is renewed in a round."""
TAIL = 2.0
"""Of rows known by their sums the worst is taken to fare so many times worse than the root mean square."""
LEAST_ERROR = 1e-3
"""In units of the root mean square: rows that fare better than this are not weighted less."""


def solve_reweighted(
    forget_rows: Tensor,
    group: Tensor,
    keep_rows: Tensor,
    directions: Tensor,
    *,
    ridge: float,
    summed: Summed | None = None,
    power: float = POWER,
    rounds: int = ROUNDS,
) -> Gate:
    """Return the gate that has the smallest p-norm of |Delta h - target| over all rows, nearly.

    Args:
        forget_rows: Shape (n, m).
        group: Which direction each forget row is to be moved along, shape (n,), from 0 to k - 1.
        keep_rows: Shape (n', m); they are to stay.
        directions: r_j, shape (k, d).
        ridge: mu in units of the mean of the diagonal of the unweighted Gram matrix.
        summed: Further forget rows that are known by their sums alone, which share a weight.
        power: p, at least 2; 2 gives plain least squares.
        rounds: Of reweighting.

    Raises:
        ValueError: Shapes disagree, or a number is not finite.
        NotUnlearnable: As `solve_gate`.
    """
    rows = torch.cat([forget_rows, keep_rows]).double()
    count, groups = len(forget_rows), len(directions)
    targets = rows.new_zeros(len(rows), groups)
    targets[torch.arange(count, device=rows.device), group] = 1.0
    products = directions.double() @ directions.double().mT
    weights = rows.new_ones(len(rows))
    nothing = rows.new_zeros(max(groups, rows.shape[1]), rows.shape[1])
    known = Summed(nothing[: rows.shape[1]], nothing[:groups], 0.0)
    if summed is not None:
        known = Summed(summed.gram.to(rows), summed.total.to(rows), summed.rows)
    weight = 1.0
    absolute = ridge_absolute(rows.square().sum(0) + known.gram.diagonal(), ridge)
    gate = _weighted(rows, targets, weights, known, weight, absolute)
    for _ in range(rounds if power > 2 else 0):
        missed = gate.vector.reshape(groups, -1) @ rows.mT - targets.mT
        errors = (missed * (products @ missed)).sum(dim=0).clamp(min=0).sqrt()
        scale = errors.square().mean().sqrt()
        if float(scale) == 0:
            break
        wanted = (errors / scale).clamp(min=LEAST_ERROR).pow(power - 2)
        mean = wanted.mean()
        weights = weights.pow(1 - DAMPING) * (wanted / mean).pow(DAMPING)
        if known.rows:
            far = TAIL * known.error(gate.vector, products) / float(scale)
            weight = weight ** (1 - DAMPING) * (max(LEAST_ERROR, far) ** (power - 2) / float(mean)) ** DAMPING
        gate = _weighted(rows, targets, weights, known, weight, absolute)
    return Gate(gate.vector, ridge * 10**gate.jitter, gate.jitter, gate.method, gate.iterations, gate.relative_residual)


def _weighted(rows: Tensor, targets: Tensor, weights: Tensor, known: Summed, weight: float, absolute: float) -> Gate:
    """Return the gate of weighted least squares, its ridge given in absolute terms."""
    weighted = rows * weights[:, None]
    gram = weighted.mT @ rows + weight * known.gram
    total = targets.mT @ weighted + weight * known.total
    return solve_gate(total, gram, ridge=absolute / float(gram.diagonal().mean()))
