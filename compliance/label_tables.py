"""Tables of label pairs: what two readers said of the same items, counted, and counted again for each resample."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from reports.statistics import Interval

LABELS = 5
"""The largest label; 1 is "very low" compliance, 5 "very high"."""
_CHUNK = 1 << 22
"""Drawn indices that are held at once."""

Array = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

_GRID = np.arange(LABELS)
DISTANCE: Array = np.subtract.outer(_GRID, _GRID).astype(np.float64)
"""Row label less column label, shape (5, 5)."""
_WEIGHT = DISTANCE**2
"""Of kappa, times 16: the factor cancels, and whole numbers keep a kappa of 0 exact."""


def label_table(a: npt.ArrayLike, b: npt.ArrayLike) -> Counts:
    """Return how often `a` said i + 1 where `b` said j + 1, shape (5, 5).

    Raises:
        ValueError: shapes differ, or a label is no integer from 1 to 5.
    """
    first, second = checked_labels(a), checked_labels(b)
    if first.shape != second.shape:
        raise ValueError(f"labels have shapes {first.shape} and {second.shape}; they must be of the same items")
    return np.bincount(LABELS * (first - 1) + second - 1, minlength=LABELS**2).reshape(LABELS, LABELS)


def checked_labels(labels: npt.ArrayLike) -> Counts:
    """Return labels as integers, shape (n,).

    Raises:
        ValueError: not one dimension, or a label is no integer from 1 to 5.
    """
    array = np.asarray(labels)
    if array.ndim != 1:
        raise ValueError(f"labels have shape {array.shape}; they must be (n,)")
    if array.size and (
        array.dtype.kind not in "iuf" or ((array != np.rint(array)) | (array < 1) | (array > LABELS)).any()
    ):
        raise ValueError("every label is an integer from 1 to 5")
    return array.astype(np.int64)


def resampled_tables(labels: Sequence[npt.ArrayLike], rng: np.random.Generator, resamples: int) -> Counts:
    """Return the label tables of `resamples` draws of items with replacement.

    Args:
        labels: One or more vectors of labels 1 to 5 of the same n items; items are drawn whole, so that differences
            between two readers are paired.
        rng: Draws as `rng.integers(0, n, (resamples, n))` would.
        resamples: How many, B.

    Returns:
        Counts, shape (B, 5, ..., 5) with one axis for each vector.

    Raises:
        ValueError: there is no item or no resample, shapes differ, or a label is no integer from 1 to 5.
    """
    checked = [checked_labels(vector) for vector in labels]
    n, shape = len(checked[0]), (LABELS,) * len(checked)
    if n < 1 or resamples < 1 or any(len(vector) != n for vector in checked):
        raise ValueError(f"need one resample and labels of equal length, got {resamples} and {[*map(len, checked)]}")
    cells = np.ravel_multi_index([vector - 1 for vector in checked], shape)
    width, height = math.prod(shape), max(1, _CHUNK // n)
    tables = []
    for begin in range(0, resamples, height):  # by chunks of resamples: the indices of all may not fit in memory
        rows = min(height, resamples - begin)
        drawn = cells[rng.integers(0, n, (rows, n))] + width * np.arange(rows)[:, None]
        tables.append(np.bincount(drawn.ravel(), minlength=width * rows).reshape(rows, *shape))
    return np.concatenate(tables)


def kappa_of_tables(tables: Counts) -> Array:
    """Return the quadratic-weighted kappa of each table of counts, shape (B, 5, 5); NaN where it is undefined."""
    counts = tables.astype(np.float64)
    total = counts.sum(axis=(1, 2))
    observed = np.einsum("bij,ij->b", counts, _WEIGHT) * total
    expected = np.einsum("bi,bj,ij->b", counts.sum(axis=2), counts.sum(axis=1), _WEIGHT)
    defined = expected > 0
    return np.where(defined, 1 - observed / np.where(defined, expected, 1.0), np.nan)


def mean_of_tables(tables: Counts, *, absolute: bool = False) -> Array:
    """Return the mean of score - reference (or of its absolute value) of each table of counts, shape (B, 5, 5)."""
    distance = np.abs(DISTANCE) if absolute else DISTANCE
    return np.asarray(np.einsum("bij,ij->b", tables, distance) / tables.sum(axis=(1, 2)), dtype=np.float64)


def percentile_interval(values: Array, confidence: float = 0.95) -> Interval | None:
    """Return the percentile interval of bootstrap values; None if more than one draw in twenty is undefined.

    Source: Efron and Tibshirani 1993, section 13.3.
    """
    defined = values[np.isfinite(values)]
    if not len(defined) or len(defined) < 0.95 * len(values):
        return None
    low, high = np.percentile(defined, [50 * (1 - confidence), 50 * (1 + confidence)])
    return Interval(low=float(low), high=float(high), confidence=confidence)
