"""V4 and V5: how far the scores of unlearned models lie from those of retrained ones, example by example.

V4 asks for each example which epsilon the best simple attack on it refutes: any threshold in either direction, or the
likelihood rule of two Gaussians. The forgetting quality F turns that into points, halved with each bin of epsilon
(Triantafillou et al. 2024, arXiv:2406.09073, the scoring of the NeurIPS 2023 unlearning challenge). Rates are counted
on the models that the attack was chosen on, and few models make large epsilons by chance: F ranks, it proves nothing,
and is only to be read beside the F of a control with as many models.

V5, KLoM, is the divergence of the two histograms of an example's score (Georgiev et al. 2024, arXiv:2410.23232).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reports.statistics import clopper_pearson
from unlearning.verification.likelihood_ratio import log_likelihood_ratio
from unlearning.verification.scores import Array, two_sides

CONFIDENCE = 0.95
"""Of the bounds of both rates of an attack together."""
TIE = 1e-9
"""A log-likelihood ratio below it is zero but for rounding, and accuses nobody."""
LEAST_SHARE = 1e-5
"""Share of an empty bin, so that a divergence stays finite: at most -ln 1e-5 = 11.5."""


@dataclass(frozen=True, eq=False)
class ForgettingQuality:
    """F and what it is made of; never to be read without the control's."""

    score: float
    """F: the mean of 2/2^n over examples, n the bin of epsilon; 1 is best."""
    median_epsilon: float
    """Of the examples; infinite where every second one is separated without an error."""
    infinite_share: float
    """Share of examples on which some attack makes no error at all."""
    conservative_score: float
    """F with both rates of every attack at their Clopper-Pearson upper bounds (95 % together): no attack is dropped,
    and few models cannot show a large epsilon."""
    epsilons: Array
    """Epsilon of each example, shape (n,), possibly infinite."""


@dataclass(frozen=True, eq=False)
class Klom:
    """Divergence of margins of unlearned and retrained models."""

    per_example: Array
    """KL(retrained || unlearned) of the histograms in nats, shape (n,)."""
    percentile_95: float
    """What 95 % of the examples stay below."""


def epsilon_per_example(unlearned: npt.ArrayLike, retrained: npt.ArrayLike, delta: float = 0.01) -> Array:
    """Return the largest epsilon that an attack on each example refutes, shape (n,), not below zero.

    epsilon = max over attacks of max{ln(1 - delta - FPR) - ln FNR, ln(1 - delta - FNR) - ln FPR}: infinite where both
    rates are zero; where exactly one is, the attack is dropped, as the zero shows too few models.

    Args:
        unlearned: Scores by unlearned models, shape (N, n).
        retrained: Scores by retrained models, shape (M, n).
        delta: Of the privacy definition.

    Raises:
        ValueError: shapes disagree, fewer than two models a side, a score is not finite, or `delta` is out of [0, 1).
    """
    first, second = two_sides(unlearned, retrained)
    false_positives, false_negatives = _errors(first, second)
    return _epsilons(false_positives / len(second), false_negatives / len(first), _checked(delta))


def forgetting_quality(
    unlearned: npt.ArrayLike, retrained: npt.ArrayLike, *, delta: float = 0.01, bins: int = 13, width: float = 0.5
) -> ForgettingQuality:
    """Return the forgetting quality F of unlearned models against retrained ones.

    Args:
        unlearned: Scores by unlearned models, shape (N, n).
        retrained: Scores by retrained models, shape (M, n).
        delta: Of the privacy definition.
        bins: Of epsilon, from zero; the last is open, so F is at least 2/2^bins.
        width: Of a bin.

    Raises:
        ValueError: shapes disagree, fewer than two models a side, a score is not finite, or a parameter is out.
    """
    if bins < 1 or not width > 0:
        raise ValueError(f"need a bin of some width, not {bins} of width {width}")
    epsilons = epsilon_per_example(unlearned, retrained, delta)
    cautious = _conservative(*two_sides(unlearned, retrained), delta)
    edges = width * np.arange(bins)

    def points(values: Array) -> float:
        return float((2.0 / 2.0 ** np.digitize(values, edges)).mean())

    return ForgettingQuality(
        score=points(epsilons),
        median_epsilon=float(np.median(epsilons)),
        infinite_share=float(np.isinf(epsilons).mean()),
        conservative_score=points(cautious),
        epsilons=epsilons,
    )


