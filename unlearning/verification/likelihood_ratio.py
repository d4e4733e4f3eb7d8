"""V3, U-LiRA: can unlearned models be told from retrained ones, example by example, by a likelihood ratio?

    N unlearned models │ fold 1 │ fold 2 │ fold 3 │ fold 4 │    per example a Gaussian is fitted to each side on three
    N references       │ fold 1 │ fold 2 │ fold 3 │ fold 4 │    folds, and the models of the fourth are judged by both

Source: Hayes et al. 2024 (arXiv:2403.01218, section 4), after Carlini et al. 2022 (arXiv:2112.03570). The AUC is taken
within each fold and averaged: pooled over folds, the ratios of one fold know the models of the others, which biases it
below one half where nothing is to be seen (Airola et al. 2011, Comput. Stat. Data Anal. 55, 1828). The true-positive
rate takes one threshold for all folds: the references of one fold are too few to set the last percent by.

The scores of one model are correlated, often strongly, so examples are never resampled. The error is that of models:
the larger of the spread under random exchanges of models between the sides, refitted (an exact null, and the p-value),
and of a bootstrap over models without refitting.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reports.statistics import Interval, auc, tpr_at_fpr
from unlearning.verification.scores import Array, alike, two_sides

EXCHANGES = 200
"""Random exchanges of models between the sides; the smallest p-value is 1/201."""
RESAMPLES = 200
"""Bootstrap resamples of the models."""
DEVIATIONS = 1.96
"""Half of an interval, in standard deviations."""
CONFIDENCE = 0.95
"""Of the intervals."""
EXPOSED = 0.9
"""AUC above which an example counts as exposed."""
MOST_EXPOSED = 0.05
"""Share of the examples that are named as the most exposed."""
LOW_RATE = 0.01
"""False-positive rate at which true positives are counted."""
LEAST_DEVIATION = 1e-6
"""Of a fitted Gaussian, in deviations over both sides: a side that never varies still has a density."""
TIE = 1e-12
"""AUCs that differ by less are equal."""

Fold = tuple[Array, Array]
"""Log-likelihood ratios of the held-out unlearned models and references of one fold, shape (models, n) each."""


@dataclass(frozen=True, eq=False)
class ULiraResult:
    """How well the likelihood ratio tells unlearned models from references, on models it was not fitted to."""

    auc: float
    """Probability that an unlearned model's ratio exceeds a reference's, over all examples; .5 where they are alike."""
    interval: Interval
    """`auc` +- 1.96 deviations; read both ends."""
    p_value: float
    """Probability of an AUC as far from .5, on either side, were the sides exchangeable; at least 1/201."""
    accuracy: float
    """Share of (model, example) pairs that the sign of the ratio puts on the right side, ties counted half."""
    tpr_at_1_percent: float
    """Share of unlearned (model, example) pairs above a ratio that at most 1 % of the references' exceed."""
    tpr_interval: Interval
    """`tpr_at_1_percent` +- 1.96 deviations, found like those of the AUC."""
    exposed_share: float
    """Share of examples with an AUC above 0.9: to be held against the control's, as few models make some by chance."""
    per_example_auc: Array
    """The same probability for each example alone, shape (n,)."""
    most_exposed: npt.NDArray[np.int64]
    """The 5 % of examples (one at least) with the largest AUC, largest first."""
    exchange_deviation: float
    """Standard deviation of the AUC under exchanges of models."""
    bootstrap_deviation: float
    """Standard deviation of the AUC over resampled models."""
    unlearned_ratios: Array
    """Held-out log-likelihood ratios of the unlearned models, shape (N, n): what a plot draws."""
    reference_ratios: Array
    """Those of the references, shape (M, n)."""

    @property
    def most_exposed_auc(self) -> float:
        """Mean AUC of the most exposed examples; chosen for it, so to be held against the control's."""
        return float(self.per_example_auc[self.most_exposed].mean())


