"""The baseline that a reader of documents has to beat: counting words of reservation.

One list of words, written once and never tuned; their density is mapped to a score by a decreasing isotonic fit on
other uses of the benchmark. What it reaches is what surface alone gives away.
"""

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Scores = npt.NDArray[np.int64]

_RESERVATION = re.compile(
    r"\b(not|no|without|limited|lack\w*|absen\w*|however|although|while|future|planned|pending|deferred|remain\w*"
    r"|partial\w*|only|rel(?:y|ies)|assum\w*|did not|does not)\b",
    re.IGNORECASE,
)
LOWEST, HIGHEST = 1, 5
"""The ends of the scale of scores."""


@dataclass(frozen=True, eq=False)
class Isotonic:
    """A decreasing function, linear between its knots and constant beyond them."""

    knots: Array
    """Increasing, shape (k,)."""
    values: Array
    """Not increasing, shape (k,)."""

    def __call__(self, x: npt.ArrayLike) -> Array:
        """Return the value at each `x`, in its shape."""
        return np.asarray(np.interp(np.asarray(x, dtype=np.float64), self.knots, self.values), dtype=np.float64)


def hedge_density(text: str) -> float:
    """Return the words of reservation per 100 words; words are what stands between spaces, and no word gives 0."""
    count = len(text.split())
    return 100 * sum(1 for _ in _RESERVATION.finditer(text)) / count if count else 0.0


def fit_isotonic(x: npt.ArrayLike, y: npt.ArrayLike) -> Isotonic:
    """Return the decreasing least-squares fit of `y` on `x` by pooling adjacent violators; equal x are pooled first.

    Args:
        x: Shape (n,), n >= 1.
        y: Shape (n,).

    Source: Ayer, Brunk, Ewing, Reid, Silverman, Ann. Math. Stat. 26 (1955) 641-647.

    Raises:
        ValueError: there is no point, shapes differ, or a number is not finite.
    """
    places, values = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if places.shape != values.shape or places.ndim != 1 or not places.size:
        raise ValueError(f"need points of equal number, got shapes {places.shape} and {values.shape}")
    if not (np.isfinite(places).all() and np.isfinite(values).all()):
        raise ValueError("a point is not finite")
    knots, group = np.unique(places, return_inverse=True)
    weight = np.bincount(group).astype(np.float64)
    blocks: list[tuple[float, float, int]] = []  # (mean, weight, knots)
    for mean, mass in zip(np.bincount(group, values) / weight, weight, strict=True):
        blocks.append((float(mean), float(mass), 1))
        while len(blocks) > 1 and blocks[-2][0] <= blocks[-1][0]:
            (a, m, i), (b, n, j) = blocks[-2:]
            blocks[-2:] = [((a * m + b * n) / (m + n), m + n, i + j)]
    fitted = np.repeat([mean for mean, _, _ in blocks], [length for _, _, length in blocks])
    return Isotonic(knots, fitted)


def leave_one_group_out(x: npt.ArrayLike, y: npt.ArrayLike, groups: npt.ArrayLike) -> Array:
    """Return what the fit on all other groups says of each point, shape (n,).

    Args:
        x: Shape (n,).
        y: Shape (n,).
        groups: The group of each point, shape (n,), at least two.

    Raises:
        ValueError: fewer than two groups, or as `fit_isotonic`.
    """
    places, values, group = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64), np.asarray(groups)
    names = np.unique(group)
    if len(names) < 2 or group.shape != places.shape:
        raise ValueError(f"need at least two groups and one for each point, got {len(names)} and shape {group.shape}")
    said = np.empty(len(places))
    for name in names:
        inside = group == name
        said[inside] = fit_isotonic(places[~inside], values[~inside])(places[inside])
    return said


def to_scores(values: npt.ArrayLike) -> Scores:
    """Return values as scores: rounded, halves to even, and kept within 1 to 5."""
    return np.clip(np.rint(np.asarray(values, dtype=np.float64)), LOWEST, HIGHEST).astype(np.int64)
