"""The tour's reader of documents: a script that counts words, its answers recorded and replayed, and said to be that.

No language model is asked. The script is measured on the shipped excerpts like any reader, does not meet the
calibration bar, and so shows what a report says of such a one: nothing that it reads passes or fails.
"""

import asyncio
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from audit.system_folder import SystemFolder, rendered
from compliance.aireg import shipped_dataset
from compliance.assessing import Assignment, Readership, assessed
from compliance.calibration import Calibration, calibrate, calibration_bytes
from compliance.catalogue import load_catalogue
from compliance.documents import load_document
from compliance.effort import asked_controls
from compliance.judge_file import JudgeFile, load_judge_file
from compliance.limitations import STAND_IN_MODEL
from compliance.llm.fake import FakeModel, transport
from compliance.llm.panel import open_panel
from compliance.llm.stand_in import stand_in
from compliance.measuring import measure
from reports.model import Effort

FOLDER = "reader"
"""Below the folder of the system: `judge.toml`, `calibration.json` and the recording."""
ROLES = ("provider", "controller")
"""Of both systems."""


@dataclass(frozen=True)
class Occasion:
    """The audit that the recording is made for: another one would ask other questions."""

    on: date
    """Its day."""
    effort: Effort
    """How much it asks."""


def write_reader(written: SystemFolder, document: str, occasion: Occasion) -> None:
    """Write judge file, calibration and a recording of everything that an audit on that occasion asks of a document.

    Args:
        written: The folder of the system.
        document: Path of its technical documentation, which is written already.
        occasion: The audit.
    """
    on, effort = occasion.on, occasion.effort
    place = written.place(FOLDER)
    written.text(f"{FOLDER}/judge.toml", rendered("judge.toml", {"model": STAND_IN_MODEL}))
    judge_file = load_judge_file(place / "judge.toml")
    calibration = asyncio.run(_calibrated(judge_file, place, on))
    (place / "calibration.json").write_bytes(calibration_bytes(calibration))
    catalogue = load_catalogue(None, on)
    assigned = Assignment(
        documents=(load_document(place.parent / document, classification="internal", name=document),),
        controls=asked_controls(catalogue, ROLES, effort),
        catalogue=catalogue,
        on=on,
        effort=effort,
    )
    recorded = Readership(judge_file, place, mode="record", cassette=written.folder(f"{FOLDER}/recording"))
    assessed(assigned, recorded, transport=transport(FakeModel(stand_in)))


async def _calibrated(judge_file: JudgeFile, place: Path, on: date) -> Calibration:
    """Return how well the script agrees with the experts on the shipped excerpts."""
    dataset = shipped_dataset()
    opened = open_panel(
        judge_file, place, consent=(), classification="public", mode="off", transport=transport(FakeModel(stand_in))
    )
    async with opened as panel:
        found = await measure(dataset, panel, samples=1, seed=judge_file.seed)
    return calibrate(
        dataset,
        found.scores,
        on=on,
        rng=np.random.default_rng(judge_file.seed),
        rater=found.rater,
        raters=found.raters,
        fingerprint=found.fingerprint,
        invalid=found.invalid,
    )
