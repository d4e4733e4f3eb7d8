"""Deltas of local training sorted into problems of one kind, and searched in trials that any executor can run."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from audit.arms import Reconstruction
from audit.attacks.labels import reconstruct as told_labels
from audit.attacks.linear import LinearAttack
from audit.attacks.local_steps import fit, reconstruct
from audit.attacks.matching import Budget, Part, Problem, prior_weight
from audit.attacks.matching_attack import SHARPNESS
from audit.defences import Defence, DefenceName
from audit.engines.base import PLAIN, LocalTraining, Matching
from audit.exhibits import picture_size
from audit.scene import Scene, Sighting
from audit.twin import DEFAULT_LEARNING_RATE, ReadableLayers
from audit.view import View

Array = npt.NDArray[np.float64]

CLOSED_FORM, ONE_STEP, SIMULATED = "closed form", "one step", "simulated steps"
"""The readings, in the order in which they are tried."""
CASES = 16
"""Sightings that are searched together, which is faster; fixed, so that every executor gives the same numbers."""
SOLVED = 1e-4
"""1 - cos from which a record that was read in closed form is not searched for: an angle below one degree."""


@dataclass(frozen=True, eq=False)
class Trial:
    """Sightings of one kind that are searched together."""

    positions: tuple[int, ...]
    """Which sightings."""
    problem: Problem
    """What is sought, a case each."""
    given: Tensor | None
    """Records read in closed form, in the model's units, shape (n, B, *shape); None where there are none."""
    budget: Budget
    """How long."""


@dataclass(frozen=True, eq=False)
class Searched:
    """What a trial found, a case each."""

    positions: tuple[int, ...]
    """Which sightings."""
    one_step: Array
    """In the model's units, shape (n, B, d)."""
    simulated: Array
    """Shape (n, r, d)."""
    objectives: Array
    """Of the simulated steps, on what the one step gave and on their own, shape (n, 2)."""
    engine: str
    """Which engines did it; "closed form" where nothing was searched."""


def search(trial: Trial, rng: np.random.Generator) -> Searched:
    """Return what a trial finds; a case that the closed form has solved is not searched.

    Args:
        trial: The cases.
        rng: Draws the starts.
    """
    problem, n = trial.problem, len(trial.positions)
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    values = torch.full((n,), 2.0) if trial.given is None else fit(problem, trial.given, trial.budget)
    open_cases = torch.nonzero(values > SOLVED).flatten()
    if not len(open_cases):
        assert trial.given is not None, "what is solved was given"  # noqa: S101
        records = trial.given.flatten(2).double().numpy()
        both = torch.stack([values, values], dim=1).double().numpy()
        return Searched(trial.positions, records, records, both, CLOSED_FORM)
    found = reconstruct(_some(problem, open_cases), trial.budget, generator)
    one = torch.zeros((n, *found.one_step.shape[1:]))
    many = torch.zeros((n, *found.simulated.shape[1:]))
    if trial.given is not None:
        one[:], many[:] = trial.given, trial.given
    one[open_cases], many[open_cases] = found.one_step, found.simulated
    objectives = torch.stack([values, values], dim=1)
    objectives[open_cases] = torch.stack([found.one_step_objective, found.simulated_objective], dim=1).float()
    return Searched(
        trial.positions, one.flatten(2).double().numpy(), many.flatten(2).double().numpy(),
        objectives.double().numpy(), found.engine,
    )  # fmt: skip


def _some(problem: Problem, cases: Tensor) -> Problem:
    parts = tuple(replace(part, target=[one[cases] for one in part.target]) for part in problem.parts)
    return replace(problem, parts=parts, labels=None if problem.labels is None else problem.labels[cases])


