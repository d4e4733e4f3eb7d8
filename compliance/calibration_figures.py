"""The figures of a calibration, from items and what raters said of them. Nothing is read or written here."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from compliance.aggregate import lower_median, score_set
from compliance.agreement import Agreement, agreement, krippendorff_alpha, quadratic_weighted_kappa
from compliance.aireg import Item
from compliance.calibration_records import (
    ArticleAgreement,
    Estimate,
    Human,
    Lexical,
    Metrics,
    Panel,
    Plain,
    ScoreSet,
    Skill,
    Undefined,
)
from compliance.label_tables import (
    Array,
    Counts,
    kappa_of_tables,
    mean_of_tables,
    percentile_interval,
    resampled_tables,
)
from compliance.lexical import hedge_density, leave_one_group_out, to_scores

__all__ = [
    "REFERENCE_KAPPA", "Compared", "article_agreement", "counted_words", "human", "lexical", "metrics", "panel",
    "score_sets", "skill",
]  # fmt: skip

REFERENCE_KAPPA = 0.7357
"""Of counting words, on all 120 items of AIReg-Bench: for data that come without their texts."""
COVERED, OF = 9, 10
"""Of the experts' medians, so many among so many are to lie in a score set."""
WIDEST = 4
"""Radius of the set of all scores."""
_NO_ITEM = "there is no item"


@dataclass(frozen=True, eq=False)
class Compared:
    """Items that have a score, in a fixed order."""

    items: tuple[Item, ...]
    scores: Counts
    """What the reader said, shape (n,)."""
    reference: Counts
    """The experts' lower medians, shape (n,)."""

    @classmethod
    def of(cls, items: Sequence[Item], scores: Mapping[str, int | None]) -> "Compared":
        """Return those of `items` that have a score."""
        pairs = [(item, score) for item in items if (score := scores.get(item.id)) is not None]
        return cls(
            tuple(item for item, _ in pairs),
            np.array([score for _, score in pairs], dtype=np.int64),
            np.array([item.reference for item, _ in pairs], dtype=np.int64),
        )

    def agreement(self, keep: Callable[[Item], bool] = lambda _: True) -> Agreement:
        """Return the agreement on the items to keep."""
        chosen = np.array([keep(item) for item in self.items], dtype=np.bool_)
        return agreement(self.scores[chosen], self.reference[chosen])

    def resampled(self, rng: np.random.Generator, resamples: int, baseline: Counts | None = None) -> Counts:
        """Return label tables of resamples, shape (B, 5, 5, 5): reader, baseline (else the reader again), experts."""
        if not self.items:
            return np.zeros((0, 5, 5, 5), dtype=np.int64)
        second = self.scores if baseline is None else baseline
        return resampled_tables([self.scores, second, self.reference], rng, resamples)


def metrics(found: Agreement, tables: Counts) -> Metrics:
    """Return the figures with their intervals, from the resamples of `Compared.resampled`."""
    read = tables.sum(axis=2)
    return Metrics(
        kappa_qw=_estimate(found, "kappa_qw", kappa_of_tables(read)),
        mae=_estimate(found, "mae", mean_of_tables(read, absolute=True)),
        bias=_estimate(found, "bias", mean_of_tables(read)),
        spearman=_plain(found, "spearman"),
        exact=_plain(found, "exact"),
        over=_plain(found, "over"),
        under=_plain(found, "under"),
        f1=_plain(found, "f1"),
    )


def article_agreement(found: Agreement) -> ArticleAgreement:
    """Return kappa and mean absolute difference on a part of the items."""
    return ArticleAgreement(n=found.n, kappa_qw=_number(found, "kappa_qw"), mae=_number(found, "mae"))


def counted_words(items: Sequence[Item], compared: Compared) -> Counts | None:
    """Return what counting words says of each compared item, fitted on the items of other uses, shape (n,).

    Args:
        items: All there are.
        compared: Those of them with a score.

    Returns:
        Scores, or None where a compared item has no text or all items are of one use.
    """
    told = [item for item in items if item.text is not None]
    lacking = any(item.text is None for item in compared.items)
    if lacking or not compared.items or len({item.use for item in told}) < 2:
        return None
    density = [hedge_density(item.text or "") for item in told]
    said = to_scores(leave_one_group_out(density, [item.reference for item in told], [item.use for item in told]))
    by_id = dict(zip((item.id for item in told), said, strict=True))
    return np.array([by_id[item.id] for item in compared.items], dtype=np.int64)


