"""Gradient matching as an attack on sightings: what is known of each, and how many are searched together.

A first layer that is linear is read in closed form at first; a view whose records all come back exactly is not searched
any more. All that the views have been put through is answered by one adaptive search, whose name says what it knows.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from audit.arms import EXACT, Reconstruction
from audit.attacks import labels
from audit.attacks.linear import PER_RECORD, LinearAttack
from audit.attacks.matching import Budget, Matched, Part, Problem, prior_weight, reconstruct
from audit.defences import Defence, DefenceName, noise_deviation
from audit.engines.base import LocalTraining, Matching
from audit.exhibits import picture_size
from audit.scene import Scene, Sighting
from audit.twin import LayerNames
from audit.view import View

Array = npt.NDArray[np.float64]

SHARPNESS = 2.0
"""Of tanh(sharpness g / mean |g|), which stands in for the sign of g."""
GROUP_BYTES = 8 * 2**20
"""Bytes of targets that are searched together; more falls out of the cache."""
MOST_TOGETHER = 32
"""Cases that are searched together, so that there is work for several processors."""
FEW_ZEROS = 1e-3
"""Share of exact zeros below which a gradient may hold noise; where more are zero it was pruned."""
MOST_PRIOR = 10.0
"""Factor by which noise raises the weight of the prior, at most."""
READING = "gradient matching"
"""What every search is called, before what it knows."""

Trial = tuple[Problem, Budget]
Run = Callable[[Sequence[Trial]], Iterable[Matched]]
"""Runs trials and returns their results in order, such as `Context.map`."""


def run_trial(trial: Trial, rng: np.random.Generator) -> Matched:
    """Search one group of cases; `rng` draws the starts."""
    problem, budget = trial
    return reconstruct(problem, budget, torch.Generator().manual_seed(int(rng.integers(2**63))))


def name_of(defences: Iterable[Defence]) -> str:
    """Return the name of the search that answers all of `defences`."""
    names = {defence.name for defence in defences}
    told = {
        DefenceName.ZEROS: "surviving coordinates",
        DefenceName.SIGNS: "soft signs",
        DefenceName.NOISE: "prior for noise",
        DefenceName.LOCAL_STEPS: "simulated local steps",
        DefenceName.SUM: "joint records",
    }
    knows = [text for name, text in told.items() if name in names]
    return f"{READING} ({', '.join(knows)})" if knows else READING


@dataclass(frozen=True, eq=False)
class MatchingAttack:
    """The search with what it knows of a scene: an `audit.arms.Attack`, and its `Play`."""

    scene: Scene
    """Gives the data's range and normalisation, never the records."""
    budget: Budget
    """How long to search."""
    run: Run
    """Runs the trials."""
    first: LayerNames | None = None
    """The first layer, where it is linear and can be read."""
    last: LayerNames | None = None
    """The last layer, whose gradients tell the labels."""
    classes: int = 2
    """Outputs of the model, where labels must be sought."""
    beside: bool = False
    """Whether the readings of a linear first layer are handed in beside the search, as variants of their own."""
    noisy: Sequence[str] = ()
    """Weights of linear layers, in whose gradients noise shows beside their low rank."""
    bases: Mapping[str, tuple[nn.Module, ...]] = field(default_factory=dict)
    """By a view's label: the models that it may have been computed at, where its own is not declared."""
    either_sign: bool = False
    """Whether a view may be a step up the gradient as well as down."""

    def __call__(self, sighting: Sighting, defences: tuple[Defence, ...]) -> tuple[Reconstruction, ...]:
        """Return what the search finds in one sighting."""
        return self.read([sighting], defences)[0]

    def read(self, sightings: Sequence[Sighting], defences: tuple[Defence, ...]) -> list[tuple[Reconstruction, ...]]:
        """Return what the search finds in each sighting: of all its starts and bases, that with the least objective."""
        name = name_of(defences)
        closed = [self._read_off(sighting, defences) for sighting in sightings]
        cases: list[_Case] = []
        for position, sighting in enumerate(sightings):
            if closed[position] is None:
                cases.extend(self._cases(position, sighting, defences))
        groups = list(_groups(cases, self.budget.restarts))
        outcomes = self.run([(self._problem(group, defences), self.budget) for group in groups])
        best: dict[int, tuple[float, Array]] = {}
        for group, matched in zip(groups, outcomes, strict=True):
            raw = self._raw(matched.records)
            for row, case in enumerate(group):
                objective = float(matched.objective[row].nan_to_num(nan=math.inf))
                if case.position not in best or objective < best[case.position][0]:
                    best[case.position] = objective, raw[row]
        found: list[tuple[Reconstruction, ...]] = []
        for position, exact in enumerate(closed):
            searched = best.get(position)
            records = searched[1] if exact is None and searched is not None else exact
            found.append(() if records is None else (Reconstruction(name, records),))
        if self.beside and self.first is not None:
            linear = LinearAttack(self.scene, self.first)
            return [(*one, *linear(sighting, defences)) for one, sighting in zip(found, sightings, strict=True)]
        return found

    def adapt(self, defence: Defence | None, met: tuple[Defence, ...], _records: int) -> str | None:
        """Return the name of the search, which answers every defence but local steps that it cannot simulate.

        Those leave the ratio of a first linear layer as it is, where that is read beside.
        """
        if defence is not None and defence.name is DefenceName.LOCAL_STEPS:
            views = [view for sighting in self.scene.sightings for view in sighting.views]
            if any(view.local_steps > 1 and _training(view) is None for view in views):
                return "ratio" if self.beside and self.first is not None and self.first.bias else None
        return name_of(met)

    def _read_off(self, sighting: Sighting, defences: tuple[Defence, ...]) -> Array | None:
        """Return what the first linear layer tells, where that is every record exactly; the truth decides only this."""
        if self.first is None:
            return None
        low, high = self.scene.span
        records = sighting.views[0].truth.x.flatten(1).double().numpy()
        for one in LinearAttack(self.scene, self.first)(sighting, defences):
            if one.metric == "l2" and len(one.records):
                error = np.abs(one.records[:, None] - records[None]).max(axis=2).min(axis=0)
                if (error <= EXACT * (high - low)).all():
                    return one.records[: PER_RECORD * len(records)]
        return None

    def _cases(self, position: int, sighting: Sighting, defences: tuple[Defence, ...]) -> Iterator["_Case"]:
        """Yield a case for each base and sign that a sighting may have; none where it is zero throughout."""
        views = [view for view in sighting.views if any(bool(t.any()) for t in view.tensors.values())]
        if not views:
            return
        yield from self._cases_of(position, views, defences)
        if self.either_sign:  # what goes up the gradient, taken for a gradient, goes down it, taken for a delta
            turned = [replace(view, of="gradient" if view.of == "delta" else "delta") for view in views]
            yield from self._cases_of(position, turned, defences)

    def _cases_of(self, position: int, views: Sequence[View], defences: tuple[Defence, ...]) -> Iterator["_Case"]:
        """Yield a case for each base that the views of a sighting may have been computed at."""
        ways = [[view.base for view in views]]
        if any(view.label in self.bases for view in views):
            others = self.bases[next(view.label for view in views if view.label in self.bases)]
            ways += [[base if view.label in self.bases else view.base for view in views] for base in others]
        signs = any(defence.name is DefenceName.SIGNS for defence in defences)
        told = self._labels(views)
        for bases in ways:
            parts: dict[int, tuple[nn.Module, list[list[Tensor]]]] = {}
            for view, base in zip(views, bases, strict=True):
                target = _target(view, base)
                goal = [one.sign() for one in target] if signs else target
                parts.setdefault(id(base), (base, []))[1].append(goal)
            merged = tuple((base, [torch.stack(t).mean(dim=0) for t in zip(*goals, strict=True)])
                           for base, goals in parts.values())  # fmt: skip
            batch = len(views[0].truth)
            yield _Case(position, merged, told, batch, _training(views[0]), self._noise_ratio(views))

    def _labels(self, views: Sequence[View]) -> Tensor | None:
        """Return the labels that the last layer tells, shape (B,); None where it tells none, or too few."""
        if self.last is None:
            return None
        name = self.last.bias or self.last.weight
        pulls = [(-1.0 if view.of == "delta" else 1.0) * view.tensors[name].double() for view in views]
        impulses = torch.stack([pull.reshape(len(pull), -1).sum(dim=1) for pull in pulls]).mean(dim=0).numpy()
        if not impulses.any() and self.last.bias is not None:
            rows = [(-1.0 if v.of == "delta" else 1.0) * v.tensors[self.last.weight].double().sum(dim=1) for v in views]
            impulses = torch.stack(rows).mean(dim=0).numpy()
        entries = np.array([-impulses[0], impulses[0]]) if len(impulses) == 1 else impulses
        told = labels.reconstruct(entries, len(views[0].truth))
        return torch.from_numpy(told) if len(told) == len(views[0].truth) else None

    def _noise_ratio(self, views: Sequence[View]) -> float:
        """Return the length of the noise over that of the signal in the mean of the views, as far as it shows in them.

        It is asked of each sighting by itself: an attacker who is shown a clear gradient need not smooth it away.
        """
        found = []
        for view in views:
            deviation = view.noise_deviation
            weights = [view.tensors[name] for name in self.noisy if name in view.tensors]
            if not deviation and weights:
                largest = max(weights, key=Tensor.numel).double().numpy()
                deviation = noise_deviation(largest, len(view.truth)) if (largest == 0).mean() < FEW_ZEROS else 0.0
            squared = sum(float((tensor.double() ** 2).sum()) for tensor in view.tensors.values())
            noise = deviation**2 * sum(tensor.numel() for tensor in view.tensors.values())
            found.append(noise / max(squared - noise, 1e-2 * squared))
        return math.sqrt(float(np.mean(found)) / len(views))

    def _problem(self, group: Sequence["_Case"], defences: tuple[Defence, ...]) -> Problem:
        """Return the group as one problem."""
        first, names = group[0], {defence.name for defence in defences}
        scale, (low, high) = self.scene.scale, self.scene.span
        picture = picture_size(self.scene.shape)
        parts = tuple(
            Part(base, [torch.stack(tensors) for tensors in zip(*(case.parts[i][1] for case in group), strict=True)])
            for i, (base, _) in enumerate(first.parts)
        )
        noise = float(np.median([case.noise_ratio for case in group]))
        return Problem(
            parts=parts,
            labels=None if first.labels is None else torch.stack([c.labels for c in group if c.labels is not None]),
            batch=first.batch,
            shape=self.scene.shape,
            low=torch.from_numpy((low - scale.mean) / scale.deviation).float(),
            high=torch.from_numpy((high - scale.mean) / scale.deviation).float(),
            classes=self.classes,
            picture=picture,
            prior=prior_weight(picture) * min(MOST_PRIOR, 1.0 + noise),
            matching=Matching(DefenceName.ZEROS in names, SHARPNESS if DefenceName.SIGNS in names else 0.0),
            training=first.training,
        )

    def _raw(self, records: Tensor) -> Array:
        """Return records (n, B, *shape) in the model's units as raw ones, shape (n, B, d)."""
        mean, deviation = self.scene.scale.flat(self.scene.shape)
        return np.asarray(records.flatten(2).double().numpy() * deviation + mean)


