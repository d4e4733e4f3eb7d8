"""Shamir's secret sharing over F_65537, many secrets in one matrix product.

A secret is a row of 16-bit words; each word has its own polynomial of degree t - 1, whose value at x is the share of
holder x (1, 2, ..). All polynomials at all points are one product of a Vandermonde matrix and the coefficients. Entries
stay below 2^16 + 1, so a sum of t <= 65,536 products stays below 2^53 and float64 is exact: no big integers, and BLAS
does the work. Source: Shamir, "How to share a secret", CACM 22 (1979).
"""

from collections.abc import Sequence
from functools import lru_cache
from secrets import token_bytes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secagg.keys import Entropy

FIELD = 65537
"""The smallest prime above 2^16: every 16-bit word is an element, and products of two fit 2^32."""
_CACHED_ENTRIES = 2**17
"""Entries of one cached block of a Vandermonde matrix (1 MiB); a larger matrix is several blocks."""


def split(secret: bytes, threshold: int, shares: int, entropy: Entropy = token_bytes) -> NDArray[np.uint32]:
    """Return the shares of a secret, of which any `threshold` give it back and fewer say nothing.

    Args:
        secret: an even number of bytes; two secrets for the same holders are split in one call, end to end.
        threshold: shares that give it back, 1 or more.
        shares: holders, at least `threshold`, at most 65,536.
        entropy: gives secret random bytes.

    Returns:
        Field elements, shape (shares, len(secret) / 2); row i belongs to the holder x = i + 1.

    Raises:
        ValueError: an odd number of bytes, or numbers outside these ranges.
    """
    if len(secret) % 2:
        raise ValueError("a secret has an even number of bytes")
    return split_elements(np.frombuffer(secret, "<u2"), threshold, shares, entropy)


def combine(xs: Sequence[int], shares: NDArray[Any]) -> bytes:
    """Return the secret of exactly as many shares as its threshold.

    Args:
        xs: the holders' points, distinct.
        shares: their field elements, shape (len(xs), words).

    Raises:
        ValueError: points outside 1..65,536 or twice, or no secret of 16-bit words has these shares.
    """
    [secret] = combine_many(xs, shares[np.newaxis])
    if secret is None:
        raise ValueError("these shares belong to no secret of 16-bit words")
    return secret


def combine_many(xs: Sequence[int], shares: NDArray[Any]) -> list[bytes | None]:
    """Return the secrets of several owners whose shares the same holders have.

    Args:
        xs: the holders' points, distinct.
        shares: field elements, shape (owners, len(xs), words).

    Returns:
        One secret an owner; None where an element is 65,536, which no 16-bit word is, or a share is outside the field.
    """
    outside: NDArray[np.bool] = np.max(shares, axis=(1, 2)) >= FIELD
    elements = combine_elements(
        xs, np.where(outside[:, np.newaxis, np.newaxis], 0, shares) if outside.any() else shares
    )
    spoilt = outside | (np.max(elements, axis=1) == FIELD - 1)
    words = elements.astype("<u2")
    return [None if bad else row.tobytes() for row, bad in zip(words, spoilt.tolist(), strict=True)]


def encode_share(row: NDArray[Any]) -> bytes:
    """Return the 64 bytes of a share of 16 elements: little-endian uint32."""
    return row.astype("<u4").tobytes()


def decode_share(data: bytes) -> NDArray[np.uint32]:
    """Return the elements of an encoded share.

    Raises:
        ValueError: not 64 bytes, or an element that the field does not have.
    """
    if len(data) != 64:
        raise ValueError(f"a share has 64 bytes, not {len(data)}")
    row = np.frombuffer(data, "<u4")
    if (row >= FIELD).any():
        raise ValueError("an element of a share lies outside the field")
    return row


