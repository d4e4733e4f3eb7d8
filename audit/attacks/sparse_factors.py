"""All records of a small batch, read from the zeros that a ReLU leaves in the gradient of the layer before it.

The rows of a weight gradient, with the bias gradient as last column, are G = D [X 1]: D = dL/dZ has a column for each
record, and that column is zero in every row where the ReLU is off for the record. A factorisation G = U V of least rank
knows D up to an invertible matrix. Rows where one record is silent leave one direction q with U q = 0; drawn at random,
some sets of rows are all silent for one record, and then U q is that record's column of D, with many more zeros than
were asked for. The sparsest independent directions are D; what is left of G is the records, their last coordinate the
scale. Exact, no record needs a neuron to itself (SPEAR: Dimitrov et al. 2024, arXiv:2403.03945). The share of
sets that are silent for a record falls as two to the power of the batch.

Where activations are much alike and labels are few, the rows in which all records speak may lie in a space of less than
full rank, and a direction with zeros there passes for a record's: some of the records found are then mixtures. Nothing
here tells them apart; the caller compares them with candidates, or with the model.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

RANK = 1e-5
"""Share of the largest singular value below which another is rounding, in float32."""
ZERO = 1e-4
"""Cosine of two vectors that are orthogonal but for rounding."""
WITNESSES = 8
"""Zeros beyond those asked for, before a direction is more than luck."""
MOST_ROWS = 2048
"""Rows that are factored, the longest; the rest are left out."""
AT_ONCE = 500
"""Sets of rows that are drawn together."""
INDEPENDENT = 1e-3
"""Length that a unit vector must have outside those chosen before it."""


def sparse_factors(rows: Array, records: int, draws: int, rng: np.random.Generator) -> tuple[Array, Array] | None:
    """Return dL/dZ and the records behind a gradient, shapes (m, r) and (r, d); None where they are not found.

    Columns are in no order of the batch. Nothing is found under noise, for r is then above `records`, nor where no unit
    is ever off.

    Args:
        rows: Weight gradient with the bias gradient as last column, shape (m, d + 1), any multiple of it.
        records: Records behind it, at most; r is the rank.
        draws: Sets of rows that are drawn.
        rng: Draws them.
    """
    lengths = np.linalg.norm(rows, axis=1)
    used = np.argsort(-lengths, kind="stable")[: min(MOST_ROWS, int((lengths > 0).sum()))]
    if len(used) <= records + WITNESSES or rows.shape[1] <= records:
        return None  # noise would not show
    left, values, right = np.linalg.svd(rows[used] / lengths[used, None], full_matrices=False)
    rank = int((values > RANK * values[0]).sum())
    if not 2 <= rank <= records:
        return None
    seen = _unit(left[:, :rank])
    chosen = _independent(_sparse(seen, draws, rng), rank)
    if chosen is None:
        return None
    # G V⁺ = D [X 1] V⁺, and the chosen directions are the columns of ([X 1] V⁺)⁻¹ up to their lengths
    found = np.linalg.solve(chosen.T, values[:rank, None] * right[:rank])
    scale = found[:, -1]
    if (np.abs(scale) <= ZERO * np.linalg.norm(found, axis=1)).any():
        return None
    records_found = found / scale[:, None]
    factor = rows @ np.linalg.pinv(records_found)
    factor[used] = np.where(np.abs(seen @ chosen.T) <= ZERO, 0.0, factor[used])
    return factor, records_found[:, :-1]


def _unit(rows: Array) -> Array:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def _sparse(seen: Array, draws: int, rng: np.random.Generator) -> Array:
    """Return unit vectors that many unit rows are orthogonal to, shape (k, r), those of the most such rows first."""
    rank = seen.shape[1]
    patterns: dict[bytes, BoolArray] = {}
    for size in _portions(draws):
        drawn = seen[rng.integers(len(seen), size=(size, rank - 1))]
        proposed = np.linalg.svd(drawn)[2][:, -1]
        silent = np.abs(proposed @ seen.T) <= ZERO
        for pattern in silent[silent.sum(axis=1) >= rank - 1 + WITNESSES]:
            patterns.setdefault(pattern.tobytes(), pattern)
    if not patterns:
        return np.zeros((0, rank))
    # once more from all rows that are silent: their rounding is averaged away
    refined = np.array([np.linalg.svd(seen[pattern], full_matrices=False)[2][-1] for pattern in patterns.values()])
    counts = (np.abs(refined @ seen.T) <= ZERO).sum(axis=1)
    enough = counts >= rank - 1 + WITNESSES
    return np.asarray(refined[enough][np.argsort(-counts[enough], kind="stable")])


def _portions(draws: int) -> Iterator[int]:
    for start in range(0, draws, AT_ONCE):
        yield min(AT_ONCE, draws - start)


def _independent(directions: Array, rank: int) -> Array | None:
    """Return the first `rank` independent directions, each taken as soon as it can be; None where there are fewer."""
    chosen: list[Array] = []
    basis = np.zeros((0, directions.shape[1]))
    for direction in directions:
        rest = direction - (direction @ basis.T) @ basis
        length = np.linalg.norm(rest)
        if length > INDEPENDENT:
            chosen.append(direction)
            basis = np.concatenate([basis, rest[None] / length])
        if len(chosen) == rank:
            return np.array(chosen)
    return None
