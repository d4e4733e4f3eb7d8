"""Oracles: models that the auditor trains, by the recipe, with and without what was to be forgotten.

    A(D without F) ─▶ retrained ─▶ the method with nothing to forget ─▶ matched      the references
    A(D)           ─▶ trained   ─▶ the method with nothing to forget ─▶ originals    what remembering looks like
                             └──▶ the method as it was asked         ─▶ unlearned    what the method leaves, over seeds

Matched references and originals take the delivered model's rounds and none of its choices (Sekhari et al. 2021,
arXiv:2103.03279, definition 2): a model that was trained longer differs from one that was not, forgotten or no.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Protocol

import torch
from torch import Tensor

from reports.artifacts import read_tensors
from reports.canonical import canonical_json
from reports.errors import FileError
from reports.executor import Executor, Serial
from unlearning.federated.data import ClientData, SimulatedFederation
from unlearning.federated.engine import Sequential
from unlearning.federated.methods.base import History, Method, Setting
from unlearning.federated.request import Split
from unlearning.federated.rounds import Engine, Models, RoundOutcome, Stack, joined, train_models
from unlearning.federated.stacked import CHUNK, StackedFederation, applicable

__all__ = ["Kind", "OracleCache", "OraclePool", "Questions", "engine_for", "model_seeds", "with_history"]

Kind = Literal["retrained", "matched", "trained", "originals", "unlearned"]
WITHOUT: tuple[Kind, ...] = ("retrained", "matched")
"""Kinds that have never seen the forget set."""
FEW = 4
"""Models in a trial of the sequential engine."""


def model_seeds(root: int, purpose: str, models: int) -> tuple[int, ...]:
    """Return the seed of each model, by its place alone: sha256 of "root/purpose/place"."""
    digests = [hashlib.sha256(f"{root}/{purpose}/{place}".encode()).digest() for place in range(models)]
    return tuple(int.from_bytes(digest[:8], "big") >> 1 for digest in digests)


def engine_for(
    federation: SimulatedFederation, seeds: Sequence[int], engine: Literal["auto", "stacked", "sequential"] = "auto"
) -> Engine:
    """Return the engine that trains these models: stacked where the architecture and the recipe allow it.

    Raises:
        ValueError: "stacked" is asked for and cannot be.
    """
    fits = applicable(federation.build_model(torch.Generator())) and federation.recipe.privacy is None
    if engine == "stacked" and not fits:
        raise ValueError("this architecture, or a recipe with differential privacy, is trained sequentially")
    if engine == "sequential" or not fits:
        return Sequential(federation, tuple(seeds))
    return StackedFederation(federation, tuple(seeds))


@dataclass(frozen=True, eq=False)
class Questions:
    """What oracles are asked of: everything that decides their weights but the seeds."""

    federation: SimulatedFederation
    """Data with the forget set in its place, recipe and model."""
    split: Split
    """What was to be forgotten."""
    method: Method
    """What the delivered model was made by."""
    kept: int | None = None
    """The unlearning rounds behind it, for a method that chooses them."""
    offline: frozenset[int] = frozenset()
    """Clients that did not answer it."""
    unlabelled: ClientData | None = None
    """Public data, for a method that distils."""
    engine: Literal["auto", "stacked", "sequential"] = "auto"
    """How they are trained."""

    def digest(self) -> str:
        """Return the SHA-256 over all of it and over the code that trains; two questions with one are the same."""
        told = hashlib.sha256(code_digest().encode())
        recipe = self.federation.recipe.model_dump(mode="json")
        parameters = self.method.model_dump(mode="json")
        told.update(
            canonical_json([recipe, self.method.name, parameters, self.kept, sorted(self.offline), self.engine])
        )
        state = self.federation.build_model(torch.Generator().manual_seed(0)).state_dict()
        told.update(canonical_json([[name, list(tensor.shape)] for name, tensor in state.items()]))
        parts = [*enumerate(self.split.retain), *sorted(self.split.forget.items())]
        for client, data in [*parts, *([] if self.unlabelled is None else [(-1, self.unlabelled)])]:
            told.update(f"{client}/{tuple(data.x.shape)}".encode())
            told.update(data.x.contiguous().numpy().tobytes() + data.y.contiguous().numpy().tobytes())
        return told.hexdigest()


class OracleCache(Protocol):
    """Keeps what was trained under the digest of what it was trained from."""

    def get(self, key: str) -> Mapping[str, Tensor] | None:
        """Return what was kept, or None."""
        ...

    def put(self, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Keep it."""
        ...


