"""The zoo as folders that anybody's auditor can be tried on: DIR/FLAW/flaw and DIR/FLAW/twin."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from audit.selftest.case_folders import CaseError, expected_of, write_expected
from audit.selftest.flaw import Flaw
from audit.selftest.play import Case, built
from audit.selftest.series import Series


@dataclass(frozen=True)
class Exported:
    """What was written."""

    folders: tuple[Path, ...]
    """A system each."""
    left_out: tuple[str, ...]
    """Flaws that lie in a sealed bundle or in how a run was asked for, which no folder of a system can show."""


def export(planned: Series, root: Path) -> Exported:
    """Write every flaw and its twin as a folder each, under the first seed.

    Raises:
        CaseError: `root` is no folder, or one of the folders is there already; nothing was written.
        FedauditError: a system cannot be built.
    """
    if os.path.lexists(root) and not root.is_dir():
        raise CaseError("case.exists", f"{root} is no folder", "Name a folder.")
    if there := [root / flaw.id for flaw in planned.flaws if os.path.lexists(root / flaw.id)]:
        raise CaseError("case.exists", f"{there[0]} exists already", "Name a folder that does not.")
    root.mkdir(parents=True, exist_ok=True)
    folders: list[Path] = []
    left_out: list[str] = []
    for flaw in planned.flaws:
        written = _written(flaw, planned, root / flaw.id)
        folders.extend(written)
        if not written:
            left_out.append(flaw.id)
    return Exported(tuple(folders), tuple(left_out))


def _written(flaw: Flaw, planned: Series, place: Path) -> tuple[Path, ...]:
    folders = (place / "flaw", place / "twin")
    for folder, planted in zip(folders, (True, False), strict=True):
        make = built(flaw, Case(flaw.id, planted, planned.seeds[0], planned.effort, planned.now), folder)
        if make.seals or make.asked is not None:
            shutil.rmtree(place)
            return ()
        write_expected(folder, expected_of(flaw, planted=planted))
    return folders
