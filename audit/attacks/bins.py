"""Rows of a layer that all measure one number of a record and cut its range into bins, and how they are read.

A layer whose rows are one row over and over, with thresholds spread over the quantiles of what that row measures,
copies records: two units with neighbouring thresholds differ by the records in between alone, so the difference of
their gradients is such a record where it is the only one (Fowl et al. 2022, Robbing the Fed, arXiv:2110.13057,
section 4). Rows may be rescaled and permuted; neither hides that they are parallel.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Rows = npt.NDArray[np.float32] | npt.NDArray[np.float64]

PARALLEL = 0.999
"""Least |cosine| of two rows that are one direction."""
LEAST_ROWS = 8
"""Fewer parallel rows make no trap."""
LEAST_SPREAD = 0.1
"""Share of records that the outermost thresholds must enclose."""
MOST_ROWS = 1024
"""Rows that are compared with one another; those of a larger layer join the groups found in a sample of it."""
MOST_GROUPS = 8
"""Groups of one layer that are looked at, the largest first."""
SMALLEST_STEP = 1e-6
"""Least difference of two bias gradients, over the largest, that is no rounding."""


@dataclass(frozen=True, eq=False)
class Bins:
    """Parallel units with distinct thresholds."""

    members: IntArray
    """The units, shape (m,)."""
    slopes: Array
    """By how much each grows with what they measure, in units of the one that grows most, shape (m,)."""
    thresholds: Array
    """What they measure where each starts or ceases to fire, shape (m,)."""
    levels: int
    """Thresholds that the records tell apart."""
    spread: float
    """Share of the records between the outermost of those."""


def parallel_groups(rows: Rows, rng: np.random.Generator) -> list[IntArray]:
    """Return groups of at least `LEAST_ROWS` rows that point along one line, either way, the largest first.

    Rows with a |cosine| of `PARALLEL` to one another are joined, and those joined rows stay that agree as well with
    their common direction: a chain of rows that slowly turns is no group.

    Args:
        rows: Shape (n, d); a row of zeros belongs to no group.
        rng: Draws the sample of a layer with more than `MOST_ROWS` rows.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components  # 0.1 s that other checks need not pay

    lengths = np.linalg.norm(rows, axis=1)
    alive = np.flatnonzero(lengths > np.finfo(np.float32).eps * lengths.max(initial=0.0))
    if len(alive) < LEAST_ROWS:
        return []
    unit = rows[alive] / lengths[alive, None]
    sample = np.sort(rng.permutation(len(alive))[:MOST_ROWS])
    near = np.abs(unit[sample] @ unit[sample].T) >= PARALLEL
    _, joined = connected_components(csr_array(near), directed=False)
    found: dict[bytes, IntArray] = {}
    for group in np.flatnonzero(np.bincount(joined) > 1):
        some = unit[sample[joined == group]]
        direction = (np.sign(some @ some[0])[:, None] * some).sum(axis=0)
        direction = direction / np.linalg.norm(direction)
        members = alive[np.abs(unit @ direction) >= PARALLEL]
        if len(members) >= LEAST_ROWS:
            found[members.tobytes()] = members
    return sorted(found.values(), key=lambda members: (-len(members), members[0]))


def bins_of(units: Rows, members: IntArray) -> Bins | None:
    """Return the bins that parallel units cut, or None where their thresholds do not separate records.

    Args:
        units: What goes into the activation for records of this kind, shape (n, samples); a unit fires above zero.
        members: The units of a group.

    Returns:
        None where fewer than `LEAST_ROWS` thresholds are distinct to these records, or all lie close together.
    """
    values = units[members].astype(np.float64)
    centred = values - values.mean(axis=1, keepdims=True)
    variances = np.einsum("ij,ij->i", centred, centred)
    if not variances.max(initial=0.0) > 0:
        return None
    measured = centred[variances.argmax()]
    slopes = centred @ measured / variances.max()
    moving = slopes != 0
    members, slopes = members[moving], slopes[moving]
    thresholds = -values.mean(axis=1)[moving] / slopes
    below = np.searchsorted(np.sort(measured), thresholds) / len(measured)
    levels = np.unique(below[(below > 0) & (below < 1)])
    if len(levels) < LEAST_ROWS or np.ptp(levels) < LEAST_SPREAD:
        return None
    return Bins(members, slopes, thresholds, len(levels), float(np.ptp(levels)))


def neighbour_differences(weight: Array, bias: Array, bins: Bins, outgoing: Array, most: int) -> Array:
    """Return the records between neighbouring thresholds, shape (r, d), r at most `most`, the loudest bins first.

    Units that fire above their threshold and units that fire below it are two rows of bins, read each for itself.

    Args:
        weight: Gradient of the layer's weight, or any multiple of it, shape (n, d).
        bias: Gradient of its bias, the same multiple, shape (n,).
        bins: Which units, in which order.
        outgoing: The factor by which each member reaches the loss, shape (m,); rows are brought to one scale by it.
        most: Records handed in at most.
    """
    steps, impulses = [np.zeros((0, weight.shape[1]))], [np.zeros(0)]
    for direction in (1.0, -1.0):
        chosen = np.flatnonzero((bins.slopes * direction > 0) & (outgoing != 0))
        chosen = chosen[np.argsort(direction * bins.thresholds[chosen], kind="stable")]  # ever fewer records fire
        rows = bins.members[chosen]
        whole = np.column_stack([weight[rows], bias[rows]]) / outgoing[chosen, None]
        step = whole - np.concatenate([whole[1:], np.zeros((min(1, len(whole)), whole.shape[1]))])
        steps.append(step[:, :-1])
        impulses.append(step[:, -1])
    step, impulse = np.concatenate(steps), np.concatenate(impulses)
    loud = np.flatnonzero(np.abs(impulse) > SMALLEST_STEP * np.abs(impulse).max(initial=0.0))
    loud = loud[np.argsort(-np.abs(impulse[loud]), kind="stable")][:most]
    return np.asarray(step[loud] / impulse[loud, None])
