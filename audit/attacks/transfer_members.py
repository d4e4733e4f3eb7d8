"""Which records of a transfer set are a client's own: it is surer of those than it is of others like them.

A client's confidence in a record says how hard the record is, how sure the client is of that label anyway, and whether
it was trained on it. The first is taken off by comparing with the other clients, the second by comparing with the
client's other records of the label; what is left is membership (scores as in arXiv:2112.03570, section IV).
"""

import numpy as np
import numpy.typing as npt

from audit.attacks.label_mix import log_softmax
from audit.attacks.separation import Separation

Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]


def confidences(logits: Array, labels: IntArray) -> Array:
    """Return log p - log (1 - p) of each record's label, p as the client answers.

    Args:
        logits: Shape (clients, records, classes), at least two classes.
        labels: Shape (records,).

    Returns:
        Shape (clients, records).
    """
    logs = log_softmax(logits)
    own = np.arange(logits.shape[2]) == labels[:, None]
    rest = np.where(own, -np.inf, logs)
    highest = rest.max(axis=2, keepdims=True)
    others = highest[..., 0] + np.log(np.exp(rest - highest).sum(axis=2))  # 1 - p would round to zero
    return np.asarray((logs * own).sum(axis=2) - others)


def own_records(scores: Array, member: BoolArray, labels: IntArray) -> Separation | None:
    """Return what is left of the confidences once record, client and label are accounted for.

    Args:
        scores: Shape (clients, records), at least two clients.
        member: Whose a record is, shape (clients, records).
        labels: Shape (records,).

    Returns:
        Every pair of client and record for which the client has another record of that label that is not its own; None
        where no such pair is, or none is not, the client's own.
    """
    outside = np.where(member, 0.0, scores)  # a record that is somebody's own tells how hard it is by the others
    strangers = (~member).sum(axis=0) - ~member
    harder = (outside.sum(axis=0) - outside) / np.maximum(strangers, 1)
    left, usable = scores - harder, strangers > 0
    for client in range(len(scores)):
        for label in np.unique(labels):
            alike = (labels == label) & usable[client]
            free = alike & ~member[client]
            if free.sum() < 2:
                usable[client] &= ~alike
                continue
            # a record that is not the client's own is compared with the others alone, as one that is
            mean = (left[client, free].sum() - np.where(free, left[client], 0.0)) / (free.sum() - free)
            left[client, alike] -= mean[alike]
    chosen, truth = left[usable], member[usable]
    return Separation(chosen, truth) if truth.any() and not truth.all() else None


def overconfident(scores: Array, member: BoolArray) -> Array:
    """Return the confidences of clients that are surer of their own records than of any other: the control."""
    return scores + member * (float(np.ptp(scores)) + 1.0)
