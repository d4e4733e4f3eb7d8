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


@dataclass(frozen=True)
class Cell:
    """A client and a label of which it has records."""

    client: int
    """Row of the logits."""
    label: int
    """Column of the logits."""


def drawn(logits: Array, records: Array, cells: Sequence[Cell]) -> Mapping[str, Array]:
    """Return, by reading, two guesses at what a client has learnt of a label, shape (cells, 2, d).

    Args:
        logits: Shape (clients, m, classes), at least two clients; a constant added to all classes does not matter.
        records: The public records, shape (m, d), whose range the guesses keep.
        cells: What is asked for.
    """
    answers = logits - logits.mean(axis=2, keepdims=True)
    guesses = {name: np.zeros((len(cells), 2, records.shape[1])) for name in (DECODER, LEAD)}
    for client in sorted({cell.client for cell in cells}):
        places = [place for place, cell in enumerate(cells) if cell.client == client]
        labels = [cells[place].label for place in places]
        others = np.delete(answers, client, axis=0).mean(axis=0)
        guesses[DECODER][places] = _decoded(answers[client], others, records, labels)
        guesses[LEAD][places] = _leading((answers[client] - others)[:, labels], records)
    return {name: np.clip(guess, records.min(), records.max()) for name, guess in guesses.items()}


def _decoded(own: Array, others: Array, records: Array, labels: Sequence[int]) -> Array:
    """Return what the decoder makes of the mean pair with the client's answer raised, shape (labels, 2, d)."""
    pairs = np.concatenate([own, others], axis=1)
    decoder = fit_ridge(pairs, records)
    asked = np.tile(pairs.mean(axis=0), (len(labels), len(SURENESS), 1))
    for place, label in enumerate(labels):
        lead = own[:, label] - others[:, label]
        asked[place, :, label] += (lead.max() - lead.mean()) * np.array(SURENESS)
    return decoder(asked.reshape(-1, pairs.shape[1])).reshape(len(labels), len(SURENESS), -1)


def _leading(lead: Array, records: Array) -> Array:
    """Return the maximum of a + b x + c |x|² fitted to each lead, and a typical step uphill, shape (labels, 2, d)."""
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
