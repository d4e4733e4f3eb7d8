"""Erasing by reset and distillation beside retraining without the facts: time, what is said, and the audit's level."""

import time
from collections.abc import Iterator

from attacks_rows import Row
from llm_cases import FIRST_SEED, Asked, Case, tiny

from reports.model import Effort
from unlearning.llm.erase import erase
from unlearning.llm.smollm import ContractWorld, load_smollm

SEEDS = {"small": 1, "standard": 3, "full": 5}
TINY, SMOLLM = 0.85, 0.65
"""Of the CPU time of retraining."""


def measure(asked: Asked) -> Iterator[Row]:
    """Yield the rows of tiny worlds, and of SmolLM2 where a folder is named."""
    effort = Effort.SMOKE if asked.points == "small" else Effort.STANDARD
    for place in range(SEEDS[asked.points] if asked.tiny else 0):
        yield from _rows(tiny(FIRST_SEED + place), TINY, effort)
    if asked.folder is not None:
        yield from _rows(asked.smollm, SMOLLM, effort)


def _rows(case: Case, most: float, effort: Effort) -> Iterator[Row]:
    world, base = case.world, load_smollm() if isinstance(case.world, ContractWorld) else None
    begun = time.process_time()
    erased = erase(
        case.model, world.forget, world.retain, world.reference, base=base, general=case.general, seed=world.seed
    )
    ours = time.process_time() - begun
    retrained, theirs = case.retrained_cpu_s
    what, told = f"erase, {case.name}", f"reset {erased.reset:g}, {erased.steps} steps, KL {erased.kl:.4f}"
    yield Row(f"{what}: CPU time", ours, "s", note=told, peer="retraining", peer_value=theirs)
    yield Row(f"{what}: share of retraining", ours / theirs, "", f"<= {most:g}", ours / theirs <= most)
    heard, there = case.hearing.of(erased.variant), case.hearing.of(retrained)
    for name in ("forget_content", "paraphrase_content", "retain_rouge1", "general", "refusal"):
        shown, peer = getattr(heard, name), getattr(there, name)
        yield Row(
            f"{what}: {name.replace('_', ' ')}", shown, peer="retrained", peer_value=peer, unit="", n=len(world.forget)
        )
    level = case.level(erased.variant, effort)
    told = f"{level}; the retrained model: {case.level(retrained, effort)}"
    sound = not level.startswith("FAILED")
    yield Row(f"{what}: not FAILED at effort {effort}", float(sound), "", ">= 1", sound, n=len(world.forget), note=told)
