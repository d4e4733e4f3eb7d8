"""Whose record is it: identification among candidates, and how close a reconstruction came.

A reconstruction identifies a record when, of everybody it could be, that record alone is nearest. Likeness without
identification (PSNR, SSIM) is a second opinion: on small images a high PSNR is luck of the neighbourhood.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]
Owners = Sequence[npt.ArrayLike] | npt.NDArray[np.int64]
Metric = Literal["l2", "cosine", "hamming"]

PUBLIC_TOLERANCE = 1e-6
"""A reconstruction this close (max abs) to a candidate that is not its own is that candidate, and identifies nobody."""
_TIE = 1e-12
"""Distances that differ by less than this share of the larger one are equal: float64 sums in another order."""
_SLACK = 64 * np.finfo(np.float64).eps
"""Error of a distance taken as |r|² - 2 r·c + |c|², per unit of the squared norms and of the root of the dimension."""


def identified(
    reconstructions: npt.ArrayLike,
    owners: Owners,
    candidates: npt.ArrayLike,
    *,
    metric: Metric = "l2",
    block: int = 4096,
) -> BoolArray:
    """Tell for every candidate whether a reconstruction of its own has it as the only nearest candidate.

    Ties are misses. So is a reconstruction that equals a candidate which is not its own: a public record handed back
    identifies nobody. A coordinate that is NaN is unknown and not compared; an infinite one makes a miss.

    Args:
        reconstructions: Shape (r, d).
        owners: For each reconstruction the index, or the indices, of the candidates that belong to its view.
        candidates: Shape (N, d), all finite.
        metric: "l2"; "cosine" where the scale is unknown (and every coordinate known); "hamming" compares signs
            (-1, 0, 1), so that arrays of zeros and ones are compared as supports.
        block: Candidates held as float64 at a time.

    Returns:
        Shape (N,).

    Raises:
        ValueError: shapes do not fit, a candidate is not finite, or "cosine" meets an unknown coordinate.
    """
    guesses = np.asarray(reconstructions, dtype=np.float64)
    pool = np.asarray(candidates)
    if guesses.ndim != 2 or pool.ndim != 2 or guesses.shape[1] != pool.shape[1]:
        raise ValueError(f"reconstructions {guesses.shape} and candidates {pool.shape} must be (r, d) and (N, d)")
    own = [np.atleast_1d(np.asarray(owner, dtype=np.int64)) for owner in owners]
    if len(own) != len(guesses):
        raise ValueError(f"{len(own)} owners for {len(guesses)} reconstructions")
    unknown = np.isnan(guesses)
    if metric == "cosine" and unknown.any():
        raise ValueError("an angle needs every coordinate; NaN is for the metrics l2 and hamming")
    usable = ~np.isinf(guesses).any(axis=1) & ~unknown.all(axis=1)
    if metric == "cosine":
        usable &= (guesses != 0).any(axis=1)
    hit = np.zeros(len(pool), dtype=bool)
    if not len(pool):
        return hit
    numbers = np.flatnonzero(usable)
    for start in range(0, len(numbers), _ROWS):
        rows = numbers[start : start + _ROWS]
        winners = _winners(guesses[rows], [own[row] for row in rows], pool, metric, block)
        hit[winners[winners >= 0]] = True
    return hit


_ROWS = 512
"""Reconstructions compared at a time; with 4,096 candidates a block of distances takes 16 MiB."""


def _winners(
    guesses: Array, own: Sequence[IntArray], pool: npt.NDArray[np.generic], metric: Metric, block: int
) -> IntArray:
    """Return for each guess the candidate that it identifies, or -1."""
    codes, known = _encoded(guesses, metric)
    row, column = _near_pairs(codes, known, pool, metric, block)
    squared, largest = _differences(codes, known, pool, row, column, metric)
    least = np.full(len(codes), np.inf)
    np.minimum.at(least, row, squared)
    nearest = squared <= least[row] * (1 + _TIE)
    alone = np.bincount(row[nearest], minlength=len(codes)) == 1
    winner = np.full(len(codes), -1, dtype=np.int64)
    winner[row[nearest]] = column[nearest]
    is_own = np.array([c in own[r] for r, c in zip(row, column, strict=True)], dtype=bool)
    handed_back = np.bincount(row[~is_own & (largest <= PUBLIC_TOLERANCE)], minlength=len(codes)) > 0
    belongs = np.bincount(row[nearest & is_own], minlength=len(codes)) == 1
    return np.where(alone & belongs & ~handed_back, winner, -1)


def _near_pairs(
    codes: Array, known: Array | None, pool: npt.NDArray[np.generic], metric: Metric, block: int
) -> tuple[IntArray, IntArray]:
    """Return every pair (guess, candidate) that may be nearest or equal; a few too many, never one too few."""
    norms = np.einsum("ij,ij->i", codes, codes)
    equal = PUBLIC_TOLERANCE**2 * codes.shape[1]  # the squared distance that such a max abs difference can reach
    best = np.full(len(codes), np.inf)
    rows, columns = [], []
    for offset, piece in _pieces(pool, metric, block):
        squares = piece * piece
        own = squares.sum(axis=1)[None, :] if known is None else known @ squares.T
        distances = own + norms[:, None] - 2.0 * (codes @ piece.T)
        slack = _SLACK * np.sqrt(codes.shape[1]) * (norms + own.max(initial=0.0))
        best = np.minimum(best, distances.min(axis=1))
        row, column = np.nonzero(distances <= np.maximum(best + 2 * slack, equal + slack)[:, None])
        rows.append(row)
        columns.append(column + offset)
    return np.concatenate(rows), np.concatenate(columns)


def _differences(
    codes: Array, known: Array | None, pool: npt.NDArray[np.generic], row: IntArray, column: IntArray, metric: Metric
) -> tuple[Array, Array]:
    """Return squared distance and largest absolute difference of pairs, without the cancellation of the fast form."""
    squared, largest = np.empty(len(row)), np.empty(len(row))
    for start in range(0, len(row), _ROWS):
        here = slice(start, start + _ROWS)
        difference = np.abs(codes[row[here]] - _encoded(pool[column[here]].astype(np.float64), metric)[0])
        if known is not None:
            difference *= known[row[here]]
        squared[here] = (difference * difference).sum(axis=1)
        largest[here] = difference.max(axis=1)
    return squared, largest


def _pieces(pool: npt.NDArray[np.generic], metric: Metric, block: int) -> Iterator[tuple[int, Array]]:
    for start in range(0, len(pool), block):
        piece = pool[start : start + block].astype(np.float64)
        if not np.isfinite(piece).all():
            raise ValueError("a candidate is not finite")
        yield start, _encoded(piece, metric)[0]


def _encoded(values: Array, metric: Metric) -> tuple[Array, Array | None]:
    """Return vectors whose squared Euclidean distance orders as `metric` does, and which coordinates are known.

    Known is None where all are. Signs become three indicators a coordinate, so that each difference counts 2.
    """
    unknown = np.isnan(values)
    known: Array | None = (~unknown).astype(np.float64) if unknown.any() else None
    filled = np.where(unknown, 0.0, values) if known is not None else values
    if metric == "hamming":
        signs = np.concatenate([filled < 0, filled == 0, filled > 0], axis=1).astype(np.float64)
        known = None if known is None else np.tile(known, (1, 3))
        return (signs if known is None else signs * known), known
    if metric == "cosine":
        length = np.linalg.norm(filled, axis=1, keepdims=True)
        return np.asarray(filled / np.where(length > 0, length, 1.0)), known
    return filled, known


def nearest_distance(records: npt.ArrayLike, others: npt.ArrayLike, *, block: int = 4096) -> Array:
    """Return the Euclidean distance of each record (n, d) to the nearest of `others` (m, d); infinite if m = 0."""
    queries = np.asarray(records, dtype=np.float64)
    pool = np.asarray(others)
    best = np.full(len(queries), np.inf)
    for _, piece in _pieces(pool, "l2", block):
        squared = (queries**2).sum(1)[:, None] - 2 * queries @ piece.T + (piece**2).sum(1)[None, :]
        best = np.minimum(best, np.maximum(squared, 0).min(axis=1))
    return np.asarray(np.sqrt(best))


def psnr(reconstruction: npt.ArrayLike, record: npt.ArrayLike, *, data_range: float) -> float:
    """Return the peak signal-to-noise ratio in dB, 10 log10(range² / mean squared error); infinite at equality.

    Raises:
        ValueError: shapes differ, or the range is not above zero.
    """
    guess, truth = _pair(reconstruction, record, data_range)
    error = float(((guess - truth) ** 2).mean())
    return float("inf") if error == 0 else float(10 * np.log10(data_range**2 / error))


def ssim(reconstruction: npt.ArrayLike, record: npt.ArrayLike, *, data_range: float, window: int = 7) -> float:
    """Return the mean structural similarity of two images of shape (h, w) or (channels, h, w).

    Uniform windows of `window` pixels (fewer where the image is smaller), unbiased variances, K₁ = 0.01, K₂ = 0.03.
    Source: Wang et al., IEEE Trans. Image Process. 13 (2004) 600-612, equation 13.

    Raises:
        ValueError: shapes differ, have no two dimensions, or the range is not above zero.
    """
    guess, truth = _pair(reconstruction, record, data_range)
    if guess.ndim not in (2, 3) or min(guess.shape[-2:]) < 2:
        raise ValueError(f"an image has the shape (h, w) or (channels, h, w), not {guess.shape}")
    side = min(window, *guess.shape[-2:])
    mean = _windowed(np.mean, side)
    x, y = mean(guess), mean(truth)
    unbiased = side**2 / (side**2 - 1)
    xx = unbiased * (mean(guess * guess) - x * x)
    yy = unbiased * (mean(truth * truth) - y * y)
    xy = unbiased * (mean(guess * truth) - x * y)
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    return float((((2 * x * y + c1) * (2 * xy + c2)) / ((x * x + y * y + c1) * (xx + yy + c2))).mean())


def _windowed(reduce: Callable[..., Array], side: int) -> Callable[[Array], Array]:
    def over(image: Array) -> Array:
        views = np.lib.stride_tricks.sliding_window_view(image, (side, side), axis=(-2, -1))
        return np.asarray(reduce(views, axis=(-2, -1)))

    return over


def _pair(first: npt.ArrayLike, second: npt.ArrayLike, data_range: float) -> tuple[Array, Array]:
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.shape != b.shape:
        raise ValueError(f"a reconstruction of shape {a.shape} against a record of shape {b.shape}")
    if not data_range > 0:
        raise ValueError(f"the range of the data must be above zero, not {data_range}")
    return a, b