def lexical(compared: Compared, baseline: Counts | None) -> Lexical:
    """Return the kappa of counting words on the same items, or the published reference where it was not counted."""
    if baseline is None:
        return Lexical(kappa_qw=REFERENCE_KAPPA, source="reference")
    kappa = quadratic_weighted_kappa(baseline, compared.reference)
    if kappa is None:
        return Lexical(kappa_qw=Undefined(undefined="counting words gives one label throughout"), source="computed")
    return Lexical(kappa_qw=kappa, source="computed")


def skill(found: Agreement, words: Lexical, tables: Counts) -> Skill:
    """Return what the reader adds to counting words; its interval is of paired resamples."""
    if found.kappa_qw is None or isinstance(words.kappa_qw, Undefined):
        why = found.undefined.get("kappa_qw", "the kappa of counting words is undefined")
        return Skill(value=None, undefined=why)
    value = found.kappa_qw - words.kappa_qw
    if words.source == "reference":
        return Skill(value=value, undefined="no interval: the texts are not at hand, so no resample can be paired")
    ends = percentile_interval(kappa_of_tables(tables.sum(axis=2)) - kappa_of_tables(tables.sum(axis=1)))
    if ends is None:
        return Skill(value=value, undefined="no interval: too many resamples have no kappa")
    return Skill(value=value, low=ends.low, high=ends.high)


def score_sets(compared: Compared) -> ScoreSet:
    """Return how far the experts' median lies from the score, at most, for nine items in ten.

    The coverage is that of sets whose radius was taken from the items of other uses. Source: split conformal
    prediction, Vovk, Gammerman, Shafer, Algorithmic Learning in a Random World (2005), section 2.
    """
    distance = np.abs(compared.scores - compared.reference)
    uses = np.array([item.use for item in compared.items], dtype=np.int64)
    if len(np.unique(uses)) < 2:
        why = Undefined(undefined="needs items of two intended uses")
        return ScoreSet(radius=_radius(distance), coverage=why, mean_size=why)
    held = np.array([_radius(distance[uses != use]) for use in uses])
    sizes = [len(score_set(int(score), int(far))) for score, far in zip(compared.scores, held, strict=True)]
    return ScoreSet(
        radius=_radius(distance), coverage=float(np.mean(distance <= held)), mean_size=float(np.mean(sizes))
    )


def human(items: Sequence[Item]) -> Human:
    """Return who rated and how far they agree among themselves."""
    names = sorted({name for item in items for name in item.annotators})
    return Human(raters=tuple(names), alpha_ordinal=_alpha([item.human for item in items]))


def panel(
    items: Sequence[Item], raters: Mapping[str, Mapping[str, int | None]], rng: np.random.Generator, resamples: int
) -> Panel:
    """Return what several raters say together: the lower median of those who scored an item."""
    said = {item.id: [scores.get(item.id) for scores in raters.values()] for item in items}
    medians = {
        name: lower_median(score for score in given if score is not None) if any(given) else None
        for name, given in said.items()
    }
    compared = Compared.of(items, medians)
    return Panel(
        raters=tuple(raters),
        alpha_ordinal=_alpha([said[item.id] for item in items]),
        metrics=metrics(compared.agreement(), compared.resampled(rng, resamples)),
    )


def _radius(distance: Counts) -> int:
    place = -(-COVERED * (len(distance) + 1) // OF)  # a ceiling in whole numbers: 0.9 * 130 is above 117 in binary
    return int(np.sort(distance)[place - 1]) if place <= len(distance) else WIDEST


def _alpha(ratings: Sequence[Sequence[int | None]]) -> float | Undefined:
    """Return alpha of units with their ratings, in whatever order: who gave which does not enter."""
    table = np.full((max(map(len, ratings), default=0), len(ratings)), np.nan)
    for unit, given in enumerate(ratings):
        table[: len(given), unit] = [math.nan if rating is None else rating for rating in given]
    found = krippendorff_alpha(table)
    return Undefined(undefined="no two ratings of one item, or all ratings are equal") if found is None else found


def _number(found: Agreement, name: str) -> float | Undefined:
    value: float | None = getattr(found, name)
    return Undefined(undefined=found.undefined[name]) if value is None else value


def _plain(found: Agreement, name: str) -> Plain | Undefined:
    value = _number(found, name)
    return value if isinstance(value, Undefined) else Plain(value=value)


def _estimate(found: Agreement, name: str, resampled: Array) -> Estimate | Undefined:
    value, ends = _number(found, name), percentile_interval(resampled)
    if isinstance(value, Undefined) or ends is None:
        return value if isinstance(value, Undefined) else Estimate(value=value)
    return Estimate(value=value, low=ends.low, high=ends.high)
