"""Records drawn from shared logits: what is a client sure of that the others are not?

Public records, and to each the pair of answers of one client and of the others, teach two readings. A decoder from
pairs to records is asked for the pair in which the client alone is sure of a label (Takahashi et al., CVPR 2023,
arXiv:2304.11436; they train a network with a prior on faces, here it is a ridge regression without one). And the
client's lead in a label is fitted as a quadratic function of the record, whose maximum is what the client has learnt:
a model that fits its few records closely answers by the distance to them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audit.attacks.decoders import fit_ridge

Array = npt.NDArray[np.float64]

SURENESS = (1.0, 3.0)
"""How sure the client is made, in multiples of its largest lead over the others on a public record."""
DECODER = "paired-logits decoder"
LEAD = "largest lead"


@dataclass(frozen=True, eq=False)
class Pair:
    """The answers of one client and of the others to the public records, and the labels that are asked about."""

    own: Array
    """Shape (m, classes), each row about its mean."""
    others: Array
    """The mean of the other clients', likewise."""
    labels: tuple[int, ...]
    """At least one."""


def pair_of(logits: Array, client: int, labels: Sequence[int]) -> Pair:
    """Return the pair of a client; a constant added to all classes of an answer does not matter.

    Args:
        logits: Shape (clients, m, classes), at least two clients.
        client: Which one.
        labels: What it is asked about.
    """
    answers = logits - logits.mean(axis=2, keepdims=True)
    others = (answers.sum(axis=0) - answers[client]) / (len(answers) - 1)
    return Pair(answers[client], others, tuple(labels))


def drawn(pairs: Sequence[Pair], records: Array) -> Mapping[str, Array]:
    """Return, by reading, two guesses at what clients have learnt of labels, shape (labels of all pairs, 2, d).

    Args:
        pairs: At least one.
        records: The public records, shape (m, d), whose range the guesses keep.
    """
    decoded = np.concatenate([_decoded(pair, records) for pair in pairs])
    leads = np.concatenate([(pair.own - pair.others)[:, list(pair.labels)] for pair in pairs], axis=1)
    guesses = {DECODER: decoded, LEAD: _leading(leads, records)}
    return {name: np.clip(guess, records.min(), records.max()) for name, guess in guesses.items()}


def _decoded(pair: Pair, records: Array) -> Array:
    """Return what the decoder makes of the mean pair with the client's answer raised, shape (labels, 2, d)."""
    features = np.concatenate([pair.own, pair.others], axis=1)
    decoder = fit_ridge(features, records)
    asked = np.tile(features.mean(axis=0), (len(pair.labels), len(SURENESS), 1))
    for place, label in enumerate(pair.labels):
        lead = pair.own[:, label] - pair.others[:, label]
        asked[place, :, label] += (lead.max() - lead.mean()) * np.array(SURENESS)
    return decoder(asked.reshape(-1, features.shape[1])).reshape(len(pair.labels), len(SURENESS), -1)


def _leading(lead: Array, records: Array) -> Array:
    """Return the maximum of a + b x + c |x|² fitted to each lead, and a typical step uphill, shape (leads, 2, d).

    All leads, shape (m, leads), are fitted at once, each in units of its own deviation: neither guess depends on it.
    """
    spread = lead.std(axis=0)
    lead = lead / np.where(spread > 0, spread, 1.0)
    middle = records.mean(axis=0)
    centred = records - middle
    squared = (centred**2).sum(axis=1)
    fitted = fit_ridge(np.concatenate([centred, squared[:, None]], axis=1), lead).weight
    slope, bend = fitted[:-1].T, fitted[-1]
    length = np.linalg.norm(slope, axis=1, keepdims=True)
    uphill = np.sqrt(np.median(squared)) * slope / np.where(length > 0, length, 1.0)
    summit = slope / np.where(bend < 0, -2 * bend, np.inf)[:, None]
    highest = np.where((bend < 0)[:, None], summit, uphill)
    return np.asarray(middle + np.stack([highest, uphill], axis=1))


def remembering(logits: Array, records: Array, client: int, remembered: Mapping[int, Array]) -> Array:
    """Return the logits of clients of which one knows its records by heart: the control.

    Its logit of a label falls with the squared distance to the record that it remembers of it.

    Args:
        logits: Shape (clients, m, classes).
        records: The public records, shape (m, d).
        client: Which one.
        remembered: By label, a record of its own, shape (d,).
    """
    changed = logits.copy()
    spread = float(logits.std()) or 1.0
    for label, record in remembered.items():
        squared = ((records - record) ** 2).sum(axis=1)
        changed[client, :, label] = -spread * (squared - squared.mean()) / (float(squared.std()) or 1.0)
    return changed
