"""The steps of one LUNAR fit: gather, solve, hear, solve again on all records.

Choosing holds records back; the chosen setting is then solved once more on everything, and that edit is taken where it
is heard to be as good.
"""

import functools
import operator
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from reports.executor import Executor
from unlearning.errors import LanguageModelError, NotUnlearnable
from unlearning.llm.architectures import Blocks
from unlearning.llm.bits import shifted
from unlearning.llm.candidates import RIDGES, Candidate, figures, screened, shortlist, solved_again
from unlearning.llm.earlier_requests import Earlier
from unlearning.llm.edit_nouns import GateFigures
from unlearning.llm.material import Fold, Material, OwnRefusals, gather_material, loudest_layers
from unlearning.llm.model_io import LanguageModel, Tensors
from unlearning.llm.passages import TokenPolicy
from unlearning.llm.reweighted import POWER
from unlearning.llm.screening import Early, Hearing, Screening
from unlearning.llm.selection import COEFFICIENTS, Choice, Tried, chosen_early, faults, least_bad, objective
from unlearning.llm.solve import solve_gradient
from unlearning.llm.spent import Cost
from unlearning.llm.update import FullUpdate, Update

__all__ = ["Settings", "Solved", "Solver", "Work"]

Solver = Literal["closed", "gradient", "gradient-published"]
WARN_GAP, LEAST_GAP = 0.5, 0.2
"""1 - leak: below the first a warning, below the second a refusal."""
LEAST_EARLIER = 0.7
"""Mean gate on what earlier requests made forgotten below which a warning is due."""
REWEIGHTED = 2
"""Settings that are solved for the worst row too, where plain least squares gave nothing good."""
WORST_TOO = 2
"""Finalists that are solved for the worst row on all records, whatever was heard of them on what was held back."""
FINALISTS = 3
"""Settings that are solved again on all records where none was good without."""
LOUDEST = 4
"""Layers that are solved for, of the candidates: those where a shift is largest beside the residual stream."""
FEW_BLOCKS = 6
"""Up to so many blocks all are candidates."""
TOKEN_SETS: tuple[TokenPolicy, ...] = ("refusal", "last", "prompt")


@dataclass(frozen=True)
class Settings:
    """What to choose from, and how."""

    layers: tuple[int, ...] | None = None
    """Blocks; None for those from half to nine tenths of the depth, or all of a model of up to 6; after an earlier
    request for its own."""
    top_layers: int = 1
    """How many of them are edited at most, the best first."""
    tokens: TokenPolicy | None = None
    """Which tokens are moved; None to try all three sets."""
    ridge: float | None = None
    """In units of the mean of the diagonal; None to try ten."""
    coefficient: float | None = None
    """The effective one; None to try five."""
    solver: Solver = "closed"
    """How the least squares are solved."""
    memory: int = 2**31
    """Bytes that one m x m matrix may take."""
    accept_unrefused: bool = False
    """Whether to take every reference answer for a refusal."""
    force: bool = False
    """Whether to go on where forget and retain prompts look alike."""
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Solved:
    """The edit that was chosen."""

    updates: tuple[Update, ...]
    held: Choice[Candidate]
    """By what was held back."""
    final: Choice[Candidate]
    """Among the best settings, solved on all records."""
    gate: GateFigures
    """Of the gate that was solved without the records it is judged on."""
    layers: tuple[int, ...]
    """The layers that were heard, the one that tells best what goes from what stays first."""


