"""Three arms: an attack on the system's views, on views of other records, and on the unprotected twins.

One attack, one set of variants, one budget in all three. `run_arms` plays them, `verdict` (of `audit.decision`) reads
them.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import numpy.typing as npt
import torch

from audit.decision import LEAST_CONTROL, Arms, Decision, Paired, verdict
from audit.defences import Defence, DefenceName, detect, imitate
from audit.identify import Metric, identified
from audit.load import Truth
from audit.scene import Scene, Sighting, null_records, other_sightings
from audit.twin import clear_gradient, clear_update, records_of
from audit.view import View
from reports.statistics import clopper_pearson

__all__ = ["Arms", "Attack", "Decision", "Paired", "Played", "Reconstruction", "run_arms", "verdict"]

Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

EXACT = 1e-3
"""Largest absolute error, as a share of the data's range, of a record that came back exactly."""


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """What one variant of an attack makes of one sighting."""

    variant: str
    """Which reading."""
    records: Array
    """Shape (r, d), at most four a record; raw units for "l2", the first layer's units for the other metrics."""
    metric: Metric = "l2"
    """How it is compared with the candidates."""


Attack = Callable[[Sighting, tuple[Defence, ...]], tuple[Reconstruction, ...]]
"""Reads a sighting, knowing what it has been put through; is never shown the truth in it."""
Play = Callable[[Attack, Sequence[Sighting], tuple[Defence, ...]], list[tuple[Reconstruction, ...]]]
"""Lets an attack read many sightings, and returns what it makes of each; all three arms are played at once."""
Adapt = Callable[[Defence | None, tuple[Defence, ...], int], str | None]
"""Names the variant that answers a defence (None: there is none), of all that are met, in views of that many records;
None: no variant does."""


@dataclass(frozen=True, eq=False)
class Played(Arms):
    """Three arms with what is shown of them."""

    best: Array = field(default_factory=lambda: np.zeros((0, 0)))
    """Of each record the closest reconstruction in the system arm, raw units, shape (n, d); NaN where there is none."""
    best_control: Array = field(default_factory=lambda: np.zeros((0, 0)))
    """Of each record the closest reconstruction from its twin, shape (n, d); NaN where there is none."""
    used: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """The record's position in `Scene.planted`, shape (n,)."""
    defences: tuple[Defence, ...] = ()
    """What the views have been put through."""
    silent: int = 0
    """Records left out because every view of them is zero throughout."""
    dead: float = 0.0
    """Share of twins whose gradient is zero throughout."""


@dataclass(frozen=True, eq=False)
class _Scored:
    """One arm against the candidates; every array starts with the planted records."""

    hits: Mapping[str, BoolArray]
    best: Array
    exact: BoolArray


def run_arms(
    attack: Attack,
    scene: Scene,
    reads: Collection[str],
    rng: np.random.Generator,
    *,
    declared: Sequence[Defence] = (),
    has_bias: bool = True,
    adapt: Adapt | None = None,
    play: Play | None = None,
    low_rank: Collection[str] | None = None,
) -> Played:
    """Play an attack in three arms.

    The null arm draws public records with the labels of the planted ones and puts them through what was seen of the
    system's views; where there are too few it takes another view of the system, with the same labels if it can.

    Args:
        attack: What is played.
        scene: The attacker's views and the candidates.
        reads: Names of the tensors that the attack reads.
        rng: Draws the records, views and noise of the null arm.
        declared: What the views are known to have been put through, beside what is seen in them.
        has_bias: Whether the layer that is read has a bias; asked where `adapt` is left to the linear readings.
        adapt: Which variant of the attack answers what.
        play: How many sightings are read; None: one after another.
        low_rank: Those of `reads` whose gradient has at most the rank of its records, in which noise shows; None: all.
    """
    names = tuple(reads)
    noisy = names if low_rank is None else tuple(low_rank)
    seen = [_defences(sighting, names, noisy, declared) for sighting in scene.sightings]
    met = tuple({defence.name: defence for defences in seen for defence in defences}.values())
    owners = [sighting.records for sighting in scene.sightings]
    nulls, others, without = _null_sightings(scene, names, seen, rng)
    twins = _twins(scene, names)

    asked = [*scene.sightings, *(null for null in nulls if null is not None), *twins]
    found = iter((play or one_by_one)(attack, asked, met))
    results = [next(found) for _ in scene.sightings]
    system = _scored(results, owners, scene)
    drawn = [() if null is None else next(found) for null in nulls]
    spared = [one if other is None else results[other] for one, other in zip(drawn, others, strict=True)]
    null = _scored(spared, owners, scene)
    control = _scored(list(found), [twin.records for twin in twins], scene)

    used = _used(scene)
    variants = tuple(system.hits) or tuple(control.hits)
    nothing = np.zeros(len(scene.planted), dtype=bool)
    paired = {
        name: _paired(system.hits.get(name, nothing), null.hits.get(name, nothing),
                      control.hits.get(name, nothing), without)
        for name in variants
    }  # fmt: skip
    answers, unanswered = _answers(scene, seen, met, adapt or partial(_linear_answer, has_bias=has_bias))
    called_for = [paired[name].control for name in answers if name in paired]
    weakest = min(called_for or [one.control for one in paired.values()], key=np.sum, default=nothing)
    if clopper_pearson(int(weakest.sum()), len(nothing), side="one").low < LEAST_CONTROL:
        used = np.arange(len(nothing))  # the model gives nothing away, so that a view is zero says nothing
    hits = _any((one.system for one in paired.values()), len(nothing))
    return Played(
        control=weakest[used],
        system=hits[used],
        null=_any((one.null for one in paired.values()), len(nothing))[used],
        chance=scene.chance,
        views=sum(bool(np.isin(sighting.records, used).any()) for sighting in scene.sightings),
        exact=(system.exact & hits)[used],
        exact_null=bool(null.exact.any()),
        variants={name: Paired(one.system[used], one.null[used], one.control[used]) for name, one in paired.items()},
        unanswered=unanswered,
        best=system.best[used],
        best_control=control.best[used],
        used=used,
        defences=met,
        silent=len(nothing) - len(used),
        dead=float(np.mean([not any(t.any() for t in twin.views[0].tensors.values()) for twin in twins])),
    )