def u_lira(
    unlearned: npt.ArrayLike, reference: npt.ArrayLike, *, folds: int = 4, rng: np.random.Generator
) -> ULiraResult:
    """Return how well unlearned models can be told from references by their scores, with errors over models.

    Args:
        unlearned: Scores of the forget set by independent runs of the whole pipeline, shape (N, n).
        reference: Scores by independent models of the matched reference, shape (M, n).
        folds: Into which the models of each side are dealt in their order.
        rng: Draws exchanges and resamples; the AUC itself is not random.

    Raises:
        ValueError: shapes disagree, a score is not finite, fewer than two folds, or too few models: every fold needs
            one of each side, and leaves two of each side to be fitted.
    """
    first, second = two_sides(unlearned, reference)
    fewest = min(len(first), len(second))
    if folds < 2 or fewest < folds or fewest - -(-fewest // folds) < 2:
        raise ValueError(f"{fewest} models of a side in {folds} folds; need two folds, and two models outside of each")
    fitted = list(_cross_fitted(first, second, folds))
    value, rate = _auc(fitted), _true_positive_rate(fitted)
    exchanged = np.array(list(_exchanged(first, second, folds, rng)))
    resampled = np.array(list(_resampled(fitted, rng)))
    spreads = np.stack([exchanged.std(axis=0, ddof=1), resampled.std(axis=0, ddof=1)])
    widths = DEVIATIONS * spreads.max(axis=0)
    as_far = np.abs(exchanged[:, 0] - 0.5) >= abs(value - 0.5) - TIE
    ratios = [np.concatenate(side) for side in zip(*fitted, strict=True)]
    per_example = _per_example(fitted)
    named = max(1, round(MOST_EXPOSED * len(per_example)))
    return ULiraResult(
        auc=value,
        interval=_around(value, float(widths[0])),
        p_value=float((1 + as_far.sum()) / (EXCHANGES + 1)),
        accuracy=float(np.mean([_right(ratios[0]).mean(), _right(-ratios[1]).mean()])),
        tpr_at_1_percent=rate,
        tpr_interval=_around(rate, float(widths[1])),
        exposed_share=float((per_example > EXPOSED).mean()),
        per_example_auc=per_example,
        most_exposed=np.argsort(-per_example, kind="stable")[:named],
        exchange_deviation=float(spreads[0, 0]),
        bootstrap_deviation=float(spreads[1, 0]),
        unlearned_ratios=ratios[0],
        reference_ratios=ratios[1],
    )


def log_likelihood_ratio(scores: Array, unlearned: Array, reference: Array) -> Array:
    """Return log N(score; unlearned) - log N(score; reference), a Gaussian fitted to each side per example.

    Args:
        scores: Of the models to judge, shape (models, n).
        unlearned: Of the models that one Gaussian is fitted to, two at least, shape (N, n).
        reference: Those of the other, shape (M, n).

    An example on which all fitted models agree says nothing: its ratio is zero.
    """
    both = np.concatenate([unlearned, reference])
    silent, least = alike(both), LEAST_DEVIATION * both.std(axis=0)

    def log_density(fitted: Array) -> Array:
        deviation = np.where(silent, 1.0, np.maximum(fitted.std(axis=0, ddof=1), least))
        return np.asarray(-np.log(deviation) - ((scores - fitted.mean(axis=0)) / deviation) ** 2 / 2)

    return np.where(silent, 0.0, log_density(unlearned) - log_density(reference))


def _cross_fitted(unlearned: Array, reference: Array, folds: int) -> Iterator[Fold]:
    """Yield the held-out ratios of each fold; a fold holds consecutive models of each side."""
    of_unlearned = np.array_split(np.arange(len(unlearned)), folds)
    of_reference = np.array_split(np.arange(len(reference)), folds)
    for mine, theirs in zip(of_unlearned, of_reference, strict=True):
        fits = np.delete(unlearned, mine, axis=0), np.delete(reference, theirs, axis=0)
        held_out = np.concatenate([unlearned[mine], reference[theirs]])
        ratios = log_likelihood_ratio(held_out, *fits)
        yield ratios[: len(mine)], ratios[len(mine) :]


def _exchanged(
    unlearned: Array, reference: Array, folds: int, rng: np.random.Generator
) -> Iterator[tuple[float, float]]:
    """Yield AUC and true-positive rate with the models dealt to the sides at random, fitted anew."""
    models = np.concatenate([unlearned, reference])
    for _ in range(EXCHANGES):
        dealt = models[rng.permutation(len(models))]
        fitted = list(_cross_fitted(dealt[: len(unlearned)], dealt[len(unlearned) :], folds))
        yield _auc(fitted), _true_positive_rate(fitted)


def _resampled(fitted: Sequence[Fold], rng: np.random.Generator) -> Iterator[tuple[float, float]]:
    """Yield AUC and true-positive rate with the models of each side and fold resampled, their ratios as they are."""
    for _ in range(RESAMPLES):
        again = [(_redrawn(mine, rng), _redrawn(theirs, rng)) for mine, theirs in fitted]
        yield _auc(again), _true_positive_rate(again)


def _redrawn(ratios: Array, rng: np.random.Generator) -> Array:
    return np.asarray(ratios[rng.integers(0, len(ratios), len(ratios))])


def _auc(fitted: Sequence[Fold]) -> float:
    """Return the mean over folds of the AUC, each fold weighted by its pairs of models."""
    weights = [len(mine) * len(theirs) for mine, theirs in fitted]
    return float(np.average([auc(mine.ravel(), theirs.ravel()) for mine, theirs in fitted], weights=weights))


def _true_positive_rate(fitted: Sequence[Fold]) -> float:
    """Return the true-positive rate at 1 % false positives, one threshold for all folds."""
    mine, theirs = (np.concatenate(side).ravel() for side in zip(*fitted, strict=True))
    positive = np.arange(mine.size + theirs.size) < mine.size
    return tpr_at_fpr(np.concatenate([mine, theirs]), positive, LOW_RATE).value


def _per_example(fitted: Sequence[Fold]) -> Array:
    """Return the mean over folds of each example's AUC, shape (n,)."""
    pairs = [np.sign(mine[:, None] - theirs[None]) / 2 + 0.5 for mine, theirs in fitted]
    return np.asarray(np.concatenate([each.reshape(-1, each.shape[-1]) for each in pairs]).mean(axis=0))


def _right(ratios: Array) -> Array:
    """Return 1 where a ratio is positive, 0 where negative, 1/2 at zero."""
    return np.asarray((np.sign(ratios) + 1) / 2)


def _around(value: float, half_width: float) -> Interval:
    low, high = max(0.0, value - half_width), min(1.0, value + half_width)
    return Interval(low=low, high=high, confidence=CONFIDENCE)