def split_elements(
    secret: NDArray[Any], threshold: int, shares: int, entropy: Entropy, field: int = FIELD
) -> NDArray[np.uint32]:
    """Return the shares of a row of field elements, shape (shares, len(secret)); `field` is a prime up to 65,537."""
    _require_exact(threshold, field)
    if not 1 <= threshold <= shares < field:
        raise ValueError(f"threshold {threshold} of {shares} shares; 1 <= threshold <= shares <= {field - 1}")
    coefficients = np.empty((threshold, len(secret)))
    coefficients[0] = secret
    coefficients[1:] = _random_elements(coefficients[1:].size, entropy, field).reshape(coefficients[1:].shape)
    result = np.empty((shares, len(secret)), np.uint32)
    rows = max(1, _CACHED_ENTRIES // threshold)
    for first in range(0, shares, rows):
        count = min(rows, shares - first)
        result[first : first + count] = np.remainder(_powers(first + 1, count, threshold, field) @ coefficients, field)
    return result


def combine_elements(xs: Sequence[int], shares: NDArray[Any], field: int = FIELD) -> NDArray[np.uint32]:
    """Return the values at zero, shape (owners, words), of polynomials given at `xs`; `shares` as in `combine_many`."""
    _require_exact(len(xs), field)
    if shares.ndim != 3 or shares.shape[1] != len(xs):
        raise ValueError(f"{len(xs)} points and shares of shape {shares.shape}")
    if shares.size and shares.max() >= field:
        raise ValueError("an element of a share lies outside the field")
    values = np.matmul(lagrange_row(tuple(xs), field), shares.astype(np.float64))
    elements: NDArray[np.uint32] = np.remainder(values, field).astype(np.uint32)
    return elements


@lru_cache(maxsize=1024)
def lagrange_row(xs: tuple[int, ...], field: int = FIELD) -> NDArray[np.float64]:
    """Return the factors whose product with values at `xs` is the value at zero: prod x_m / (x_m - x_j) mod p.

    Raises:
        ValueError: a point twice, or outside 1..field-1.
    """
    if len(set(xs)) != len(xs) or not xs or not 1 <= min(xs) <= max(xs) < field:
        raise ValueError(f"points are distinct, from 1 to {field - 1}")
    points = np.array(xs, np.int64)
    differences = (points[np.newaxis, :] - points[:, np.newaxis]) % field
    np.fill_diagonal(differences, 1)
    others = np.broadcast_to(points, differences.shape).copy()
    np.fill_diagonal(others, 1)
    inverses = np.array([pow(int(one), -1, field) for one in _product(differences, field)])
    row: NDArray[np.float64] = (_product(others, field) * inverses % field).astype(np.float64)
    row.flags.writeable = False
    return row


@lru_cache(maxsize=8)
def _powers(first: int, count: int, threshold: int, field: int) -> NDArray[np.float64]:
    """Return x^j mod p for x = first, first + 1, .. (rows) and j = 0..threshold-1 (columns), by doubling."""
    powers = np.ones((count, threshold), np.int64)
    step = np.arange(first, first + count, dtype=np.int64)[:, np.newaxis]
    known = 1
    while known < threshold:
        wanted = min(known, threshold - known)
        powers[:, known : known + wanted] = powers[:, :wanted] * step % field
        step = step * step % field
        known *= 2
    block: NDArray[np.float64] = powers.astype(np.float64)
    block.flags.writeable = False
    return block


def _product(factors: NDArray[np.int64], field: int) -> NDArray[np.int64]:
    """Return the products of the rows mod p, by halving."""
    while factors.shape[1] > 1:
        half = factors.shape[1] // 2
        paired = factors[:, :half] * factors[:, half : 2 * half] % field
        factors = np.concatenate((paired, factors[:, 2 * half :]), axis=1)
    return factors[:, 0]


def _random_elements(count: int, entropy: Entropy, field: int) -> NDArray[np.int64]:
    """Return uniform field elements: 32-bit words modulo p, without the words beyond the last multiple of p."""
    usable = 2**32 // field * field
    words = np.frombuffer(entropy(4 * count), "<u4")
    kept = words[words < usable]
    while len(kept) < count:
        more = np.frombuffer(entropy(4 * (count - len(kept))), "<u4")
        kept = np.concatenate((kept, more[more < usable]))
    return kept.astype(np.int64) % field


def _require_exact(terms: int, field: int) -> None:
    if terms * (field - 1) ** 2 >= 2**53:
        raise ValueError(f"sums of {terms} products in a field of {field} are not exact in float64")
