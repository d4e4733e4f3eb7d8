"""What sums over several rounds give away of one client, if it sends a similar update each time.

A participation matrix P has a row for each round and a column for each client: 1 where the client's update is in the
sum. Subtracting sums subtracts rows, so client i stands alone in some combination exactly if the unit vector e_i lies
in the row space of P (So et al. 2021, arXiv:2106.03328; Lam et al. 2021, arXiv:2106.06089).

It lies there exactly if every x with P x = 0 has x_i = 0, so one x drawn at random from the null space answers for all
clients at once: modulo p = 2^61 - 1, a client that is not isolated has x_i = 0 with probability 1/p. Every hit is then
confirmed with exact fractions. A client could be missed only if p divided each minor that tells it apart; below rank 37
no minor of a 0/1 matrix is as large as p (Hadamard), and beyond, nobody gets there by accident.
"""

from fractions import Fraction
from hashlib import shake_256
from math import lcm

import numpy as np
from numpy.typing import ArrayLike, NDArray

from secagg.modular import PRIME, Echelon, Residues, eliminate, multiply, reduce
from secagg.rational import combinations, read_fractions

Matrix = NDArray[np.uint8]
_COLUMNS_AT_ONCE = 1 << 20
"""Products of so many 0/1 terms are exact in float32."""


def isolated_clients(P: ArrayLike) -> tuple[int, ...]:
    """Return the columns i of which the unit vector e_i is a combination of rows, ascending.

    Args:
        P: Participation, shape (rounds, clients), of zeros and ones.

    Raises:
        ValueError: P is no matrix of zeros and ones.
    """
    matrix = np.unique(_participation(P), axis=0)  # a round told twice tells nothing more
    if not matrix.size:
        return ()
    _, first, twins = np.unique(matrix, axis=1, return_index=True, return_counts=True)
    order = np.argsort(first)  # not lexicographic, which would put dependent columns side by side
    first, twins = first[order], twins[order]
    columns = matrix[:, first]
    echelon = _echelon(columns)
    alone = twins == 1  # clients that are always there together are never told apart
    hits = np.flatnonzero((_null_vector(columns, echelon) == 0) & alone).tolist()
    if len(echelon.columns) < columns.shape[1]:  # columns independent modulo p are so over the fractions
        hits = _confirmed(hits, columns, echelon)
    return tuple(int(first[hit]) for hit in hits)


def smallest_difference(P: ArrayLike) -> int | None:
    """Return the fewest clients in which two different cohorts differ; None where no two cohorts differ.

    Equal cohorts differ in nobody, so their difference gives nobody away.

    Args:
        P: Participation, shape (rounds, clients), of zeros and ones.

    Raises:
        ValueError: P is no matrix of zeros and ones.
    """
    matrix = np.unique(_participation(P), axis=0)
    rounds, clients = matrix.shape
    if rounds < 2:
        return None
    common = np.zeros((rounds, rounds))
    for start in range(0, clients, _COLUMNS_AT_ONCE):
        block = matrix[:, start : start + _COLUMNS_AT_ONCE].astype(np.float32)
        common += block @ block.T
    sizes = common.diagonal()
    differing = sizes[:, None] + sizes[None, :] - 2 * common
    np.fill_diagonal(differing, np.inf)
    return int(differing.min())


def _participation(P: ArrayLike) -> Matrix:
    matrix = np.asarray(P)
    if matrix.ndim != 2:
        raise ValueError(f"participation is a matrix of rounds and clients, not of shape {matrix.shape}")
    if not ((matrix == 0) | (matrix == 1)).all():
        raise ValueError("participation is 0 or 1")
    return matrix.astype(np.uint8)


def _echelon(columns: Matrix) -> Echelon:
    """Return an echelon form with a basis of all columns, found among the first of them where the rank is full."""
    rounds, clients = columns.shape
    if clients > rounds + 64:
        echelon = eliminate(columns[:, : rounds + 64])
        if len(echelon.rows) == rounds:
            return echelon
    return eliminate(columns)


def _null_vector(columns: Matrix, echelon: Echelon) -> Residues:
    """Return x with P x = 0 (mod p), random but for that; shape (clients,).

    Drawn from the matrix itself, so that the answer is one and the same, and nobody can choose P to suit the draw.
    """
    clients = columns.shape[1]
    x = reduce(np.frombuffer(shake_256(columns.tobytes()).digest(8 * clients), "<u8"))
    x[echelon.columns] = 0
    rows = columns[echelon.rows].astype(np.uint64)
    high, low = reduce(rows @ (x >> np.uint64(31))), rows @ (x & np.uint64(0x7FFFFFFF))
    rest = reduce(multiply(high, np.uint64(1 << 31)) + low)
    x[echelon.columns] = echelon.solve(reduce(np.uint64(PRIME) - rest)[:, None])[:, 0]
    return x


def _confirmed(hits: list[int], columns: Matrix, echelon: Echelon) -> list[int]:
    """Return the hits of which an exact combination of rows is 1 at the hit and 0 everywhere else."""
    among = columns[columns.sum(axis=1) == columns[:, hits].sum(axis=1)][:, hits]  # rounds of nobody but the hits
    if len(eliminate(among).rows) == len(hits):  # a rank modulo p is never above the true one
        return hits
    units = (echelon.columns[:, None] == np.array(hits, np.intp)).astype(np.uint64)
    solved = echelon.solve_transposed(units)
    return [
        hit for hit, factors in zip(hits, solved.T, strict=True) if _stands_alone(hit, factors, columns[echelon.rows])
    ]


def _stands_alone(client: int, factors: Residues, rows: Matrix) -> bool:
    """Tell whether some exact combination is 1 at `client` alone; `factors` are those modulo p, shape (rank,)."""
    involved = rows[np.flatnonzero(factors)]
    if (simple := read_fractions(factors[factors != 0].tolist(), PRIME)) is not None and _gives(
        client, simple, involved
    ):
        return True
    echelon = eliminate(involved)
    ordered = involved[echelon.rows]
    return any(_gives(client, exact, ordered) for exact in combinations(echelon, involved, client))


def _gives(client: int, factors: tuple[Fraction, ...], rows: Matrix) -> bool:
    scale = lcm(*(factor.denominator for factor in factors))
    combined = np.array([int(factor * scale) for factor in factors], dtype=object) @ rows.astype(object)
    combined[client] -= scale
    return not combined.any()
