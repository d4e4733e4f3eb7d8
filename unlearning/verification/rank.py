"""V14: the rank of one delivered model among retrained ones, and how much of the original's trace it keeps.

    N oracles and the delivered model ─▶ z ─▶ a = |mean z|, b = mean z², c = |<z, w>| / |w| ─▶ T = max(a, b, c)
    O originals, independent of it    ─▶ w                     p = (1 + #{oracles with T >= its T}) / (N + 1)

Every number is made of the N + 1 models in one symmetric way, so under exchangeability each of them is as likely to
rank first: the test holds every level k/(N + 1) whatever the scores' distribution (Barnard, JRSS B 25 (1963) 294;
Phipson and Smyth 2010, Stat. Appl. Genet. Mol. Biol. 9, article 39). The statistics are two-sided: a model that forgot
too much is as conspicuous as one that forgot too little, and the sign of `mean_shift` tells them apart.

The originals give the weights under which they would be judged themselves. So they are halved, and each half is judged
by the weights of the other: all of them are held out, in the power and in what a share of one means.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reports.statistics import Interval, clopper_pearson
from unlearning.verification.scores import ROUNDING, Array, alike, moments, score_matrix

LARGEST_WEIGHT = 5.0
"""Weights are held to +-5 deviations, so that no single example decides."""
TIE = 1e-9
"""Statistics that differ by less are equal: sums in another order differ in the last bits."""
CONFIDENCE = 0.95
"""Of the intervals of share and power."""
DEVIATIONS = 1.96
"""Half of the share's interval, in standard deviations over the oracles."""


@dataclass(frozen=True, eq=False)
class ModelStatistics:
    """What the test sees of some models, one entry a model; what a plot draws."""

    statistic: Array
    """T, in deviations over the N + 1 models it was ranked among."""
    mean: Array
    """Mean of z over the examples, signed: above zero, the labels are believed more than by retrained models."""
    square: Array
    """Mean of z^2; one for a model as variable as the oracles."""
    projection: Array
    """<z, w> / |w|, signed: above zero on the side of the originals."""


@dataclass(frozen=True, eq=False)
class ResidualShare:
    """rho: how much of the originals' trace the delivered model keeps, 0 like a retrained model, 1 like an original."""

    value: float
    """Of the delivered model; negative beyond the retrained ones."""
    interval: Interval
    """`value` +- 1.96 standard deviations of the oracles' shares."""
    oracles: Array
    """Share of each oracle, shape (N,), mean zero."""
    originals: Array
    """Share of each original by the weights of the other half, shape (O,), mean one in each half."""


@dataclass(frozen=True, eq=False)
class RankResult:
    """Whether the delivered model could be one of the oracles, and where it stands between them and the originals."""

    p_value: float
    """Probability of a T at least as large, were the delivered model one more oracle; at least 1/(N + 1)."""
    statistic: float
    """T of the delivered model."""
    level: float
    """Largest p-value that rejects."""
    residual: ResidualShare | None
    """None where held-out originals do not lie on the side of their own weights: no trace to have a share of."""
    power: float
    """Share of held-out originals that the same test rejects at the same level."""
    power_interval: Interval
    """Exact bounds of the power, 95 % two-sided."""
    mean_shift: float
    """Mean of the delivered model's z: its sign tells too little forgetting (+) from too much (-)."""
    mean_p_value: float
    """The same rank test by a = |mean z| alone, two-sided; read with the sign of `mean_shift`."""
    uninformative: int
    """Examples that all oracles score alike, so that they count for no share."""
    delivered: ModelStatistics
    """One entry."""
    oracles: ModelStatistics
    """N entries, ranked with the delivered model."""
    originals: ModelStatistics
    """O entries, each held out and ranked in the delivered model's place."""

    @property
    def rejected(self) -> bool:
        """Whether the delivered model stands out among the oracles at the level."""
        return self.p_value <= self.level

    @property
    def residual_share(self) -> float | None:
        """rho, where there is a trace to have a share of."""
        return None if self.residual is None else self.residual.value

    @property
    def interval(self) -> Interval | None:
        """The interval of rho, where there is one."""
        return None if self.residual is None else self.residual.interval


def oracles_needed(level: float) -> int:
    """Return the fewest oracles with which the test can reject at `level` at all: 19 at 0.05, 49 at 0.02.

    Raises:
        ValueError: `level` lies outside (0, 1).
    """
    needed = max(1, math.ceil(1 / _checked_level(level)) - 2)
    while 1 / (needed + 1) > level:
        needed += 1
    return needed


