"""What the audit calls a model that was not changed, one that LUNAR edited, and one that never saw the facts."""

import time
from collections.abc import Iterator, Mapping

from attacks_rows import Row
from llm_cases import FIRST_SEED, Asked, Case, tiny

from reports.model import Effort
from unlearning.llm.audit import LanguageModelAudit
from unlearning.llm.model_io import Tensors

EXPECTED: Mapping[str, tuple[str, ...]] = {
    "identity": ("FAILED",), "lunar": ("SUPPRESSED", "PARTIAL"),
    "retrained": ("ERASED", "SUPPRESSED", "PARTIAL", "UNDECIDED", "DEGRADED"),
}  # fmt: skip
"""Levels that are true of each; of the last, all but FAILED."""


def measure(asked: Asked) -> Iterator[Row]:
    """Yield the level of each model, at effort smoke where points are small."""
    effort = Effort.SMOKE if asked.points == "small" else Effort.STANDARD
    if asked.tiny:
        yield from _rows(tiny(FIRST_SEED), effort)
    if asked.folder is not None:
        yield from _rows(asked.smollm, effort)


def _rows(case: Case, effort: Effort) -> Iterator[Row]:
    for name, expected in EXPECTED.items():
        variant = _variant(case, name)
        begun = time.process_time()
        found = case.audited(variant, effort)
        spent = time.process_time() - begun
        level, n = found.level, len(case.world.forget)
        told = f"{level.level} {level.reason}; {_figures(found)}; {spent:.0f} CPU-s"
        sound = level.level in expected
        yield Row(f"level, {case.name}: {name} at effort {effort}", float(sound), "", ">= 1", sound, n=n, note=told)


def _variant(case: Case, name: str) -> Tensors:
    if name == "identity":
        return {}
    return case.fitted.variant if name == "lunar" else case.retrained_cpu_s[0]


def _figures(found: LanguageModelAudit) -> str:
    """Return every test with its value and status, in few words."""
    shown = (f"{one.id} {one.value:.2f} {one.status}" for one in found.tests if one.value is not None)
    return ", ".join(shown)