@dataclass(frozen=True, eq=False)
class Sorter:
    """Sorts sightings into trials, with what the attacker knows beside them."""

    scene: Scene
    """Range and normalisation of records; never the records."""
    layers: ReadableLayers
    """The first layer is read in closed form, the last one for labels."""
    reads: tuple[str, ...]
    """The model's parameters."""
    budget: Budget
    """How long to search."""
    classes: int
    """Outputs of the model."""

    def closed_form(self, sighting: Sighting, defences: tuple[Defence, ...]) -> tuple[Reconstruction, ...]:
        """Return the reading of the first layer, where it is linear and has a bias: an `audit.arms.Attack`."""
        if self.layers.first is None or self.layers.first.bias is None:
            return ()
        found = LinearAttack(self.scene, self.layers.first)(sighting, defences)
        return tuple(replace(one, variant=CLOSED_FORM) for one in found if one.variant == "ratio")

    def trials(
        self, sightings: Sequence[Sighting], read: Sequence[tuple[Reconstruction, ...]], defences: tuple[Defence, ...]
    ) -> list[Trial]:
        """Return trials that hold every sighting once.

        Args:
            sightings: Of all arms.
            read: What the closed form gave of each.
            defences: What the system's views have been put through.
        """
        kinds: dict[object, list[int]] = {}
        labels = [self._labels(sighting) for sighting in sightings]
        given = [self._given(sighting, one) for sighting, one in zip(sightings, read, strict=True)]
        for position, sighting in enumerate(sightings):
            view = sighting.views[0]
            known = labels[position] is not None, given[position] is not None
            bases = tuple(id(one.base) for one in _alike(sighting))
            kind = (bases, len(view.truth), _training(view), *known)
            kinds.setdefault(kind, []).append(position)
        chunks = [
            positions[start : start + CASES]
            for positions in kinds.values()
            for start in range(0, len(positions), CASES)
        ]
        return [self._trial(chunk, sightings, labels, given, _means(defences), self._prior(sightings, defences))
                for chunk in chunks]  # fmt: skip

    def raw(self, records: Array) -> Array:
        """Return flattened records, shape (r, d), from the model's units to raw ones."""
        mean, deviation = self.scene.scale.flat(self.scene.shape)
        return np.asarray(records * deviation + mean)

    def _trial(
        self, positions: Sequence[int], sightings: Sequence[Sighting], labels: Sequence[Tensor | None],
        given: Sequence[Tensor | None], matching: Matching, prior: float,
    ) -> Trial:  # fmt: skip
        views = [_alike(sightings[position]) for position in positions]
        parts = tuple(
            Part(column[0].base, [torch.stack([_goal(view, name, matching) for view in column]) for name in self.reads])
            for column in zip(*views, strict=True)
        )
        mean, deviation = self.scene.scale.mean, self.scene.scale.deviation
        low, high = (torch.from_numpy((end - mean) / deviation).float() for end in self.scene.span)
        told = [one for position in positions if (one := labels[position]) is not None]
        known = [one for position in positions if (one := given[position]) is not None]
        problem = Problem(
            parts, torch.stack(told) if told else None, len(views[0][0].truth), self.scene.shape, low, high,
            classes=self.classes, picture=self._picture(), prior=prior, matching=matching,
            training=_training(views[0][0]),
        )  # fmt: skip
        return Trial(tuple(positions), problem, torch.stack(known) if known and told else None, self.budget)

    def _labels(self, sighting: Sighting) -> Tensor | None:
        """Return the labels that the last layer tells, shape (B,); None where they have to be sought."""
        layer = self.layers.last
        if layer is None or sighting.views[0].truth.y.is_floating_point():
            return None
        total = np.zeros(())
        for view in sighting.views:
            entries = view.tensors[layer.bias] if layer.bias else view.tensors[layer.weight].sum(dim=1)
            total = total + (-1.0 if view.of == "delta" else 1.0) * entries.double().numpy()
        impulses = np.array([-total[0], total[0]]) if len(total) == 1 else total
        view = sighting.views[0]
        told = told_labels(impulses, len(view.truth))
        return torch.from_numpy(told) if len(told) else None

    def _given(self, sighting: Sighting, read: tuple[Reconstruction, ...]) -> Tensor | None:
        """Return the one record of a batch of one as the closed form gives it, shape (1, *shape)."""
        if not read or len(sighting.views[0].truth) > 1:
            return None
        return self.scene.scale.normalised(self.scene.raw(read[0].records[:1]))

    def _picture(self) -> tuple[int, int, int] | None:
        return picture_size(self.scene.shape) if len(self.scene.shape) > 1 else None

    def _prior(self, sightings: Sequence[Sighting], defences: tuple[Defence, ...]) -> float:
        """Return the weight of the prior for pictures, which grows with the noise over what is left of the signal."""
        noise = next((one.amount for one in defences if one.name is DefenceName.NOISE), 0.0)
        squares = [sum(float((view.tensors[name].double() ** 2).sum()) for name in self.reads)
                   for view in sightings[0].views]  # fmt: skip
        size = sum(sightings[0].views[0].tensors[name].numel() for name in self.reads)
        energy = noise**2 * size
        ratio = np.sqrt(energy / max(float(np.mean(squares)) - energy, 1e-2 * energy)) if energy > 0 else 0.0
        return prior_weight(self._picture()) * (1.0 + float(ratio))


def _alike(sighting: Sighting) -> tuple[View, ...]:
    """Return the views of a sighting that were trained as the first was."""
    first = sighting.views[0]
    return tuple(view for view in sighting.views if (view.of, _training(view)) == (first.of, _training(first)))


def _training(view: View) -> LocalTraining | None:
    """Return what the client did; None for a gradient."""
    if view.of == "gradient":
        return None
    size = view.batch_size if view.batch_size is not None and view.batch_size < len(view.truth) else None
    return LocalTraining(view.local_steps, view.learning_rate or DEFAULT_LEARNING_RATE, size)


def _goal(view: View, name: str, matching: Matching) -> Tensor:
    """Return what is matched of one tensor: its signs where that is all that the system's views hold."""
    tensor = view.tensors[name].float()
    return tensor.sign() if matching.sharpness else tensor


def _means(defences: Iterable[Defence]) -> Matching:
    """Return what is compared, given what was done to the deltas."""
    names = {defence.name for defence in defences}
    if DefenceName.SIGNS in names:
        return Matching(surviving=DefenceName.ZEROS in names, sharpness=SHARPNESS)
    return Matching(surviving=True) if DefenceName.ZEROS in names else PLAIN


def by_position(found: Iterable[Searched]) -> Mapping[int, tuple[Array, Array]]:
    """Return what both readings gave of each sighting, in the model's units."""
    return {
        position: (one.one_step[case], one.simulated[case])
        for one in found
        for case, position in enumerate(one.positions)
    }