@dataclass(frozen=True)
class FolderCache:
    """An `OracleCache` of one safetensors file a trial, in a folder of the *auditor's*.

    Whoever can write there can forge oracles, so it must never lie in the owner's folder.
    """

    folder: Path
    """Made when first needed."""

    def get(self, key: str) -> Mapping[str, Tensor] | None:
        """Return what was kept; a broken file is as none."""
        path = self.folder / f"{key}.safetensors"
        try:
            return read_tensors(path) if path.is_file() else None
        except FileError:
            return None

    def put(self, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Keep it: written beside, then moved, so that a kill leaves no half of it."""
        from safetensors.torch import save_file

        self.folder.mkdir(parents=True, exist_ok=True)
        draft = self.folder / f".{key}.{os.getpid()}"
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, str(draft))
        draft.replace(self.folder / f"{key}.safetensors")


@dataclass(frozen=True, eq=False)
class OraclePool:
    """Trains oracles, chunk by chunk, and keeps them."""

    questions: Questions
    """What they are asked of."""
    executor: Executor = field(default_factory=Serial)
    """Runs the trials."""
    cache: OracleCache | None = None
    """Where finished trials are kept."""
    report_progress: "Progress | None" = None
    """Told (done, total)."""

    def without(self, seeds: Sequence[int], kinds: tuple[Kind, ...] = WITHOUT) -> dict[Kind, Stack]:
        """Return models that have never seen the forget set, by kind.

        "retrained": the recipe, or none where the method starts anew itself; "matched": then the method, with nothing
        to forget.
        """
        return self._trained(seeds, False, kinds)

    def holding(self, seeds: Sequence[int], kinds: tuple[Kind, ...] = ("originals",)) -> dict[Kind, Stack]:
        """Return models that have seen it: "trained", "originals" and "unlearned" (see the head of this file)."""
        return self._trained(seeds, True, kinds)

    def _trained(self, seeds: Sequence[int], holding: bool, kinds: tuple[Kind, ...]) -> dict[Kind, Stack]:
        sequential = isinstance(engine_for(self.questions.federation, (0,), self.questions.engine), Sequential)
        size = FEW if sequential else CHUNK
        digest = self.questions.digest() if self.cache is not None else ""
        trials = [
            _Trial(self.questions, tuple(seeds[start : start + size]), holding, kinds)
            for start in range(0, len(seeds), size)
        ]
        keys = [trial.key(digest) for trial in trials]
        found: dict[int, Mapping[str, Tensor]] = {}
        for place, key in enumerate(keys):
            kept = self.cache.get(key) if self.cache is not None else None
            if kept is not None:
                found[place] = kept
        missing = [place for place in range(len(trials)) if place not in found]
        for done, (position, tensors) in enumerate(
            self.executor.map(_run, [trials[place] for place in missing]), start=1
        ):
            place = missing[position]
            found[place] = tensors
            if self.cache is not None:
                self.cache.put(keys[place], tensors)
            if self.report_progress is not None:
                self.report_progress(done + len(trials) - len(missing), len(trials))
        return _by_kind([found[place] for place in range(len(trials))])


class Progress(Protocol):
    """Told how far the trials are."""

    def __call__(self, done: int, total: int) -> None:
        """Learn it."""
        ...


@dataclass(frozen=True, eq=False)
class _Trial:
    """A chunk of models to be trained."""

    questions: Questions
    seeds: tuple[int, ...]
    holding: bool
    kinds: tuple[Kind, ...]

    def key(self, digest: str) -> str:
        told = [digest, [str(seed) for seed in self.seeds], self.holding, list(self.kinds)]
        return hashlib.sha256(canonical_json(told)).hexdigest()


def _run(trial: _Trial) -> dict[str, Tensor]:
    """Return the models of a trial, as "kind/tensor"."""
    asked = trial.questions
    engine = engine_for(asked.federation, trial.seeds, asked.engine)
    method, held = asked.method, dict(enumerate(asked.split.retain))
    if trial.holding:
        held = dict(enumerate(asked.federation.data.clients))
    split = Split({}, tuple(held.values()), {})
    base, history = Models({}), History()
    if method.needs.training or {"retrained", "trained"} & set(trial.kinds):
        base, history = with_history(engine, held, method)
    setting = Setting(engine, split, base, history, asked.offline, unlabelled=asked.unlabelled)
    made: dict[Kind, Stack] = {}
    for kind in trial.kinds:
        if kind in ("retrained", "trained"):
            made[kind] = base.tensors
        elif kind in ("matched", "originals"):
            made[kind] = method.control(setting, asked.kept).tensors
        else:
            made[kind] = method.run(replace(setting, split=asked.split, kept=asked.kept)).models.tensors
    return {f"{kind}/{name}": tensor for kind, stack in made.items() for name, tensor in stack.items()}


def with_history(engine: Engine, held: Mapping[int, ClientData], method: Method) -> tuple[Models, History]:
    """Return models after the recipe, and of their training what the method asks for."""
    needs = method.needs
    globals_: dict[int, Stack] = {}
    updates: dict[int, Mapping[int, Stack]] = {}
    weights: dict[int, Mapping[int, Tensor]] = {}

    def watch(before: Models, after: Models, outcome: RoundOutcome) -> None:
        if needs.stored_globals:
            globals_.setdefault(before.rounds, before.tensors)
            globals_[after.rounds] = after.tensors
        if needs.stored_updates:
            updates[after.rounds], weights[after.rounds] = outcome.deltas, outcome.weights

    models = train_models(engine, held, engine.federation.recipe, watch=watch, record=needs.stored_updates)
    return models, History(globals_, updates, weights)


def _by_kind(parts: Sequence[Mapping[str, Tensor]]) -> dict[Kind, Stack]:
    """Return the trials' tensors as one stack a kind."""
    together = joined(parts)
    found: dict[Kind, dict[str, Tensor]] = {}
    for name, tensor in together.items():
        kind, _, rest = name.partition("/")
        found.setdefault(kind, {})[rest] = tensor  # type: ignore[arg-type]  # the names were written by `_run`
    return dict(found)


def code_digest() -> str:
    """Return the SHA-256 over the source of everything that trains."""
    here = Path(__file__).resolve().parent
    told = hashlib.sha256()
    for path in _sources(here):
        told.update(path.read_bytes())
    return told.hexdigest()


def _sources(here: Path) -> Iterator[Path]:
    yield from sorted(here.glob("*.py"))
    yield from sorted((here / "methods").glob("*.py"))
    yield from (here.parent / "layers.py", here.parent / "models.py")
