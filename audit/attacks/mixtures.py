"""Which rows of a gradient tell of one record, and which of a mixture of several.

Row over bias entry is a record where one record alone activates the neuron, else a weighted mean of those that do.
Rows of one record agree; a record's row is confirmed by the model itself; and mixtures lie between their records.
"""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

AGREEMENT = 1e-3
"""Squared distance of two rows, over the smaller squared norm, below which they tell of one record."""
FACTOR_TOLERANCE = 1e-6
"""Relative difference of two factors that are one, for entries of ordinary size in float32; mixtures come near."""
MOST_WITNESSES = 3
"""Rows of one group that speak for a factor."""
FACTOR_ERROR = 2e-4
"""Relative error of a factor: a small entry in float32 is what is left of larger ones."""


def squared_distances(inputs: Array) -> Array:
    """Return the squared distance of every two rows, shape (m, m)."""
    norms = np.einsum("ij,ij->i", inputs, inputs)
    return np.asarray(norms[:, None] + norms[None, :] - 2 * (inputs @ inputs.T))


def groups_of(inputs: Array, agreement: float, squared: Array | None = None) -> list[IntArray]:
    """Return groups of agreeing rows, the largest first; among equals the one whose first row comes first.

    Args:
        inputs: Shape (m, d).
        agreement: Squared distance of two rows, over the smaller squared norm, below which they agree.
        squared: `squared_distances(inputs)`, where they are known already.
    """
    norms = np.einsum("ij,ij->i", inputs, inputs)
    squared = squared_distances(inputs) if squared is None else squared
    agree = squared <= agreement * np.minimum(norms[:, None], norms[None, :])
    np.fill_diagonal(agree, val=True)
    free = np.ones(len(inputs), dtype=bool)
    groups: list[IntArray] = []
    for leader in np.flatnonzero(agree.sum(axis=1) > 1):
        if free[leader]:
            members = np.flatnonzero(agree[leader] & free)
            free[members] = False
            groups.append(members)
    groups.extend(np.flatnonzero(free)[:, None])
    return sorted(groups, key=lambda members: (-len(members), members[0]))


def by_promise(inputs: Array, records: int, squared: Array | None = None) -> list[IntArray]:
    """Return groups of rows, those that agree first, then corners: a mixture lies between the records that it mixes.

    Arguments as in `groups_of`; `records` lie behind the rows.
    """
    groups = groups_of(inputs, AGREEMENT, squared)
    leaders = np.array([members[0] for members in groups], dtype=np.int64)
    place = {index: rank for rank, index in enumerate(_corners(inputs[leaders], 2 * records))}
    order = sorted(range(len(groups)), key=lambda i: (-len(groups[i]), place.get(i, len(groups)), i))
    return [groups[index] for index in order]


def shares_a_factor(seen: Array, expected: Array, group: IntArray) -> BoolArray:
    """Tell which rows have a bias entry that is what is expected times one common factor, that of most witnesses.

    A factor needs two groups: rows of one agree with one another anyway, be they a record's or a mixture's, and count
    as at most three witnesses.

    Args:
        seen: Bias entries, shape (m,).
        expected: What the model gives for each under each label, shape (m, labels).
        group: Number of the group of each row, shape (m,).

    Returns:
        Shape (m,); all false where no two groups share a factor.
    """
    factors = np.divide(seen[:, None], expected, out=np.zeros_like(expected), where=expected != 0)
    owner = np.broadcast_to(np.arange(len(seen))[:, None], factors.shape)
    factor, most = 0.0, 0
    for sign in (1.0, -1.0):  # a gradient's factor is above zero, a delta's below
        chosen = factors * sign > 0
        logarithms, owners = np.log(factors[chosen] * sign), owner[chosen]
        order = np.argsort(logarithms)
        logarithms, owners = logarithms[order], owners[order]
        ends = np.searchsorted(logarithms, logarithms + FACTOR_TOLERANCE, side="right")
        for start in np.flatnonzero(ends - np.arange(len(ends)) > 1):
            if ends[start] - start <= most:
                continue  # no more witnesses than entries
            rows = np.unique(owners[start : ends[start]])
            groups, sizes = np.unique(group[rows], return_counts=True)
            witnesses = int(np.minimum(sizes, MOST_WITNESSES).sum())
            if len(groups) > 1 and witnesses > most:
                most = witnesses
                factor = sign * float(np.exp(np.median(logarithms[start : ends[start]])))
    return np.asarray((np.abs(factors - factor) <= FACTOR_ERROR * abs(factor)).any(axis=1) & (factor != 0))


def _corners(points: Array, most: int) -> list[int]:
    """Return the corners of a cloud of points, the farthest out first.

    Successive projection: take the longest vector, project it out of all, again (Gillis and Vavasis 2014,
    arXiv:1208.1237).
    """
    rest = np.concatenate([points, np.ones((len(points), 1))], axis=1)
    found: list[int] = []
    for _ in range(min(most, len(points))):
        squared = np.einsum("ij,ij->i", rest, rest)
        index = int(squared.argmax())
        if squared[index] <= 1e-18:
            break
        found.append(index)
        direction = rest[index] / np.sqrt(squared[index])
        rest = rest - np.outer(rest @ direction, direction)
    return found
