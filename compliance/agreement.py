"""How far a reader agrees with legal experts: labels 1 to 5 against labels 1 to 5.

Everything is counted from one table of label pairs, so that a bootstrap is a table more, not a loop. What is undefined
(too few items, labels that never vary) is None with a reason, never a number made up.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compliance.label_tables import DISTANCE, Array, Counts, kappa_of_tables, label_table, resampled_tables
from reports.statistics import wilson

SOUND, GAP = 4, 2
"""From the first label on an item counts as sound, up to the second as a gap."""

LEVELS = ("nominal", "ordinal", "interval")
"""Of measurement; what alpha takes for near."""


@dataclass(frozen=True)
class FalseCalls:
    """How often the reader put an item on the wrong side, of those that the experts put on one."""

    count: int
    of: int

    @property
    def rate(self) -> float | None:
        """The share, None of nothing."""
        return self.count / self.of if self.of else None

    @property
    def upper(self) -> float:
        """The upper end of Wilson's two-sided 95 % interval; 1 where there was nothing to call."""
        return wilson(self.count, self.of).high


@dataclass(frozen=True)
class Agreement:
    """A reader's scores against a reference; a figure that is None has its reason in `undefined`."""

    n: int
    """Items compared."""
    kappa_qw: float | None
    """Kappa with quadratic weights (Cohen, Psychol. Bull. 70 (1968) 213-220)."""
    spearman: float | None
    """Rank correlation, ties at their average rank."""
    bias: float | None
    """Mean of score - reference: above zero the reader is too kind."""
    mae: float | None
    """Mean of |score - reference|."""
    exact: float | None
    """Share of equal labels."""
    over: float | None
    """Share scored above the reference."""
    under: float | None
    """Share scored below it."""
    f1: float | None
    """F1 of "score of 4 or 5"."""
    false_compliant: FalseCalls
    """Scored 4 or 5 among the items with a reference of 1 or 2."""
    false_noncompliant: FalseCalls
    """Scored 1 or 2 among the items with a reference of 4 or 5."""
    undefined: Mapping[str, str]
    """Why a figure is None, by its name."""


def quadratic_weighted_kappa(a: npt.ArrayLike, b: npt.ArrayLike) -> float | None:
    """Return 1 - sum(w O) / sum(w E) with w = (i - j)^2 / 16; None below two items, or if all labels are one and equal.

    Args:
        a: Labels 1 to 5, shape (n,).
        b: Labels 1 to 5 of the same items.

    Raises:
        ValueError: shapes differ, or a label is no integer from 1 to 5.
    """
    table = label_table(a, b)
    return None if table.sum() < 2 else _number(kappa_of_tables(table[None])[0])


def spearman(a: npt.ArrayLike, b: npt.ArrayLike) -> float | None:
    """Return the correlation of average ranks; None below two items, or where one side never varies.

    Raises:
        ValueError: as `quadratic_weighted_kappa`.
    """
    return _spearman(label_table(a, b))


def krippendorff_alpha(ratings: npt.ArrayLike, level: str = "ordinal") -> float | None:
    """Return Krippendorff's alpha; units with fewer than two ratings are left out.

    Args:
        ratings: Shape (raters, units), NaN where a rating is missing.
        level: "nominal", "ordinal" or "interval".

    Returns:
        Alpha, or None where no unit has two ratings or all ratings are equal.

    Source: Krippendorff, Computing Krippendorff's Alpha-Reliability (2011).

    Raises:
        ValueError: no such level, or `ratings` has not two dimensions.
    """
    values = np.asarray(ratings, dtype=np.float64)
    if values.ndim != 2:
        raise ValueError(f"ratings have shape {values.shape}; they must be (raters, units)")
    if level not in LEVELS:
        raise ValueError(f"no level of measurement {level!r}; known are {', '.join(LEVELS)}")
    domain = np.unique(values[np.isfinite(values)])
    counts = (values[:, :, None] == domain).sum(axis=0).astype(np.float64)  # (units, domain)
    counts = counts[counts.sum(axis=1) >= 2]
    if not len(counts):
        return None
    share = 1 / (counts.sum(axis=1) - 1)
    observed = np.einsum("uc,uk,u->ck", counts, counts, share) - np.diag(share @ counts)
    totals = counts.sum(axis=0)
    expected = (np.outer(totals, totals) - np.diag(totals)) / (totals.sum() - 1)
    squared = _squared_distances(level, domain, totals)
    disagreement = float((expected * squared).sum())
    return None if disagreement == 0 else 1 - float((observed * squared).sum()) / disagreement


