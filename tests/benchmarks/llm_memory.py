"""The most memory that an edit and an audit take: before and after never stand side by side.

python tests/benchmarks/llm_memory.py (tiny SEED | FOLDER FACTS)      one measurement, as JSON
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from attacks_rows import Row
from llm_cases import FIRST_SEED, Asked, Case, smollm, tiny

from reports.model import Effort
from unlearning.llm.audit import audit_unlearning
from unlearning.llm.spent import spending

TINY_MIB, SMOLLM_MIB = 700, 2560


def measure(asked: Asked) -> Iterator[Row]:
    """Yield the peak of training, edit and smoke audit of the tiny model; of SmolLM2 that of edit and audit."""
    if asked.tiny:
        yield _row("tiny", TINY_MIB, ["tiny", str(FIRST_SEED)])
    if asked.folder is not None:
        assert len(asked.smollm.world.forget)  # it is taught apart, which takes more
        yield _row("SmolLM2", SMOLLM_MIB, [str(asked.folder), str(asked.facts)])


def _row(name: str, limit: int, arguments: list[str]) -> Row:
    command = [sys.executable, str(Path(__file__).resolve()), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    peak, told = max(found["edit"], found["audit"]), f"edit {found['edit']:.0f} MiB; level {found['level']}"
    return Row(f"memory, {name}: edit and smoke audit", peak, "MiB", f"<= {limit}", peak <= limit, note=told)


def _once(case: Case) -> dict[str, object]:
    """Return the peak of the edit, and that of its audit; each in MiB, of this process alone."""
    world = case.world
    with spending() as edit:
        variant = case.fitted.variant
    with spending() as audit:
        found = audit_unlearning(
            case.model, variant, forget=world.forget, retain=world.retain, twin=world.twin, general=case.general,
            reference=world.reference, effort=Effort.SMOKE, seed=world.seed,
        )  # fmt: skip
    peaks = {"edit": edit.peak_rss_mib, "audit": audit.peak_rss_mib}
    return peaks | {"level": str(found.level.level)}


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(
        json.dumps(
            _once(tiny(int(sys.argv[2])) if sys.argv[1] == "tiny" else smollm(Path(sys.argv[1]), int(sys.argv[2])))
        )
    )
