"""The logits that clients share, put in order: who answered what in which round, and whose data are behind it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from audit.attacks.label_mix import Answers, as_logits, histogram, log_mix
from audit.load import Truth
from audit.load_arrays import PlantedArray
from audit.scene import cast_of
from reports.errors import SystemFileError

Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SharedLogits:
    """What clients answered to the transfer set. Those with planted data, the asked ones, come first."""

    rounds: tuple[Answers, ...]
    """By round; their clients are positions in the order of this class."""
    clients: int
    """How many answered."""
    truths: tuple[Truth, ...]
    """The data of each asked client, every record once."""

    @property
    def asked(self) -> int:
        """How many clients have planted data."""
        return len(self.truths)

    @property
    def classes(self) -> int:
        """Columns of the logits."""
        return int(self.rounds[0].logits.shape[2])

    @cached_property
    def histograms(self) -> Array:
        """Label shares of the asked clients, shape (asked, classes)."""
        return np.array([histogram(truth.y.numpy(), self.classes) for truth in self.truths])

    @cached_property
    def mean(self) -> Array:
        """Logits of the asked clients, the mean of the rounds that each was in, shape (asked, records, classes)."""
        shape = self.rounds[0].logits.shape[1:]
        total, count = np.zeros((self.clients, *shape)), np.zeros((self.clients, 1, 1))
        for one in self.rounds:
            np.add.at(total, one.clients, one.logits)
            np.add.at(count, one.clients, 1)
        return np.asarray((total / count)[: self.asked])

    def with_mixes(self) -> tuple[Answers, ...]:
        """Return the rounds with the logarithm of each asked client's label mix added to its logits: the control."""
        added = np.zeros((self.clients, self.classes))
        added[: self.asked] = [log_mix(truth.y.numpy(), self.classes) for truth in self.truths]
        return tuple(Answers(one.clients, one.logits + added[one.clients][:, None, :]) for one in self.rounds)

    def owned(self, public: Truth) -> BoolArray:
        """Tell which of the public records are whose own, shape (asked, records)."""
        rows = [row.tobytes() for row in public.x.flatten(1).numpy() + 0.0]  # -0.0 becomes 0.0
        held = [{row.tobytes() for row in truth.x.flatten(1).numpy() + 0.0} for truth in self.truths]
        return np.array([[row in own for row in rows] for own in held], dtype=bool)


def shared_logits(arrays: Sequence[PlantedArray]) -> SharedLogits:
    """Return recorded logits by client and round; an array without a client's name is a client of its own.

    Raises:
        SystemFileError: two tables of logits have different shapes.
    """
    names = {id(one): one.client if one.client is not None else f"updates[{one.index}]" for one in arrays}
    shapes = {one.values.shape for one in arrays}
    if len(shapes) > 1:
        told = " and ".join(str(shape) for shape in sorted(shapes))
        raise SystemFileError(
            "system.records", f"system.toml: updates: logits have the shapes {told}",
            "Let every client answer to the same records, those of role reference.",
        )  # fmt: skip
    planted: dict[str, list[Truth]] = {}
    for one in arrays:
        if one.truth is not None:
            planted.setdefault(names[id(one)], []).append(one.truth)
    silent = dict.fromkeys(name for name in names.values() if name not in planted)
    place = {name: position for position, name in enumerate((*planted, *silent))}
    rounds = []
    for number in dict.fromkeys(one.round for one in arrays):
        here = [one for one in arrays if one.round == number]
        who = np.array([place[names[id(one)]] for one in here])
        rounds.append(Answers(who, np.stack([as_logits(one.values) for one in here])))
    own = tuple(cast_of(truths, None, np.random.default_rng(0)).planted for truths in planted.values())
    return SharedLogits(tuple(rounds), len(place), own)
