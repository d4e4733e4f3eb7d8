"""Records drawn from paired logits, in three arms: a cell is a client and a label of which it has records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audit.attacks.paired_logits import Pair, drawn, pair_of, remembering
from audit.decision import Arms, Paired
from audit.identify import identified

Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Cell:
    """A client and a label of which it has records."""

    client: int
    """Row of the logits."""
    label: int
    """Column of the logits."""


@dataclass(frozen=True, eq=False)
class Cells:
    """What is to be drawn, and whom it could be."""

    cells: tuple[Cell, ...]
    """At least one, those of a client together."""
    owners: tuple[IntArray, ...]
    """For each cell the positions of its records among the candidates."""
    candidates: Array
    """Shape (N, d), raw units: the planted records, then the public ones."""

    def of(self, client: int) -> list[int]:
        """Return the positions of a client's cells."""
        return [place for place, cell in enumerate(self.cells) if cell.client == client]

    def sample(self, most: int, rng: np.random.Generator) -> "Cells":
        """Return at most `most` of the cells, drawn at random."""
        kept = np.sort(rng.permutation(len(self.cells))[:most]).tolist()
        return Cells(tuple(self.cells[i] for i in kept), tuple(self.owners[i] for i in kept), self.candidates)


def cells_of(records: Sequence[IntArray], labels: Sequence[IntArray], candidates: Array) -> Cells:
    """Return one cell for each client and label.

    Args:
        records: For each client the positions of its records among the candidates.
        labels: Their labels.
        candidates: Shape (N, d).
    """
    cells, owners = [], []
    for client, (positions, own) in enumerate(zip(records, labels, strict=True)):
        for label in np.unique(own).tolist():
            cells.append(Cell(client, label))
            owners.append(positions[own == label])
    return Cells(tuple(cells), tuple(owners), candidates)


def play_cells(asked: Cells, logits: Array, public: Array, rng: np.random.Generator) -> Arms:
    """Play both readings in three arms; a cell is hit when one of its records is identified.

    The null arm asks another client for the same label; the control asks a client that remembers one record of each.

    Args:
        asked: The cells.
        logits: Shape (clients, m, classes), at least two clients.
        public: The public records, shape (m, d).
        rng: Draws the other clients.
    """
    order = rng.permutation(len(logits))
    following = np.empty_like(order)
    following[order] = np.roll(order, 1)
    known = tuple(own[:1] for own in asked.owners)
    places = {client: asked.of(client) for client in dict.fromkeys(cell.client for cell in asked.cells)}
    labels = {client: [asked.cells[place].label for place in own] for client, own in places.items()}
    pairs: dict[str, list[Pair]] = {"system": [], "null": [], "control": []}
    for client, own in places.items():
        remembered = {asked.cells[place].label: asked.candidates[known[place][0]] for place in own}
        pairs["system"].append(pair_of(logits, client, labels[client]))
        pairs["null"].append(pair_of(logits, int(following[client]), labels[client]))
        pairs["control"].append(pair_of(remembering(logits, public, client, remembered), client, labels[client]))
    arms = {
        name: _hits(drawn(made, public), known if name == "control" else asked.owners, asked.candidates)
        for name, made in pairs.items()
    }
    variants = {name: Paired(hits, arms["null"][name], arms["control"][name]) for name, hits in arms["system"].items()}
    system, null, control = (np.any(list(hits.values()), axis=0) for hits in arms.values())
    return Arms(
        control=control,
        system=system,
        null=null,
        chance=max(len(own) for own in asked.owners) / len(asked.candidates),
        views=len({cell.client for cell in asked.cells}),
        variants=variants,
    )


def _hits(guesses: Mapping[str, Array], owners: Sequence[IntArray], candidates: Array) -> dict[str, BoolArray]:
    """Return, by reading, for which cells a record of their own is identified."""
    found = {}
    for name, guess in guesses.items():
        belong = [own for own in owners for _ in range(guess.shape[1])]
        named = identified(guess.reshape(-1, guess.shape[2]), belong, candidates)
        found[name] = np.array([bool(named[own].any()) for own in owners])
    return found
