"""The stage of a reconstruction attack: what the attacker sees, whom it could be, and which records are in what.

A record that was planted twice is one candidate, else it would tie with itself and never be found; the views that show
it alone are read together, as an attacker would who meets one client in several rounds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch

from audit.load import Truth
from audit.twin import Scale, records_of
from audit.view import View

Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

MOST_CANDIDATES = 50_000
"""Public records beyond this many, planted ones counted, are sampled."""


@dataclass(frozen=True, eq=False)
class Sighting:
    """Views that show the same records: one, or several of a record that stands alone in each."""

    views: tuple[View, ...]
    """At least one."""
    records: IntArray
    """The planted records in them, as positions in `Scene.planted`."""


@dataclass(frozen=True, eq=False)
class Scene:
    """What an attack plays on."""

    sightings: tuple[Sighting, ...]
    """What the attacker sees."""
    planted: Truth
    """Every planted record once."""
    reference: Truth | None
    """Public records of the same kind."""
    scale: Scale
    """Normalisation of a record."""
    bystanders: Truth | None = None
    """Further records in the views, which are not looked for: candidates, but never drawn in the null arm."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one record."""
        return tuple(self.planted.x.shape[1:])

    @cached_property
    def candidates(self) -> Array:
        """Everybody it could be, in raw units, shape (N, d): the planted records first, then the others."""
        parts = [part.x for part in (self.planted, self.reference, self.bystanders) if part is not None]
        return torch.cat(parts).flatten(1).double().numpy()

    @cached_property
    def inputs(self) -> Array:
        """The candidates as the first layer sees them, shape (N, d)."""
        mean, deviation = self.scale.flat(self.shape)
        return np.asarray((self.candidates - mean) / deviation)

    @cached_property
    def span(self) -> tuple[float, float]:
        """The least and the largest value of any candidate, which the attacker knows of data of this kind."""
        return float(self.candidates.min()), float(self.candidates.max())

    def raw(self, records: Array) -> torch.Tensor:
        """Return flattened records, shape (m, d), in the shape that the model takes, float32."""
        return torch.from_numpy(records).float().reshape(-1, *self.shape)

    @property
    def chance(self) -> float:
        """Records of a view over candidates: how often a guess at random is one of the view's own."""
        if not self.sightings:
            return 1.0
        return max(len(sighting.records) for sighting in self.sightings) / len(self.candidates)


def set_scene(views: Sequence[View], reference: Truth | None, scale: Scale, rng: np.random.Generator) -> Scene:
    """Return the stage for views of planted records.

    Args:
        views: At least one, all of records of one shape.
        reference: Public records; sampled where there are more than `MOST_CANDIDATES` candidates.
        scale: Normalisation of a record.
        rng: Draws that sample.
    """
    cast = cast_of([view.truth for view in views], reference, rng)
    shown = [np.unique(rows) for rows in cast.rows]
    return Scene(_sightings(views, shown), cast.planted, cast.reference, scale)


@dataclass(frozen=True, eq=False)
class Cast:
    """Whom it could be."""

    planted: Truth
    """Every planted record once, in the order in which they were declared."""
    reference: Truth | None
    """Public records; a sample where there would be more than `MOST_CANDIDATES` candidates."""
    rows: tuple[IntArray, ...]
    """For each truth that was handed in, the position in `planted` of each of its records."""


def cast_of(truths: Sequence[Truth], reference: Truth | None, rng: np.random.Generator) -> Cast:
    """Return the candidates for planted records that stand in several truths, some of them perhaps twice.

    Args:
        truths: At least one, all of records of one shape.
        reference: Public records.
        rng: Draws the sample of them.
    """
    x = torch.cat([truth.x for truth in truths])
    y = torch.cat([truth.y for truth in truths])
    _, first, number = np.unique(x.flatten(1).numpy(), axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    position = np.empty_like(order)
    position[order] = np.arange(len(order))
    ends = np.cumsum([len(truth) for truth in truths])
    rows = tuple(position[part] for part in np.split(number.reshape(-1), ends[:-1]))
    planted = records_of(Truth(x, y), first[order])
    if reference is not None and len(reference) > (room := max(MOST_CANDIDATES - len(planted), 0)):
        reference = records_of(reference, np.sort(rng.permutation(len(reference))[:room]))
    return Cast(planted, reference, rows)


def null_records(scene: Scene, rng: np.random.Generator) -> list[Truth | None]:
    """Return, for each sighting, public records with the labels of its own; None where there are not enough.

    A public record that equals one in the views is not drawn.
    """
    if scene.reference is None:
        return [None] * len(scene.sightings)
    shown = {row for part in (scene.planted, scene.bystanders) if part is not None for row in _rows(part)}
    other = np.array([row not in shown for row in _rows(scene.reference)], dtype=bool)
    labels = scene.reference.y.numpy()
    pools = {label: np.flatnonzero(other & (labels == label)) for label in np.unique(labels)}
    drawn: list[Truth | None] = []
    for sighting in scene.sightings:
        wanted = scene.planted.y[sighting.records].numpy()
        counts = {label: int((wanted == label).sum()) for label in np.unique(wanted)}
        if any(len(pools.get(label, ())) < count for label, count in counts.items()):
            drawn.append(None)
            continue
        taken = {label: list(rng.choice(pools[label], count, replace=False)) for label, count in counts.items()}
        drawn.append(records_of(scene.reference, np.array([taken[label].pop() for label in wanted])))
    return drawn


def other_sightings(scene: Scene, rng: np.random.Generator) -> list[int | None]:
    """Return, for each sighting, another that shows none of its records: with the same labels if there is one.

    Failing that one with as many records, failing that any; None where every other shows one of its records.
    """
    shown = [set(sighting.records.tolist()) for sighting in scene.sightings]
    labels = [sorted(scene.planted.y[sighting.records].tolist()) for sighting in scene.sightings]
    chosen: list[int | None] = []
    for here in range(len(shown)):
        others = [there for there in rng.permutation(len(shown)).tolist() if shown[here].isdisjoint(shown[there])]
        alike = [there for there in others if labels[there] == labels[here]]
        as_many = [there for there in others if len(shown[there]) == len(shown[here])]
        ranked = alike + as_many + others
        chosen.append(ranked[0] if ranked else None)
    return chosen


def public_twins(scene: Scene) -> int:
    """Return how many planted records equal a public one, and so can never be identified."""
    public = set() if scene.reference is None else set(_rows(scene.reference))
    return sum(row in public for row in _rows(scene.planted))


def _rows(truth: Truth) -> list[bytes]:
    return [row.tobytes() for row in truth.x.flatten(1).numpy() + 0.0]  # -0.0 becomes 0.0


def _sightings(views: Sequence[View], shown: Sequence[IntArray]) -> tuple[Sighting, ...]:
    """Return the views, those that show one and the same record alone put together."""
    together: dict[object, list[int]] = {}
    for index, records in enumerate(shown):
        alone = len(records) == 1 and len(views[index].truth) == 1
        together.setdefault(("record", int(records[0])) if alone else ("view", index), []).append(index)
    return tuple(Sighting(tuple(views[i] for i in group), shown[group[0]]) for group in together.values())
