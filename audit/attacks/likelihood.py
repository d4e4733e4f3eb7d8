"""Membership by likelihood ratio: how much likelier a model's score is if the record was trained on than if not.

Each record has its own two distributions of scores, over shadow models with it and without it (LiRA, Carlini et al.
2022, arXiv:2112.03570). Few shadows tell a record's mean and variance badly, so both are shrunk towards those of all
records: a normal-inverse-gamma prior is fitted over the records, and the predictive distribution of a new score is
Student's t (arXiv:2603.11799; Gelman et al., Bayesian Data Analysis, 3rd edition, section 3.3; the prior's degrees of
freedom by moments of log variances: Smyth 2004, Stat. Appl. Genet. Mol. Biol. 3, article 3, section 6.2).
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

MOST_DEGREES = 1e4
"""Degrees of freedom of a prior under which all records have one variance; Student's t is normal from there."""
LEAST_VARIANCE = 1e-12
"""So that scores that never change have a logarithm, and a width; of the mean of all variances where there are some."""


@dataclass(frozen=True, eq=False)
class StudentT:
    """The distribution of a score that is yet to be seen, record by record, each of shape (n,)."""

    location: Array
    """Its centre."""
    scale: Array
    """Its width."""
    degrees: Array
    """Its degrees of freedom."""

    def log_density(self, score: Array) -> Array:
        """Return the logarithm of the density at `score`, shape (n,)."""
        from scipy.special import gammaln

        z, v = (score - self.location) / self.scale, self.degrees
        constant = gammaln((v + 1) / 2) - gammaln(v / 2) - np.log(v * math.pi) / 2 - np.log(self.scale)
        return np.asarray(constant - (v + 1) / 2 * np.log1p(z * z / v))

    def log_tail(self, score: Array) -> Array:
        """Return the logarithm of the probability of a score above `score`, shape (n,)."""
        from scipy.stats import t

        return np.asarray(t.logsf(score, self.degrees, self.location, self.scale))


def predictive(shadow: Array, used: BoolArray) -> StudentT:
    """Return the predictive distribution of each record's score.

    Args:
        shadow: Scores of the records under the shadows, shape (S, n).
        used: Which of them to learn from, shape (S, n); of a record without any, the prior speaks alone.

    Raises:
        ValueError: no record has two scores, so nothing tells how far scores spread.
    """
    count = used.sum(axis=0)
    mean = np.divide((shadow * used).sum(axis=0), count, out=np.zeros(shadow.shape[1]), where=count > 0)
    squares = (((shadow - mean) * used) ** 2).sum(axis=0)
    several = count >= 2
    if not several.any():
        raise ValueError("no record has two scores to learn a spread from")
    prior_degrees, prior_variance = _variance_prior(squares[several] / (count[several] - 1), count[several] - 1.0)
    centre = float(mean[count > 0].mean())
    within = float((squares[several] / (count[several] - 1)).mean())
    between = float(mean[several].var()) - float((squares[several] / (count[several] - 1) / count[several]).mean())
    weight = within / max(between, 1e-3 * within, 1e-12)  # scores that the prior's mean counts for
    degrees = prior_degrees + count
    total = weight + count
    location = (weight * centre + count * mean) / total
    spread = prior_degrees * prior_variance + squares + weight * count / total * (mean - centre) ** 2
    scale = np.sqrt(np.maximum(spread / degrees, LEAST_VARIANCE) * (1 + 1 / total))
    return StudentT(location, scale, degrees)


def online_ratio(target: Array, shadow: Array, member: BoolArray) -> Array:
    """Return the log likelihood ratio of each record's score under the target, shape (n,).

    Args:
        target: Scores under the model under attack, shape (n,).
        shadow: Scores under the shadows, shape (S, n).
        member: Which shadow was trained on which record, shape (S, n).

    Source: arXiv:2112.03570, algorithm 1.

    Raises:
        ValueError: as `predictive`.
    """
    return predictive(shadow, member).log_density(target) - predictive(shadow, ~member).log_density(target)


def offline_ratio(target: Array, shadow: Array, member: BoolArray) -> Array:
    """Return how unlikely so high a score is without the record, -log P[score > target], shape (n,).

    Arguments and errors as in `online_ratio`; only shadows without the record are looked at (section VI-B there).
    """
    return -predictive(shadow, ~member).log_tail(target)


def _variance_prior(variances: Array, degrees: Array) -> tuple[float, float]:
    """Return degrees of freedom and scale of the scaled inverse chi-squared prior that the sample variances come from.

    By the mean and the variance of their logarithms, which are those of log F up to digamma and trigamma terms.
    """
    from scipy.special import digamma, polygamma

    floor = max(LEAST_VARIANCE * float(variances.mean()), 1e-300)
    logs = np.log(np.maximum(variances, floor)) - digamma(degrees / 2) + np.log(degrees / 2)
    excess = float(logs.var(ddof=1) - polygamma(1, degrees / 2).mean()) if len(logs) > 1 else 0.0
    if excess <= 0:
        return MOST_DEGREES, float(variances.mean())
    half = _inverse_trigamma(excess)
    scale = math.exp(float(logs.mean()) + float(digamma(half)) - math.log(half))
    return min(2 * half, MOST_DEGREES), scale


def _inverse_trigamma(value: float) -> float:
    """Return x with trigamma(x) = `value`, by Newton's method on 1/trigamma (Smyth 2004, appendix)."""
    from scipy.special import polygamma

    x = 0.5 + 1 / value
    for _ in range(50):
        first = float(polygamma(1, x))
        step = first * (1 - first / value) / float(polygamma(2, x))
        x += step
        if -step / x < 1e-10:
            break
    return x
