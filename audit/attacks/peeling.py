"""Records that share every neuron with others, read once the others are known.

A row of the gradient with its bias entry is a sum over records, sum of d_b (x_b, 1). Known records can be projected out
of it; rows that one unknown record alone adds to are then parallel, and tell its direction outside the known ones. What
it has inside them is found in the same rows: a known record that is silent in a row (ReLU) adds nothing to it, so all
rows where it is silent tell one and the same ratio, and rows where it speaks tell ratios of their own. The record just
found is known from then on, and sets others free. The rank and the sparsity are those of SPEAR (Dimitrov et al. 2024,
arXiv:2403.03945); no search is needed where some records have a neuron to themselves.
"""

import numpy as np
import numpy.typing as npt

from audit.attacks.mixtures import groups_of

Array = npt.NDArray[np.float64]

PARALLEL = 1e-6
"""Squared distance of two unit vectors below which they are one direction."""
LEFT = 1e-3
"""Share of a row's length that must be left outside the known records, for what is left to be more than rounding."""
AGREEMENT = 1e-4
"""Difference of two ratios that are one."""
SPARE = 8
"""Dimensions beyond one a record, for a gradient that is not quite of that rank."""
WITNESSES = 2
"""Rows that must agree: on a direction, and on each ratio."""


def peeled(rows: Array, known: Array, most: int) -> Array:
    """Return up to `most` further records, shape (r, d), in the order in which they were found.

    Args:
        rows: Weight gradient with the bias gradient as last column, shape (m, d + 1), any multiple of it.
        known: Records, shape (k, d), distinct, in the units of the layer's input.
        most: How many more there may be.
    """
    found = np.zeros((0, rows.shape[1]))
    if not len(known) or most <= 0:
        return found[:, :-1]
    space = _space(rows, len(known) + most + SPARE)
    seen, basis = rows @ space.T, _unit(np.column_stack([known, np.ones(len(known))]) @ space.T)
    while len(found) < most:
        more = _next(seen, basis)[: most - len(found)]
        records = more @ space
        more, records = more[records[:, -1] != 0], records[records[:, -1] != 0]
        if not len(more):
            break
        basis = np.concatenate([basis, _unit(more)])
        found = np.concatenate([found, records / records[:, -1:]])
    return np.asarray(found[:, :-1])


def _space(rows: Array, dimension: int) -> Array:
    """Return an orthonormal basis of what the rows span, shape (q, d + 1), where that has at most `dimension`."""
    scaled = _unit(rows)
    sums = np.array([scaled[start::dimension].sum(axis=0) for start in range(min(dimension, len(rows)))])
    return np.asarray(np.linalg.qr(sums.T)[0].T)


def _unit(rows: Array) -> Array:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1.0))


def _next(rows: Array, basis: Array) -> Array:
    """Return the directions of records that those of the known ones set free, one for each group of parallel rows."""
    shares = rows @ np.linalg.pinv(basis)
    rest = rows - shares @ basis
    lengths = np.linalg.norm(rest, axis=1)
    left = lengths > LEFT * np.linalg.norm(rows, axis=1)
    rest, shares = rest[left], shares[left]
    if not len(rest):
        return np.zeros((0, rows.shape[1]))
    size = lengths[left] * np.sign(rest[np.arange(len(rest)), np.abs(rest).argmax(axis=1)])
    directions = rest / size[:, None]
    found = []
    for members in groups_of(directions, PARALLEL):
        if len(members) < WITNESSES:
            break  # the largest come first
        ratios = shares[members] / size[members, None]
        common = np.array([_commonest(column) for column in ratios.T])
        if np.isfinite(common).all():
            found.append(directions[members].mean(axis=0) + common @ basis)
    return np.array(found).reshape(-1, rows.shape[1])


def _commonest(values: Array) -> float:
    """Return the value that most agree on; NaN where fewer than `WITNESSES` do."""
    ordered = np.sort(values)
    counts = np.searchsorted(ordered, ordered + AGREEMENT, side="right") - np.arange(len(ordered))
    first = int(counts.argmax())
    return float(ordered[first + counts[first] // 2]) if counts[first] >= WITNESSES else float("nan")
