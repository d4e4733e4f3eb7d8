"""Models that are measured: tiny worlds, made anew for each seed, and SmolLM2 where it is asked for."""

import functools
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from reports.model import Effort
from unlearning.llm.architectures import blocks_of
from unlearning.llm.audit import LanguageModelAudit, audit_unlearning
from unlearning.llm.lunar import LunarFit, fit_and_tell
from unlearning.llm.material import Material, OwnRefusals, fold, gather_material, own_refusals
from unlearning.llm.model_io import LanguageModel, Tensors, differing, load_model, state_of
from unlearning.llm.records import RecordSet, record_set
from unlearning.llm.refusal import load_refusals
from unlearning.llm.screening import Hearing, slices
from unlearning.llm.smollm import ContractWorld, load_smollm, taught
from unlearning.llm.tiny import TinyWorld, save_tiny, train_tiny

FIRST_SEED = 101
"""Of the tiny worlds: none that anything was developed on."""
CONTRACTS = 7
"""Seed of SmolLM2's contracts, the one that its tests have too: it is taught once for both."""
FACTS_OF_A_CONTRACT = 4


@dataclass(frozen=True)
class Asked:
    """What a run measures."""

    points: str
    """"small", "standard" or "full"."""
    tiny: bool = True
    """Whether tiny worlds are measured."""
    folder: Path | None = None
    """Where the taught SmolLM2 is, or is to be; None where it is not measured."""
    facts: int = 12
    """How many of SmolLM2's facts are to be forgotten."""

    @property
    def smollm(self) -> "Case":
        """SmolLM2 with contracts."""
        assert self.folder is not None
        return smollm(self.folder, self.facts)


@dataclass(frozen=True, eq=False)
class Case:
    """A model that knows some facts, and the sets that it is asked with."""

    name: str
    model: LanguageModel
    world: TinyWorld | ContractWorld
    train_cpu_s: float
    """CPU-seconds that it took to train; 0 where it was read from a folder."""
    general: RecordSet
    """General questions that it is held to."""

    @functools.cached_property
    def own(self) -> OwnRefusals:
        """What it says to the prompts that it refuses."""
        return own_refusals(self.model, self.world.reference, load_refusals())

    @functools.cached_property
    def hearing(self) -> Hearing:
        """Asks about all records."""
        world = self.world
        asked = slices(world.forget, world.forget, world.retain, self.general, world.seed, everything=True)
        return Hearing(self.model, asked, self.own, load_refusals())

    @functools.cached_property
    def fit_cpu_s(self) -> tuple[LunarFit, float]:
        """LUNAR with every choice its own, and the CPU-seconds of it."""
        begun, world = time.process_time(), self.world
        found = fit_and_tell(self.model, world.forget, world.retain, world.reference, general=self.general)
        return found, time.process_time() - begun

    @property
    def fitted(self) -> LunarFit:
        """LUNAR with every choice its own."""
        return self.fit_cpu_s[0]

    @functools.cached_property
    def retrained_cpu_s(self) -> tuple[Tensors, float]:
        """What the same training gives without the facts, as a variant of the model before, and its CPU-seconds."""
        base = None if isinstance(self.world, TinyWorld) else load_smollm()
        begun = time.process_time()
        if isinstance(self.world, TinyWorld):
            after: Tensors = state_of(train_tiny(self.world, without=("forget",)))
        else:
            assert base is not None
            after = state_of(base) | taught(base, self.world, without=("forget",))
        spent = time.process_time() - begun
        return differing(state_of(self.model), after), spent

    def audited(self, variant: Tensors, effort: Effort) -> LanguageModelAudit:
        """Return the audit of a variant."""
        world = self.world
        return audit_unlearning(
            self.model, variant, forget=world.forget, retain=world.retain, twin=world.twin, general=self.general,
            reference=world.reference, effort=effort, seed=world.seed,
        )  # fmt: skip

    def level(self, variant: Tensors, effort: Effort) -> str:
        """Return the audit's level of a variant, and its reason."""
        found = self.audited(variant, effort).level
        return f"{found.level} {found.reason}".strip()

    @functools.cached_property
    def rows(self) -> "Rows":
        """The rows that the chosen edit is solved from, all of them."""
        update = self.fitted.edit.updates[0]
        policy, world = update.tokens or "all", self.world
        parts = fold(world.forget, world.retain, self.general, world.seed, everything=True)
        width = blocks_of(self.model.module).width
        material: Material = gather_material(
            self.model, parts, self.own, layers=(update.layer,), policies=(policy,), width=width, rows_only=True
        )
        forget, keep = material.forget(update.layer, policy), material.keep_rows(update.layer)
        assert keep is not None
        grouped = forget.grouped() if policy == "refusal" else forget.inputs[None]
        return Rows(grouped, keep, material.directions(update.layer, policy), update.layer)


@dataclass(frozen=True, eq=False)
class Rows:
    """Activations of one layer."""

    forget: Tensor
    """Shape (k, n, m)."""
    keep: Tensor
    """Shape (n', m)."""
    directions: Tensor
    """Shape (k, d)."""
    layer: int

    @property
    def count(self) -> int:
        """How many there are."""
        return self.forget.shape[0] * self.forget.shape[1] + len(self.keep)


@functools.cache
def tiny(seed: int) -> Case:
    """Return the model of a tiny world, trained now."""
    world, begun = TinyWorld(seed), time.process_time()
    model = train_tiny(world)
    return Case(f"tiny {seed}", model, world, time.process_time() - begun, world.general)


@functools.cache
def smollm(folder: Path, facts: int) -> Case:
    """Return SmolLM2 with contracts: read from a folder, or taught now, which takes minutes, and written there."""
    contracts = -(-facts // FACTS_OF_A_CONTRACT)
    world, spent = ContractWorld(CONTRACTS, forget_contracts=contracts, twin_contracts=2 * contracts), 0.0
    if not (folder / "config.json").is_file():
        model, begun = load_smollm(), time.process_time()
        variant: Tensors = taught(model, world)
        spent = time.process_time() - begun
        with model.swapped(variant), torch.no_grad():
            save_tiny(model, folder)
    model = load_model(folder)
    return Case("SmolLM2", model, world, spent, record_set(world.general))