@dataclass(frozen=True, eq=False)
class Work:
    """What the steps of one fit share."""

    model: LanguageModel
    blocks: Blocks
    settings: Settings
    own: OwnRefusals
    executor: Executor | None
    cost: Cost
    warnings: list[str]
    earlier: Earlier = field(default_factory=Earlier)
    """Requests that the model honours already."""
    base: Tensors = field(default_factory=dict)
    """What the edit changes already, in other layers."""

    def solve(self, parts: Fold, whole: Fold, held_hearing: Hearing, whole_hearing: Hearing) -> Solved:
        """Return the best edit: a few settings are found with records held back, and the last choice is among these.

        Args:
            parts: The records with some held back.
            whole: The same with none held back.
            held_hearing: Asks about what is held back.
            whole_hearing: Asks about all.

        Raises:
            NotUnlearnable: `llm.not_separable`, or `llm.singular` where no setting gives a gate.
        """
        layers = self._layers()
        if self.settings.layers is None and len(layers) > LOUDEST:
            with self.cost.of("collect_cpu_s"), self.model.swapped(self.base):
                layers = loudest_layers(self.model, parts, self.own, layers, LOUDEST)
        material = self._gather(parts, layers, self._policies())
        with self.cost.of("select_cpu_s"):
            candidates = shortlist(list(screened(material, ridges=self._ridges(), memory=self.settings.memory)))
            self._refuse_inseparable(candidates)
            if self.settings.solver != "closed":
                candidates = _one_ridge(candidates)
            ranked = tuple(dict.fromkeys(one.layer for one in candidates))
            largest = COEFFICIENTS[-1] if self.settings.coefficient is None else self.settings.coefficient
            held = self._choice(material, candidates, held_hearing, COEFFICIENTS) or self._whole(
                material, candidates[0], held_hearing, largest
            )
            if not held.chosen.accepted and self.settings.solver == "closed":
                held = self._for_the_worst(material, held, held_hearing)
        if self.settings.solver != "closed":
            chosen = held.chosen
            update = self._update(material, chosen.setting, chosen.coefficient)
            return Solved((update,), held, held, figures(chosen.setting, material), ranked)
        best = _finalists(held, held_hearing.before, FINALISTS)
        worst = [] if best[0].accepted else _for_worst_rows(best, candidates)
        last, final = self._final(whole, best, worst, whole_hearing)
        if not final.chosen.accepted and best[0].accepted:  # good on what was held back alone
            best = _finalists(held, held_hearing.before, FINALISTS, whatever=True)
            more, other = self._final(whole, best, _for_worst_rows(best, candidates), whole_hearing)
            better = least_bad(whole_hearing.before, [final.chosen, other.chosen]) is other.chosen
            last = more if better else last
            final = Choice(other.chosen if better else final.chosen, (*final.tried, *other.tried))
        with self.cost.of("solve_cpu_s"):
            chosen = final.chosen
            solved = self._again(last, chosen.setting)
            assert solved is not None  # noqa: S101  it was solved before, and is again for its time alone
            update = self._update(last, solved, chosen.coefficient)
        judged = next((one.setting for one in best if _same(one.setting, chosen.setting)), best[0].setting)
        if (gap := 1.0 - judged.leak) < LEAST_GAP:
            self.warnings.append(f"the chosen gate leaks: gap {gap:.2f} on what was held back; look at what stays")
        gate = figures(judged, material)
        if gate.earlier_mean is not None and gate.earlier_mean < LEAST_EARLIER:
            told = f"the gate is at {gate.earlier_mean:.2f} on what earlier requests made forgotten"
            self.warnings.append(f"{told}; ask the model about that again")
        return Solved((update,), held, final, gate, ranked)

    def _final(
        self, whole: Fold, best: Sequence[Tried[Candidate]], worst: Sequence[Candidate], hearing: Hearing
    ) -> tuple[Material, Choice[Candidate]]:
        """Return the finalists' material with nothing held back, and the choice among them."""
        named = [*(one.setting for one in best), *worst]
        last = self._gather(whole, sorted({one.layer for one in named}), sorted({one.tokens for one in named}))
        with self.cost.of("select_cpu_s"):
            again = self._solved_again(last, best, worst)
            steps = COEFFICIENTS if worst else [c for c in COEFFICIENTS if c >= best[0].coefficient]
            return last, self._choice(last, again, hearing, steps) or self._whole(
                last, again[0], hearing, best[0].coefficient
            )

    def _for_the_worst(self, material: Material, held: Choice[Candidate], hearing: Hearing) -> Choice[Candidate]:
        """Return the choice with the best settings once more, now solved for the row that fares worst."""
        again = [
            found
            for one in _finalists(held, hearing.before, REWEIGHTED)
            if material.keep_rows(one.setting.layer) is not None
            and (found := solved_again(material, one.setting, power=POWER, memory=self.settings.memory)) is not None
        ]
        if not again:
            return held
        more = self._choice(material, again, hearing, COEFFICIENTS)
        if more is None:
            return held
        tried = (*held.tried, *more.tried)
        return Choice(more.chosen if more.chosen.accepted else least_bad(hearing.before, tried), tried)

    def _choice(
        self, material: Material, candidates: Sequence[Candidate], hearing: Hearing, coefficients: Sequence[float]
    ) -> Choice[Candidate] | None:
        """Return what is heard to be best of some candidates and coefficients; None where all are hopeless."""
        if self.settings.coefficient is not None:
            coefficients = (self.settings.coefficient,)

        def hear(one: Candidate, effective: float) -> Screening | Early:
            return hearing.first_of(self.variant([self._update(material, one, effective)]))

        return chosen_early(candidates, hear, hearing.before, coefficients=coefficients)

    def _whole(self, material: Material, one: Candidate, hearing: Hearing, effective: float) -> Choice[Candidate]:
        """Return a setting as the choice, heard to the end however bad it is: every other was no better."""
        heard = hearing.of(self.variant([self._update(material, one, effective)]))
        tried = Tried(one, effective, heard, faults(hearing.before, heard))
        return Choice(tried, (tried,))

    def _solved_again(
        self, material: Material, best: Sequence[Tried[Candidate]], worst: Sequence[Candidate]
    ) -> list[Candidate]:
        """Return the finalists solved on all records, and those that are solved for the worst row."""
        found = [self._again(material, one.setting) for one in best]
        if material.keep_rows(material.layers[0]) is not None:
            found += [solved_again(material, one, power=POWER, memory=self.settings.memory) for one in worst]
        return [one for one in found if one is not None]

    def _again(self, material: Material, one: Candidate) -> Candidate | None:
        """Return a setting solved on other material; None where that gives no gate."""
        return solved_again(material, one, memory=self.settings.memory)

    def variant(self, updates: Sequence[Update]) -> dict[str, Tensor]:
        """Return the tensors that the edit changes, changed as it would change them."""
        weights = {update.tensor: self.blocks.weight(update.layer).data for update in updates}
        changed = {update.tensor: shifted(weights[update.tensor], update.delta) for update in updates}
        return {**self.base, **changed}

    def _gather(self, parts: Fold, layers: Sequence[int], policies: Sequence[TokenPolicy]) -> Material:
        with self.cost.of("collect_cpu_s"):
            if not self.earlier.requests:
                found = self._read(parts, layers, policies, self.base)
            else:  # each layer as it was before the first request, on what the others are now
                origin = {layer: self.blocks.down_proj_name(layer) for layer in layers}
                parted = [
                    self._read(parts, [layer], policies, {**self.base, name: self.earlier.origin[name]})
                    for layer, name in origin.items()
                ]
                found = functools.reduce(operator.add, parted)
        self.cost.tokens += found.collected.tokens
        return found

    def _read(self, parts: Fold, layers: Sequence[int], policies: Sequence[TokenPolicy], variant: Tensors) -> Material:
        """Return what a variant of the model gives."""
        with self.model.swapped(variant):
            return gather_material(
                self.model, parts, self.own, layers=layers, policies=policies, width=self.blocks.width,
                memory=self.settings.memory, rows_only=self.settings.solver != "closed", earlier=self.earlier.layers,
                executor=None if variant else self.executor,  # other processes know the model as it was read
            )  # fmt: skip

    def _update(self, material: Material, one: Candidate, effective: float) -> Update:
        name = self.blocks.down_proj_name(one.layer)
        if self.settings.solver == "closed":
            return one.update(name, effective)
        keep = material.keep_rows(one.layer, "question" if self.settings.solver == "gradient-published" else "keep")
        assert keep is not None  # noqa: S101  gathered as rows for this solver
        rows = material.forget(one.layer, one.tokens)
        with self.cost.of("solve_cpu_s"):
            difference = solve_gradient(
                rows.grouped() if one.tokens == "refusal" else rows.inputs[None], keep, one.directions,
                coefficient=effective, weight=self.blocks.weight(one.layer).data,
                generator=torch.Generator().manual_seed(self.settings.seed),
            )  # fmt: skip
        return FullUpdate(
            tensor=name, layer=one.layer, difference=difference, coefficient=effective,
            effective_coefficient=effective, tokens=None if one.tokens == "all" else one.tokens,
            span=len(one.directions),
        )  # fmt: skip

    def _refuse_inseparable(self, candidates: Sequence[Candidate]) -> None:
        """Raise, or warn, where what goes and what stays look alike to every layer."""
        if not candidates:
            told = "no layer, token set and ridge gives a gate that acts on the facts to forget"
            raise NotUnlearnable("llm.singular", told, "Take a larger --ridge, other --layers, or erase (--erase).")
        least = min(candidates, key=lambda one: one.leak)
        gap = 1.0 - least.leak
        shown = "; ".join(f"layer {one.layer} {one.tokens}: gap {1 - one.leak:.2f}" for one in candidates[:4])
        if gap < LEAST_GAP and not self.settings.force:
            told = f"what is to be forgotten and what is to stay look alike: the best gap is {gap:.2f} ({shown})"
            mend = "Erase instead (--erase), or say --force to hide what can be hidden."
            raise NotUnlearnable("llm.not_separable", told, mend)
        if gap < WARN_GAP:
            self.warnings.append(f"what is to be forgotten and what is to stay are hard to tell apart: gap {gap:.2f}")

    def _layers(self) -> tuple[int, ...]:
        count = self.blocks.count
        if self.settings.layers is not None:
            if unknown := [layer for layer in self.settings.layers if not 0 <= layer < count]:
                told = f"there is no layer {unknown[0]}: {self.model.name} has {count}, from 0"
                raise LanguageModelError("llm.model", told, "Name layers that it has, or say --layers auto.")
            return tuple(sorted(set(self.settings.layers)))
        if count <= FEW_BLOCKS:
            return tuple(range(count))
        return tuple(range(count // 2, max(count // 2 + 1, round(0.9 * count))))

    def _policies(self) -> tuple[TokenPolicy, ...]:
        if self.settings.solver == "gradient-published":
            return ("all",)
        if self.settings.tokens is not None:
            return (self.settings.tokens,)
        return TOKEN_SETS if not self.earlier.requests else self.earlier.tokens

    def _ridges(self) -> tuple[float, ...]:
        return RIDGES if self.settings.ridge is None else (self.settings.ridge,)


def _one_ridge(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return one candidate a layer and token set: a solver by gradient has no ridge."""
    found: dict[tuple[int, str], Candidate] = {}
    for one in candidates:
        found.setdefault((one.layer, one.tokens), one)
    return list(found.values())


def _finalists(
    held: Choice[Candidate], before: Screening, most: int, *, whatever: bool = False
) -> list[Tried[Candidate]]:
    """Return the accepted setting, else (or `whatever` was accepted) the best few, each once and the best first."""
    if held.chosen.accepted and not whatever:
        return [held.chosen]
    found: list[Tried[Candidate]] = []
    for one in sorted(held.tried, key=lambda one: objective(before, one.screening)):
        if len(found) < most and not any(_same(one.setting, other.setting) for other in found):
            found.append(one)
    return found


def _same(one: Candidate, other: Candidate) -> bool:
    return (one.layer, one.tokens, one.ridge, one.power) == (other.layer, other.tokens, other.ridge, other.power)


def _for_worst_rows(best: Sequence[Tried[Candidate]], candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return what to solve for the worst row on all records: plain finalists, and each layer's path along a refusal.

    What is held back may speak against a setting that keeps all it has read, so these are heard whatever was said then.
    """
    found = [one.setting for one in best if one.setting.power == 2][:WORST_TOO]
    for layer in dict.fromkeys(one.layer for one in candidates):
        along = [one for one in candidates if one.layer == layer and one.tokens == "refusal"]
        if along and not any(one.layer == layer and one.tokens == "refusal" for one in found):
            found.append(min(along, key=lambda one: one.ridge))
    return found
