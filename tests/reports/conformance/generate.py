"""Write the conformance folders: `python -m tests.reports.conformance.generate FOLDER`, from the root of the tree.

Each case is a folder: `bundle/` (and `bundle.zip`, where that is verified), `trust.toml`, keys, `model.bin`, and
`why.txt` with the sentence, the code that must answer and how verify is called. Another implementation of the same
format can be held to them. Nothing is random.
"""

import sys
from pathlib import Path

from tests.reports.conformance import (
    envelope_cases,
    evidence_cases,
    report_cases,
    salt_cases,
    timestamp_cases,
    trust_cases,
    zip_cases,
)
from tests.reports.conformance.cases import CASES, Case
from tests.reports.conformance.world import World, sound_world

MODULES = (envelope_cases, report_cases, evidence_cases, salt_cases, trust_cases, timestamp_cases, zip_cases)
"""Importing them registers their cases."""


def prepare(case: Case, world: World) -> None:
    """Do to a sound world what the case is about, and say why."""
    case.tamper(world)
    called = (f"{name}: {_told(value, world.folder)}" for name, value in world.call.items())
    (world.folder / "why.txt").write_text("\n".join([case.why, f"code: {case.code or 'ok'}", *called]) + "\n")


def _told(value: object, folder: Path) -> str:
    """Return an argument of verify as it reads on another machine."""
    if isinstance(value, Path):
        return value.relative_to(folder).as_posix()
    if isinstance(value, list):
        return " ".join(_told(one, folder) for one in value) or "none"
    return "render/ is compared with what it was" if callable(value) else str(value)


def main(folder: Path) -> None:
    """Write all cases below `folder`, which must not hold them yet."""
    for case in CASES:
        prepare(case, sound_world(folder / case.name))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
