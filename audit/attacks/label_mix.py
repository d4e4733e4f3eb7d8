"""Whose logits are these: a client's label mix shows in what it answers to records that it never saw.

A model trained on a skewed mix of labels leans towards the frequent ones, on every record, by about the logarithm of
their share. The mean answer of a client, less that of all clients, is therefore a likeness of its label mix. Schemes
that share logits instead of updates (FedMD; KnFu, arXiv:2403.11892) hide gradients, not this.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reports.statistics import clopper_pearson, permutation

Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

SMALLEST_SHARE = 1e-12
"""Stands for a probability of zero, whose logarithm is none."""
EXCHANGES = 4_999
"""Orders of the clients that are drawn where there are too many to try all."""
MOST_TRIED = 7
"""Clients of which every order is tried."""
TIE = 1e-9
"""Distances of two histograms that differ by less are equal."""


@dataclass(frozen=True, eq=False)
class Answers:
    """What clients answered to the same records in one round."""

    clients: IntArray
    """Who, shape (k,)."""
    logits: Array
    """Shape (k, records, classes)."""


def as_logits(values: Array) -> Array:
    """Return logits, shape (records, classes): logarithms of what are probabilities, two columns for one logit."""
    if values.shape[1] == 1:
        return np.concatenate([np.zeros_like(values), values], axis=1)
    if (values >= 0).all() and np.allclose(values.sum(axis=1), 1.0, atol=1e-3):
        return np.asarray(np.log(np.maximum(values, SMALLEST_SHARE)))
    return values


def log_softmax(logits: Array) -> Array:
    """Return logarithms of probabilities along the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def histogram(labels: IntArray, classes: int) -> Array:
    """Return the share of each label, shape (classes,)."""
    return np.bincount(labels, minlength=classes) / len(labels)


def log_mix(labels: IntArray, classes: int) -> Array:
    """Return the logarithm of each label's share, half a record added to each, shape (classes,)."""
    counts = np.bincount(labels, minlength=classes) + 0.5
    return np.asarray(np.log(counts / counts.sum()))


def estimated_mixes(rounds: Sequence[Answers], clients: int, uncertainty: float) -> Mapping[str, Array]:
    """Return, by reading, the estimated label mix of each client, shape (clients, classes).

    "mean logits" is the softmax of the mean over records of a client's logits, less that of the clients of its round,
    averaged over rounds. Its "matched" variant answers a temperature, which makes all mixes flatter or steeper: they
    are brought to the uncertainty that label mixes are known to have. "matched answers" starts from the logarithm of
    mean probabilities, which hard labels leave standing.

    Args:
        rounds: At least one; all of one number of classes.
        clients: How many there are; each in one round at least.
        uncertainty: Mean entropy of the clients' label mixes, in nats.
    """
    plain = _levels([one.logits.mean(axis=1) for one in rounds], rounds, clients)
    shares = [np.exp(log_softmax(one.logits)).mean(axis=1) for one in rounds]
    answers = _levels([np.log(np.maximum(share, SMALLEST_SHARE)) for share in shares], rounds, clients)
    return {
        "mean logits": np.exp(log_softmax(plain)),
        "matched logits": matched(plain, uncertainty),
        "matched answers": matched(answers, uncertainty),
    }


def _levels(levels: Sequence[Array], rounds: Sequence[Answers], clients: int) -> Array:
    """Return how far each client lies from the mean of those that were there, over its rounds, (clients, classes)."""
    total, count = np.zeros((clients, levels[0].shape[1])), np.zeros((clients, 1))
    for level, one in zip(levels, rounds, strict=True):
        np.add.at(total, one.clients, level - level.mean(axis=0))
        np.add.at(count, one.clients, 1)
    return np.asarray(total / count)


def matched(levels: Array, uncertainty: float) -> Array:
    """Return the softmax of `levels`, shape (n, classes), at the temperature that gives it that mean entropy in nats.

    By bisection, over temperatures from a thousandth to a thousand.
    """
    coldest, hottest = np.log(1e-3), np.log(1e3)
    for _ in range(40):
        middle = (coldest + hottest) / 2
        if entropy(np.exp(log_softmax(levels / np.exp(middle)))) > uncertainty:
            hottest = middle
        else:
            coldest = middle
    return np.exp(log_softmax(levels / np.exp(coldest)))


def entropy(shares: Array) -> float:
    """Return the mean entropy of label mixes, shape (n, classes), in nats."""
    return float(-(shares * np.log(np.maximum(shares, SMALLEST_SHARE))).sum(axis=1).mean())


def nearest(mixes: Array, histograms: Array) -> IntArray:
    """Return for each estimated mix the histogram nearest in total variation, -1 where two are equally near."""
    distance = np.abs(mixes[:, None, :] - histograms[None, :, :]).sum(axis=2) / 2
    guess = distance.argmin(axis=1)
    alone = (distance <= distance.min(axis=1, keepdims=True) + TIE).sum(axis=1) == 1
    return np.where(alone, guess, -1)


def accusation(guesses: IntArray, rng: np.random.Generator) -> float:
    """Return the p-value of as many clients named rightly by chance: the larger of two exact ones.

    Guesses that are each right with probability 1/K give the binomial; but the guesses for one set of clients are not
    independent (a guess that is used up leaves less for the others), so the clients' order is exchanged, too. Of four
    clients, all are named rightly by chance once in 24 times, not once in 256.

    Args:
        guesses: For each client the one it was taken for, shape (K,).
        rng: Draws orders where there are too many to try all.
    """
    from scipy.special import bdtrc

    k = len(guesses)
    hits = int((guesses == np.arange(k)).sum())
    if hits == 0:
        return 1.0
    binomial = float(bdtrc(hits - 1, k, 1 / k)) if k > 1 else 1.0

    def named(order: IntArray) -> float:
        return float((guesses == order).sum())

    if k <= MOST_TRIED:
        orders = np.array(list(itertools.permutations(range(k))))
        exchanged = float(((guesses == orders).sum(axis=1) >= hits).mean())
    else:
        exchanged = permutation(named, np.arange(k), rng, EXCHANGES)
    return max(binomial, exchanged)


def least_clients(tolerance: float = 0.05) -> int:
    """Return the fewest clients of which none named gives an upper bound of 1/K + `tolerance`."""
    return next(
        k for k in itertools.count(2) if clopper_pearson(0, k, side="one").high <= 1 / k + tolerance
    )  # fmt: skip
