"""What a model says of an example, as one number, and what is asked of arrays of such numbers.

Every test of this package takes scores, shape (models, examples); none of them ever sees a model.
"""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

LARGEST_CONFIDENCE = 50.0
"""Scores are held to +-50: a probability of 1 - 2e-22 says no more than one of 1 - 1e-30."""
ROUNDING = 1e-12
"""A spread below this share of the largest score is rounding: the models score the example alike."""


def logit_confidence(logits: npt.ArrayLike, y: npt.ArrayLike) -> Array:
    """Return log p_y - log(1 - p_y), within +-`LARGEST_CONFIDENCE`, shape (..., n).

    By log-sum-exp over the other classes, so that a probability that rounds to one still has a finite score
    (Carlini et al. 2022, arXiv:2112.03570, section VI-A).

    Args:
        logits: Shape (..., n, classes), two classes at least; leading dimensions are models.
        y: Labels, shape (n,).

    Raises:
        ValueError: shapes disagree, a logit is not finite, or a label names no class.
    """
    values, labels = _checked(logits, y)
    of_label = np.take_along_axis(values, labels, axis=-1)[..., 0]
    others = values.copy()
    np.put_along_axis(others, labels, -np.inf, axis=-1)
    confidence = of_label - _log_sum_exp(others)
    return np.asarray(np.clip(confidence, -LARGEST_CONFIDENCE, LARGEST_CONFIDENCE))


def per_example_loss(logits: npt.ArrayLike, y: npt.ArrayLike) -> Array:
    """Return the cross-entropy -log p_y in nats, float64, shape (..., n).

    Args:
        logits: Shape (..., n, classes), two classes at least.
        y: Labels, shape (n,).

    Raises:
        ValueError: shapes disagree, a logit is not finite, or a label names no class.
    """
    values, labels = _checked(logits, y)
    return np.asarray(_log_sum_exp(values) - np.take_along_axis(values, labels, axis=-1)[..., 0])


def score_matrix(scores: npt.ArrayLike, name: str) -> Array:
    """Return scores of several models as float64, shape (models, n).

    Raises:
        ValueError: not two dimensions, fewer than two models, no example, or a score that is not finite.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] == 0:
        raise ValueError(f"{name}: scores have shape {values.shape}; need (models, examples)")
    if len(values) < 2:
        raise ValueError(f"{name}: {len(values)} models; need two at least")
    if not np.isfinite(values).all():
        raise ValueError(f"{name}: a score is not finite")
    return values


def two_sides(unlearned: npt.ArrayLike, reference: npt.ArrayLike) -> tuple[Array, Array]:
    """Return the scores of unlearned models and of their references, on the same examples.

    Raises:
        ValueError: either is refused by `score_matrix`, or they count different examples.
    """
    first, second = score_matrix(unlearned, "unlearned"), score_matrix(reference, "reference")
    if first.shape[1] != second.shape[1]:
        raise ValueError(f"unlearned models score {first.shape[1]} examples, references {second.shape[1]}")
    return first, second


def alike(scores: Array) -> npt.NDArray[np.bool_]:
    """Tell of each column of `scores`, shape (models, n), whether all models agree on it but for rounding."""
    return np.asarray(np.ptp(scores, axis=0) <= ROUNDING * np.abs(scores).max(axis=0))


def moments(scores: Array) -> tuple[Array, Array]:
    """Return mean and standard deviation of each column, shape (n,) each.

    Where all models agree the deviation is infinite: divided by it, every score says nothing, which is zero.
    """
    deviation = np.where(alike(scores), np.inf, scores.std(axis=0, ddof=1))
    return scores.mean(axis=0), deviation


def _checked(logits: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Array, npt.NDArray[np.int64]]:
    """Return logits as float64, and the labels as indices into them, shape (..., n, 1)."""
    values, labels = np.asarray(logits, dtype=np.float64), np.asarray(y)
    if values.ndim < 2 or values.shape[-1] < 2 or labels.shape != values.shape[-2:-1]:
        raise ValueError(f"logits have shape {values.shape}, labels {labels.shape}; need (..., n, classes) and (n,)")
    if not np.isfinite(values).all():
        raise ValueError("a logit is not finite")
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"labels are {labels.dtype}, not integers")
    if labels.size and not 0 <= labels.min() <= labels.max() < values.shape[-1]:
        raise ValueError(f"labels lie in {labels.min()}..{labels.max()}, with {values.shape[-1]} classes")
    indices = np.broadcast_to(labels.astype(np.int64), values.shape[:-1])
    return values, indices[..., None]


def _log_sum_exp(values: Array) -> Array:
    """Return log sum exp over the last dimension; some entry of each row is finite."""
    largest = values.max(axis=-1, keepdims=True)
    return np.asarray(largest[..., 0] + np.log(np.exp(values - largest).sum(axis=-1)))