def klom(unlearned: npt.ArrayLike, retrained: npt.ArrayLike, *, bins: int = 20) -> Klom:
    """Return the divergence of each example's scores by retrained models from those by unlearned ones.

    Bins are of equal width between the smallest and the largest score of either side; scores come clipped.

    Args:
        unlearned: Scores by unlearned models, shape (N, n).
        retrained: Scores by retrained models, shape (M, n).
        bins: Of each example's histograms.

    Raises:
        ValueError: shapes disagree, fewer than two models a side, a score is not finite, or there is no bin.
    """
    if bins < 1:
        raise ValueError(f"need at least one bin, not {bins}")
    first, second = two_sides(unlearned, retrained)
    both = np.concatenate([first, second])
    low, span = both.min(axis=0), np.ptp(both, axis=0)
    held = np.minimum(((both - low) * bins / np.where(span > 0, span, 1.0)).astype(np.int64), bins - 1)
    theirs = _shares(held[len(first) :], bins)
    mine = np.maximum(_shares(held[: len(first)], bins), LEAST_SHARE)
    logarithms = np.log(np.where(theirs > 0, theirs, 1.0)) - np.log(mine)
    per_example = np.maximum((theirs * logarithms).sum(axis=0), 0.0)  # what empty bins were given may leave -1e-4
    return Klom(per_example, float(np.quantile(per_example, 0.95)))


def _errors(unlearned: Array, retrained: Array) -> tuple[Array, Array]:
    """Return false positives and false negatives of every attack on each example, shape (attacks, n).

    Unlearned is the positive side. NaN where a threshold would fall between equal scores.
    """
    below_unlearned, below_retrained = _below(unlearned, retrained)
    upward = len(retrained) - below_retrained, below_unlearned  # scores above the threshold are called unlearned
    downward = below_retrained, len(unlearned) - below_unlearned
    called = [log_likelihood_ratio(side, unlearned, retrained) > TIE for side in (retrained, unlearned)]
    gaussian = called[0].sum(axis=0)[None], (~called[1]).sum(axis=0)[None]
    false_positives, false_negatives = (
        np.concatenate(each).astype(np.float64) for each in zip(upward, downward, gaussian, strict=True)
    )
    return false_positives, false_negatives


def _below(unlearned: Array, retrained: Array) -> tuple[Array, Array]:
    """Return how many of each side lie at or below each score of either, ascending, shape (N + M, n) each."""
    both = np.concatenate([unlearned, retrained])
    order = np.argsort(both, axis=0, kind="stable")
    ascending = np.take_along_axis(both, order, axis=0)
    tied = np.zeros(both.shape, dtype=bool)
    tied[:-1] = ascending[:-1] == ascending[1:]
    mine = order < len(unlearned)
    counts = [np.where(tied, np.nan, np.cumsum(side, axis=0)) for side in (mine, ~mine)]
    return counts[0], counts[1]


def _epsilons(false_positive: Array, false_negative: Array, delta: float) -> Array:
    """Return the largest epsilon over attacks from their rates, shape (attacks, n), NaN for none, to shape (n,)."""
    silent = (false_positive > 0) != (false_negative > 0)
    with np.errstate(divide="ignore", invalid="ignore"):  # no rate, a rate of zero, a rate above 1 - delta
        either = np.fmax(
            np.log(1 - delta - false_positive) - np.log(false_negative),
            np.log(1 - delta - false_negative) - np.log(false_positive),
        )
    return np.asarray(np.fmax.reduce(np.where(silent, 0.0, either), axis=0, initial=0.0))


def _conservative(unlearned: Array, retrained: Array, delta: float) -> Array:
    """Return `epsilon_per_example` with both rates of every attack at their upper bounds."""
    counts = _errors(unlearned, retrained)
    rates = []
    for errors, models in zip(counts, (len(retrained), len(unlearned)), strict=True):
        bounds = np.array([clopper_pearson(k, models, CONFIDENCE).high for k in range(models + 1)])
        known = np.isfinite(errors)
        rates.append(np.where(known, bounds[np.where(known, errors, 0.0).astype(np.int64)], np.nan))
    return _epsilons(rates[0], rates[1], delta)


def _shares(held: npt.NDArray[np.int64], bins: int) -> Array:
    """Return the share of models in each bin of each example, shape (bins, n)."""
    return np.asarray([(held == each).mean(axis=0) for each in range(bins)])


def _checked(delta: float) -> float:
    if not 0 <= delta < 1:
        raise ValueError(f"a delta lies in [0, 1), not {delta}")
    return delta
