"""Write the conformance folders: `python -m tests.reports.conformance.generate FOLDER`, from the root of the tree.

Each case is a folder: `bundle/`, `trust.toml`, keys, `model.bin`, and `why.txt` with the sentence, the code that must
answer and how verify is called. Another implementation of the same format can be held to them. Nothing is random.
"""

import sys
from pathlib import Path

from tests.reports.conformance import envelope_cases, evidence_cases, report_cases, trust_cases
from tests.reports.conformance.cases import CASES, Case
from tests.reports.conformance.world import World, sound_world

MODULES = (envelope_cases, report_cases, evidence_cases, trust_cases)
"""Importing them registers their cases."""


def prepare(case: Case, world: World) -> None:
    """Do to a sound world what the case is about, and say why."""
    case.tamper(world)
    lines = [case.why, f"code: {case.code or 'ok'}", *(f"{name}: {value}" for name, value in world.call.items())]
    (world.folder / "why.txt").write_text("\n".join(lines) + "\n")


def main(folder: Path) -> None:
    """Write all cases below `folder`, which must not hold them yet."""
    for case in CASES:
        prepare(case, sound_world(folder / case.name))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
