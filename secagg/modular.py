"""Linear algebra over the field of p = 2^61 - 1 elements, on whole rows at a time.

A product of two residues has 122 bits and overflows every integer of numpy; as 2^61 = 1 (mod p), it is put together
from products of halves of 30 and 31 bits, with shifts in place of divisions.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Residues = NDArray[np.uint64]
PRIME = (1 << 61) - 1
_PRIME = np.uint64(PRIME)
_ROWS_AT_ONCE = 1 << 15
"""Elements of a block of rows: eight such blocks stay in the cache."""


@dataclass(frozen=True)
class Echelon:
    """A basis of the rows and one of the columns of a matrix, and the factors L U of the square where they meet."""

    rows: NDArray[np.intp]
    """Shape (rank,): rows of the matrix, in the order of the pivots."""
    columns: NDArray[np.intp]
    """Shape (rank,): columns of the matrix, in the order of the pivots, ascending."""
    lower: Residues
    """Shape (rank, rank): L below its diagonal, which is of ones."""
    upper: Residues
    """Shape (rank, rank): U on and above its diagonal."""

    def solve(self, right: Residues) -> Residues:
        """Return x with square @ x = right (mod p); shapes (rank, k)."""
        x = right.copy()
        for k in range(len(x)):
            subtract_multiple(x[k + 1 :], self.lower[k + 1 :, k, None], x[k])
        for k in reversed(range(len(x))):
            x[k] = multiply(x[k], inverse(int(self.upper[k, k])))
            subtract_multiple(x[:k], self.upper[:k, k, None], x[k])
        return x

    def solve_transposed(self, right: Residues) -> Residues:
        """Return x with square.T @ x = right (mod p); shapes (rank, k)."""
        x = right.copy()
        for k in range(len(x)):
            x[k] = multiply(x[k], inverse(int(self.upper[k, k])))
            subtract_multiple(x[k + 1 :], self.upper[k, k + 1 :, None], x[k])
        for k in reversed(range(len(x))):
            subtract_multiple(x[:k], self.lower[k, :k, None], x[k])
        return x


def multiply(one: Residues | np.uint64, other: Residues | np.uint64) -> Residues:
    """Return the products of residues modulo p, elementwise."""
    left, right = np.asarray(one, np.uint64), np.asarray(other, np.uint64)
    left_high, left_low = left >> np.uint64(31), left & np.uint64(0x7FFFFFFF)
    right_high, right_low = right >> np.uint64(31), right & np.uint64(0x7FFFFFFF)
    middle = left_high * right_low + left_low * right_high  # below 2^62; its weight is 2^31
    product = left_low * right_low  # below 2^62
    product += (left_high * right_high) << np.uint64(1)  # below 2^61: the weight 2^62 is 2 (mod p)
    product += middle >> np.uint64(30)  # 2^31 * 2^30 is 1 (mod p)
    product += (middle & np.uint64(0x3FFFFFFF)) << np.uint64(31)  # below 2^61: the sum of all four stays below 2^63
    return reduce(product)


def reduce(values: Residues) -> Residues:
    """Return the residues, 0 to p - 1, of any 64-bit values."""
    folded = (values & _PRIME) + (values >> np.uint64(61))
    folded -= np.where(folded >= _PRIME, _PRIME, np.uint64(0))
    return np.asarray(folded)


def inverse(residue: int) -> np.uint64:
    """Return 1 / residue (mod p), of what is not 0."""
    return np.uint64(pow(residue, -1, PRIME))


def subtract_multiple(target: Residues, vector: Residues, factor: np.uint64 | Residues) -> None:
    """Take factor * vector from `target` in place, modulo p; the three are broadcast."""
    target += _PRIME - multiply(vector, factor)
    target -= np.where(target >= _PRIME, _PRIME, np.uint64(0))


def eliminate(matrix: NDArray[np.uint8]) -> Echelon:
    """Return an echelon form of a matrix of small whole numbers, modulo p; the first columns become pivots first."""
    work = matrix.astype(np.uint64)
    height, width = work.shape
    lower = np.zeros((height, min(height, width)), np.uint64)
    order = np.arange(height)
    columns: list[int] = []
    for column in range(width):
        rank = len(columns)
        found = np.flatnonzero(work[rank:, column])
        if not found.size:
            continue
        swap = [rank, rank + int(found[0])]
        for rows in (work, lower, order):
            rows[swap] = rows[swap[::-1]]
        below = rank + 1 + np.flatnonzero(work[rank + 1 :, column])
        lower[below, rank] = multiply(work[below, column], inverse(int(work[rank, column])))
        step = max(1, _ROWS_AT_ONCE // (width - column))
        for start in range(0, len(below), step):
            some = below[start : start + step]
            block = work[some, column:]
            subtract_multiple(block, work[rank, column:], lower[some, rank, None])
            work[some, column:] = block
        columns.append(column)
        if rank + 1 == height:
            break
    rank = len(columns)
    return Echelon(order[:rank], np.array(columns, np.intp), lower[:rank, :rank].copy(), work[:rank, columns])