def read_tensors(view: View, names: Collection[str]) -> dict[str, Array]:
    """Return the named tensors of a view as float64."""
    return {name: view.tensors[name].double().numpy() for name in names}


def one_by_one(
    attack: Attack, sightings: Sequence[Sighting], defences: tuple[Defence, ...]
) -> list[tuple[Reconstruction, ...]]:
    """Return what an attack makes of each sighting, read one after another."""
    return [attack(sighting, defences) for sighting in sightings]


def _defences(
    sighting: Sighting, names: tuple[str, ...], noisy: tuple[str, ...], declared: Sequence[Defence]
) -> tuple[Defence, ...]:
    """Return what a sighting has been put through: seen in its first view, or declared."""
    view = sighting.views[0]
    tensors = read_tensors(view, names)
    seen = list(detect(list(tensors.values()), records=len(view.truth), low_rank=[tensors[name] for name in noisy]))
    if view.noise_deviation > 0:  # an estimate from many records is too low: they hide part of the noise
        seen = [one for one in seen if one.name is not DefenceName.NOISE]
        detail = f"declared deviation {view.noise_deviation:.2g} a coordinate"
        seen.append(Defence(DefenceName.NOISE, detail, declared=True, amount=view.noise_deviation))
    if view.clients > 1:
        seen.append(Defence(DefenceName.SUM, f"sum over {view.clients} clients"))
    if view.local_steps > 1:
        seen.append(Defence(DefenceName.LOCAL_STEPS, f"{view.local_steps} local steps"))
    known = {one.name for one in seen}
    return (*seen, *(one for one in declared if one.name not in known))


def _linear_answer(defence: Defence | None, _met: tuple[Defence, ...], records: int, *, has_bias: bool) -> str | None:
    """Return the reading of a linear layer that answers a defence."""
    if defence is None:
        return "ratio" if has_bias else None
    return defence.adapt(records, has_bias=has_bias)


def _answers(
    scene: Scene, seen: Sequence[tuple[Defence, ...]], met: tuple[Defence, ...], adapt: Adapt
) -> tuple[set[str], tuple[str, ...]]:
    """Return the variants that the views call for, and the defences for which there is none."""
    variants: set[str] = set()
    missing: set[str] = set()
    for sighting, defences in zip(scene.sightings, seen, strict=True):
        for defence in defences:
            variant = adapt(defence, met, len(sighting.records))
            if variant is None:
                missing.add(defence.name.value)
            else:
                variants.add(variant)
    plain = adapt(None, met, 1)
    return variants or ({plain} if plain else set()), tuple(sorted(missing))


def _null_sightings(
    scene: Scene, names: tuple[str, ...], seen: Sequence[tuple[Defence, ...]], rng: np.random.Generator
) -> tuple[list[Sighting | None], list[int | None], IntArray]:
    """Return, for each sighting, one of other records, or the position of another; and the records with neither."""
    drawn, others = null_records(scene, rng), other_sightings(scene, rng)
    nulls: list[Sighting | None] = []
    spared: list[int | None] = []
    without: list[int] = []
    for sighting, truth, other, defences in zip(scene.sightings, drawn, others, seen, strict=True):
        nulls.append(None if truth is None else _null_sighting(sighting, truth, scene, names, defences, rng))
        spared.append(other if truth is None else None)
        if truth is None and other is None:
            without.extend(sighting.records.tolist())
    return nulls, spared, np.array(without, dtype=np.int64)