def agreement(scores: npt.ArrayLike, reference: npt.ArrayLike) -> Agreement:
    """Return every figure of agreement.

    Args:
        scores: The reader's labels 1 to 5, shape (n,).
        reference: The experts' labels of the same items.

    Raises:
        ValueError: shapes differ, or a label is no integer from 1 to 5.
    """
    table = label_table(scores, reference)
    n = int(table.sum())
    kind, sound = table[SOUND - 1 :].sum(), table[:, SOUND - 1 :].sum()
    hits, labelled = int(table[SOUND - 1 :, SOUND - 1 :].sum()), int(kind + sound)
    figures: dict[str, float | None] = {
        "kappa_qw": None if n < 2 else _number(kappa_of_tables(table[None])[0]),
        "spearman": _spearman(table),
        "f1": 2 * hits / labelled if labelled else None,
        **{
            name: float((table * of).sum()) / n if n else None
            for name, of in (
                ("bias", DISTANCE),
                ("mae", np.abs(DISTANCE)),
                ("exact", DISTANCE == 0),
                ("over", DISTANCE > 0),
                ("under", DISTANCE < 0),
            )
        },
    }
    return Agreement(
        n=n,
        **figures,
        false_compliant=FalseCalls(int(table[SOUND - 1 :, :GAP].sum()), int(table[:, :GAP].sum())),
        false_noncompliant=FalseCalls(int(table[:GAP, SOUND - 1 :].sum()), int(sound)),
        undefined={name: _why_undefined(name, table) for name, value in figures.items() if value is None},
    )


def bootstrap_kappa(
    scores: npt.ArrayLike, reference: npt.ArrayLike, rng: np.random.Generator, resamples: int = 2000
) -> Array:
    """Return the kappa of each of `resamples` draws of items with replacement; NaN where a draw leaves it undefined.

    Raises:
        ValueError: as `resampled_tables`.
    """
    return kappa_of_tables(resampled_tables([scores, reference], rng, resamples))


def _spearman(table: Counts) -> float | None:
    n = int(table.sum())
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    if rows.max() == n or columns.max() == n:  # below two items both are
        return None
    x, y = (np.cumsum(counts) - (counts - 1) / 2 - (n + 1) / 2 for counts in (rows, columns))  # centred average ranks
    covariance = float(x @ table @ y)
    return covariance / math.sqrt(float(rows @ x**2) * float(columns @ y**2))


def _why_undefined(name: str, table: Counts) -> str:
    n = int(table.sum())
    if n == 0:
        return "there is no item"
    if name == "f1":
        return "neither side has a label of 4 or 5"
    if n < 2:
        return "one item alone has no agreement beyond chance"
    if name == "kappa_qw":
        return "both sides give one and the same label throughout"
    return "one side gives the same label throughout"


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _squared_distances(level: str, domain: Array, totals: Array) -> Array:
    """Return the squared distance of every two values, shape (v, v), given how often each was used."""
    match level:
        case "nominal":
            return np.not_equal.outer(domain, domain).astype(np.float64)
        case "ordinal":  # ratings between the two, half of their own included
            domain = np.cumsum(totals) - totals / 2
    return np.asarray(np.subtract.outer(domain, domain) ** 2, dtype=np.float64)
