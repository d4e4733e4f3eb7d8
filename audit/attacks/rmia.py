"""Membership by relative odds: whether training made a record likelier than it made other records (RMIA).

LR(x, z) = [p(x | model) / p(x)] / [p(z | model) / p(z)], p(x) a record's probability averaged over shadow models; the
score of x is the share of records z whose odds it reaches (Zarifzadeh, Liu, Shokri 2024, arXiv:2312.03262).
"""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

OFFLINE_SLOPE = 0.33
"""The a of the offline estimate p(x) = ((1 + a) p_out(x) + 1 - a) / 2 (appendix B.2.2 there)."""
GAMMA = 1.0
"""How many times z's odds x must reach."""


def relative_odds(target: Array, shadow: Array, member: BoolArray) -> Array:
    """Return for each record the share of all records whose odds it reaches, in [0, 1], shape (n,).

    The records z are those under test; whether they are members is not used.

    Args:
        target: Logit-scaled confidences under the model under attack, shape (n,).
        shadow: The same under the shadows, shape (S, n).
        member: Which shadow was trained on which record, shape (S, n). A record that none was trained on has its p(x)
            estimated from the shadows without it.
    """
    from scipy.special import expit

    odds = expit(target) / _marginal(expit(shadow), member)
    return np.asarray(np.searchsorted(np.sort(odds), odds / GAMMA, side="right") / len(odds))


def _marginal(probability: Array, member: BoolArray) -> Array:
    """Return p(x): the mean of the means with and without the record, or its estimate where none was trained on it."""
    inside, outside = member.sum(axis=0), (~member).sum(axis=0)
    within = (probability * member).sum(axis=0) / np.maximum(inside, 1)
    without = (probability * ~member).sum(axis=0) / np.maximum(outside, 1)
    offline = ((1 + OFFLINE_SLOPE) * without + 1 - OFFLINE_SLOPE) / 2
    both = np.where(outside > 0, (within + without) / 2, within)
    return np.asarray(np.maximum(np.where(inside > 0, both, offline), np.finfo(np.float64).tiny))