@dataclass(frozen=True, eq=False)
class _Case:
    """One sighting under one assumption about its base."""

    position: int
    parts: tuple[tuple[nn.Module, list[Tensor]], ...]
    labels: Tensor | None
    batch: int
    training: LocalTraining | None
    noise_ratio: float

    @property
    def kind(self) -> tuple[object, ...]:
        """What cases that are searched together share."""
        bases = tuple(id(base) for base, _ in self.parts)
        return bases, self.labels is None, self.batch, self.training, self.noise_ratio > 0


def _groups(cases: Sequence[_Case], restarts: int) -> Iterator[list[_Case]]:
    """Yield cases that can be searched together, in the order in which they come."""
    alike: dict[tuple[object, ...], list[_Case]] = {}
    for case in cases:
        alike.setdefault(case.kind, []).append(case)
    for kind in alike.values():
        numbers = sum(tensor.numel() for _, target in kind[0].parts for tensor in target)
        size = min(MOST_TOGETHER, max(1, GROUP_BYTES // (4 * numbers * restarts)))
        for start in range(0, len(kind), size):
            yield kind[start : start + size]


def _target(view: View, base: nn.Module) -> list[Tensor]:
    """Return a view as a gradient of length one in parameter order; as a change where its steps are simulated."""
    sign = -1.0 if view.of == "delta" and _training(view) is None else 1.0
    names: dict[int, list[str]] = {}  # a tied parameter has several names, and the view one of them
    for name, parameter in base.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    found = [view.tensors[next(name for name in alike if name in view.tensors)] for alike in names.values()]
    length = math.sqrt(sum(float((tensor.double() ** 2).sum()) for tensor in found))
    return [(sign / length * tensor.double()).float() for tensor in found]


def _training(view: View) -> LocalTraining | None:
    """Return the local steps behind a view, where there are several and they can be simulated."""
    if view.of != "delta" or view.local_steps < 2 or view.clients > 1 or not view.learning_rate:
        return None
    return LocalTraining(view.local_steps, view.learning_rate, view.batch_size)