def rank_test(
    delivered: npt.ArrayLike, oracles: npt.ArrayLike, originals: npt.ArrayLike, *, level: float
) -> RankResult:
    """Return the exact rank test of one delivered model, its residual influence share and the test's power.

    Args:
        delivered: Scores of the forget set by the delivered model, shape (n,).
        oracles: Scores by models of the matched reference, shape (N, n).
        originals: Scores by models of the same recipe that did see the forget set, of other seeds, none of them an
            ancestor of the delivered model, shape (O, n).
        level: Largest p-value that rejects; below 1/(N + 1) nothing can be rejected and the power is zero.

    Raises:
        ValueError: shapes disagree, a score is not finite, fewer than two oracles or originals, or `level` is none.
    """
    retrained, trained = score_matrix(oracles, "oracles"), score_matrix(originals, "originals")
    candidate = np.asarray(delivered, dtype=np.float64)
    if not candidate.shape == retrained.shape[1:] == trained.shape[1:]:
        shapes = f"{candidate.shape}, oracles {retrained.shape}, originals {trained.shape}"
        raise ValueError(f"delivered scores have shape {shapes}; need (n,), (N, n) and (O, n)")
    if not np.isfinite(candidate).all():
        raise ValueError("delivered: a score is not finite")
    _checked_level(level)
    ranking = _ranking(candidate, retrained, trained)
    halves = _halves(len(trained))
    held_out = [_ranking(one, retrained, trained[halves != half]) for one, half in zip(trained, halves, strict=True)]
    rejected = sum(_p_value(each[_STATISTIC]) <= level for each in held_out)
    return RankResult(
        p_value=_p_value(ranking[_STATISTIC]),
        statistic=float(ranking[_STATISTIC, -1]),
        level=level,
        residual=_residual(candidate, retrained, trained),
        power=rejected / len(trained),
        power_interval=clopper_pearson(rejected, len(trained), CONFIDENCE),
        mean_shift=float(ranking[_MEAN, -1]),
        mean_p_value=_p_value(np.abs(ranking[_MEAN])),
        uninformative=int(alike(retrained).sum()),
        delivered=ModelStatistics(*ranking[:, -1:]),
        oracles=ModelStatistics(*ranking[:, :-1]),
        originals=ModelStatistics(*np.stack([each[:, -1] for each in held_out], axis=1)),
    )


_STATISTIC, _MEAN = 0, 1
"""Rows of a ranking: the fields of `ModelStatistics`."""


def _ranking(candidate: Array, oracles: Array, originals: Array) -> Array:
    """Return the fields of `ModelStatistics` for N oracles and, last, the candidate, shape (4, N + 1).

    Symmetric in the N + 1 models, which is all that the exactness of the test rests on.
    """
    models = np.vstack([oracles, candidate])
    z, weights = _standardised(models, models, originals)
    mean, square, projection = z.mean(axis=1), (z**2).mean(axis=1), _along(z, weights)
    each = np.stack([np.abs(mean), square, np.abs(projection)], axis=1)
    center, deviation = moments(each)
    return np.stack([((each - center) / deviation).max(axis=1), mean, square, projection])


def _standardised(models: Array, population: Array, originals: Array) -> tuple[Array, Array]:
    """Return z of `models` by the moments of `population`, and the clipped mean z of `originals`, shape (n,)."""
    center, deviation = moments(population)
    weights = (originals.mean(axis=0) - center) / deviation  # the mean of z: standardising is linear
    return (models - center) / deviation, np.clip(weights, -LARGEST_WEIGHT, LARGEST_WEIGHT)


def _along(z: Array, weights: Array) -> Array:
    """Return <z, w> / |w|, zero where there is no weight."""
    norm = float(np.linalg.norm(weights))
    return np.asarray((z * weights).sum(axis=1) / norm) if norm > 0 else np.zeros(len(z))


def _residual(candidate: Array, oracles: Array, originals: Array) -> ResidualShare | None:
    """Return the residual influence share by the oracles' moments; None where the originals show no trace.

    A share is the mean over the two halves of <z, w> / (mean over the half's originals of <z, w>), w of the other half.
    """
    halves = _halves(len(originals))
    models = np.vstack([candidate, oracles, originals])
    shares, of_originals = np.zeros(1 + len(oracles)), np.zeros(len(originals))
    for half in (0, 1):
        z, weights = _standardised(models, oracles, originals[halves != half])
        products = (z * weights).sum(axis=1)
        held_out = products[len(shares) :][halves == half]
        scale = float(held_out.mean())
        if not scale > ROUNDING:
            return None
        shares += products[: len(shares)] / scale / 2
        of_originals[halves == half] = held_out / scale
    value, of_oracles = float(shares[0]), shares[1:]
    half_width = DEVIATIONS * float(of_oracles.std(ddof=1))
    interval = Interval(low=value - half_width, high=value + half_width, confidence=CONFIDENCE)
    return ResidualShare(value, interval, of_oracles, of_originals)


def _halves(originals: int) -> npt.NDArray[np.int64]:
    """Return which half each original belongs to, 0 or 1 in turn, shape (O,)."""
    return np.arange(originals) % 2


def _p_value(statistic: Array) -> float:
    """Return the share of models whose statistic is at least the last one's, that one among them."""
    return float(1 + (statistic[:-1] >= statistic[-1] - TIE).sum()) / len(statistic)


def _checked_level(level: float) -> float:
    if not 0 < level < 1:
        raise ValueError(f"a level lies strictly between 0 and 1, not {level}")
    return level
