"""Exact fractions from linear algebra modulo p = 2^61 - 1."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from secagg.modular import PRIME, Echelon

_LOW = np.uint64((1 << 31) - 1)


def combinations(echelon: Echelon, matrix: NDArray[np.uint8], column: int) -> Iterator[tuple[Fraction, ...]]:
    """Yield what may be the one combination of basis rows that is 1 in `column` and 0 in the other pivots.

    Its digits to base p are found one after the other (Dixon, Numer. Math. 40 (1982) 137-141) and read as fractions
    whenever their number has doubled; the last reading is the combination. By Cramer's rule numerators and denominators
    are minors, of which Hadamard's bound says how large they get. A caller takes the first that passes its own test.

    Args:
        echelon: That of `matrix`.
        matrix: Of zeros and ones, shape (rounds, clients).
        column: One of the pivots.

    Yields:
        A factor for each of `echelon.rows`, shape (rank,).
    """
    square = matrix[np.ix_(echelon.rows, echelon.columns)].T.astype(np.int64)
    rank = len(square)
    largest = (rank + 1) ** (rank + 1) // 4**rank + 1  # the square of the largest minor of zeros and ones
    residual = [int(pivot == column) for pivot in echelon.columns]
    values, modulus, due = [0] * rank, 1, PRIME
    while modulus <= 2 * largest:
        digits = echelon.solve_transposed(np.array([[one % PRIME] for one in residual], np.uint64))[:, 0]
        high = (square @ (digits >> np.uint64(31)).astype(np.int64)).tolist()
        low = (square @ (digits & _LOW).astype(np.int64)).tolist()
        residual = [
            (old - (above << 31) - below) // PRIME for old, above, below in zip(residual, high, low, strict=True)
        ]
        values = [value + modulus * digit for value, digit in zip(values, digits.tolist(), strict=True)]
        modulus *= PRIME
        if modulus >= due or modulus > 2 * largest:
            due = modulus * modulus
            if (read := read_fractions(values, modulus)) is not None:
                yield read


def read_fractions(residues: Sequence[int], modulus: int) -> tuple[Fraction, ...] | None:
    """Return the fractions a/b with |a|, b <= sqrt(modulus / 2) that are the residues; None where one is none.

    The solutions of one system share their denominators, so what is known of them is tried first: Euclid's algorithm,
    stopped half way (Wang, SYMSAC 1981, 212-217), runs on what is left.
    """
    bound, shared = isqrt(modulus // 2), 1
    found: list[Fraction] = []
    for residue in residues:
        old, new, old_factor, factor = modulus, residue * shared % modulus, 0, 1
        if modulus - new <= bound:
            new -= modulus
        while new > bound:
            quotient = old // new
            old, new, old_factor, factor = new, old - quotient * new, factor, old_factor - quotient * factor
        shared *= abs(factor)
        if not 0 < shared <= bound:
            return None
        found.append(Fraction(new if factor > 0 else -new, shared))
    return tuple(found)