def _null_sighting(
    sighting: Sighting,
    truth: Truth,
    scene: Scene,
    names: tuple[str, ...],
    defences: tuple[Defence, ...],
    rng: np.random.Generator,
) -> Sighting:
    """Return the sighting as it would be had the clients held the records of `truth`."""
    views = []
    for view in sighting.views:
        clear = clear_update(
            view.base, truth, scene.scale, names, of=view.of, clients=view.clients, steps=view.local_steps,
            learning_rate=view.learning_rate,
        )  # fmt: skip
        length = _length(clear)
        factor = _signal(read_tensors(view, names), defences) / length if length > np.finfo(np.float32).tiny else 0.0
        hidden = imitate({name: value * factor for name, value in clear.items()}, defences, rng)
        tensors = {name: torch.from_numpy(value) for name, value in hidden.items()}
        views.append(replace(view, tensors=tensors, truth=truth))
    return Sighting(tuple(views), sighting.records)


def _signal(tensors: Mapping[str, Array], defences: Sequence[Defence]) -> float:
    """Return the length of a view without its noise, so that the twin's noise weighs as much."""
    squared = _length(tensors) ** 2
    deviation = next((one.amount for one in defences if one.name is DefenceName.NOISE), 0.0)
    noise = deviation**2 * sum(value.size for value in tensors.values())
    return float(np.sqrt(max(squared - noise, 1e-2 * squared)))


def _length(tensors: Mapping[str, Array]) -> float:
    return float(np.sqrt(sum(float((value**2).sum()) for value in tensors.values())))


def _twins(scene: Scene, names: tuple[str, ...]) -> list[Sighting]:
    """Return, for each planted record, the gradient of a batch of it alone at the base of a view that shows it."""
    home: dict[int, View] = {}
    for sighting in scene.sightings:
        for record in sighting.records.tolist():
            home.setdefault(record, sighting.views[0])
    twins = []
    for record, view in sorted(home.items()):
        alone = records_of(scene.planted, np.array([record]))
        gradient = clear_gradient(view.base, alone, scene.scale, names)
        tensors = {name: torch.from_numpy(value) for name, value in gradient.items()}
        twin = View("twin", "gradient", tensors, view.base, alone)
        twins.append(Sighting((twin,), np.array([record])))
    return twins


def _used(scene: Scene) -> IntArray:
    """Return the records of which at least one view is not zero throughout."""
    shown = [
        sighting.records
        for sighting in scene.sightings
        if any(bool((tensor != 0).any()) for view in sighting.views for tensor in view.tensors.values())
    ]
    return np.unique(np.concatenate(shown)) if shown else np.zeros(0, dtype=np.int64)


def _scored(results: Sequence[tuple[Reconstruction, ...]], owners: Sequence[IntArray], scene: Scene) -> _Scored:
    """Return which planted records the reconstructions identify, variant by variant, and the closest of each."""
    n = len(scene.planted)
    by_variant: dict[tuple[str, Metric], list[tuple[Array, IntArray]]] = {}
    for found, own in zip(results, owners, strict=True):
        for one in found:
            by_variant.setdefault((one.variant, one.metric), []).append((one.records, own))
    hits: dict[str, BoolArray] = {}
    for (variant, metric), parts in by_variant.items():
        guesses = np.concatenate([records for records, _ in parts])
        belong = [own for records, own in parts for _ in range(len(records))]
        pool = scene.candidates if metric == "l2" else scene.inputs
        found_here = identified(guesses, belong, pool, metric=metric)[:n]
        hits[variant] = hits.get(variant, np.zeros(n, dtype=bool)) | found_here
    best = _closest([part for (_, metric), parts in by_variant.items() if metric == "l2" for part in parts], scene)
    low, high = scene.span
    error = np.abs(best - scene.candidates[:n]).max(axis=1, initial=0.0)  # NaN, no reconstruction, compares as false
    return _Scored(hits, best, error <= EXACT * (high - low))


def _closest(parts: Sequence[tuple[Array, IntArray]], scene: Scene) -> Array:
    """Return the reconstruction nearest to each record among those of its own views, NaN where there is none."""
    truth = scene.candidates[: len(scene.planted)]
    best = np.full(truth.shape, np.nan)
    least = np.full(len(truth), np.inf)
    for guesses, own in parts:
        whole = guesses[np.isfinite(guesses).all(axis=1)]
        if not len(whole):
            continue
        squared = (whole**2).sum(1)[:, None] - 2 * whole @ truth[own].T + (truth[own] ** 2).sum(1)[None, :]
        nearest = squared.argmin(axis=0)
        distance = ((whole[nearest] - truth[own]) ** 2).sum(axis=1)
        closer = distance < least[own]
        best[own[closer]], least[own[closer]] = whole[nearest[closer]], distance[closer]
    return best


def _paired(system: BoolArray, null: BoolArray, control: BoolArray, without: IntArray) -> Paired:
    """Return the three arms of a variant; where there are no other records the null says what the system says."""
    filled = null.copy()
    filled[without] = system[without]
    return Paired(system, filled, control)


def _any(arrays: Iterable[BoolArray], n: int) -> BoolArray:
    return np.asarray(np.logical_or.reduce([np.zeros(n, dtype=bool), *arrays]))
