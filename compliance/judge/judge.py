"""The judge: every duty is put to every document, with controls on the reader beside it, and answers become readings.

    planted excerpts ─┐
    decoy duties ─────┼─▶ panel ─▶ samples ─▶ parts ─▶ members ─▶ Assessed, one for each duty and document
    duties × parts ───┘

What is asked, and in which words, depends on ids, digests and the seed alone: neither the order of the duties nor the
concurrency changes a byte.
"""

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from compliance.assessment import Assessed
from compliance.assessment_records import DecoyRecord, PlantedRecord
from compliance.catalogue import Control
from compliance.documents import Document
from compliance.errors import ComplianceError, JudgeFileError
from compliance.judge.decoy_reading import DecoyReading
from compliance.judge.member import MemberReading, read_document
from compliance.judge.parts import largest_part
from compliance.judge.prompt import Duty, prompt_tokens
from compliance.judge.reader_controls import read_controls
from compliance.judge.scope import Calibrated, Reader, Scope
from compliance.judge.shown import ShownPart, shown
from compliance.judge.summary import agreement_of_members, never_put, readers, stopped_by
from compliance.judge.verdict import Doubts, verdict
from compliance.judge.wording import official_wording

if TYPE_CHECKING:
    from compliance.llm.panel import Panel

__all__ = ["Judged", "assess", "duty_of", "natural_order"]

_NUMBERS = re.compile(r"(\d+)")


@dataclass(frozen=True)
class Judged:
    """Everything that was read."""

    assessments: tuple[Assessed, ...]
    """By duty, then by document."""
    planted: tuple[PlantedRecord, ...]
    """The reader's controls."""
    decoys: tuple[DecoyRecord, ...]
    """One for each document that has a text."""
    readers: tuple[Reader, ...]
    """One for each member."""
    uncovered: Mapping[str, int]
    """By path: characters that were not put to every member for every duty."""
    panel_alpha: float | None
    """Krippendorff's alpha (ordinal) of the members' scores; None where there is none."""
    errors: tuple[ComplianceError, ...]
    """What stopped questions, each once."""


def duty_of(control: Control, law_version: str) -> Duty:
    """Return a control as a reader is asked about it."""
    citations = [str(citation) for citation in control.citations]
    return Duty(control.id, control.text, ", ".join(citations), official_wording(citations, law_version))


def natural_order(control: str) -> tuple[tuple[int, int, str], ...]:
    """Return a key that sorts `EU-AIA:9(1)` before `EU-AIA:10(1)`."""
    return tuple(
        (0, int(piece), "") if piece.isdigit() else (1, 0, piece) for piece in _NUMBERS.split(control) if piece
    )


async def assess(
    documents: Sequence[Document],
    controls: Sequence[Control],
    panel: "Panel",
    *,
    samples: int,
    seed: int,
    scope: Scope,
) -> Judged:
    """Return what the panel reads in the documents.

    Args:
        documents: With their text; paths differ.
        controls: The duties to ask about; their order changes nothing.
        panel: Who reads.
        samples: How often each question is asked.
        seed: Of the words that mark a document, of the planted excerpts and of the decoys.
        scope: Under which law, with which controls on the reader.

    Raises:
        JudgeFileError: `judge.context`, the context leaves no room for a document.
    """
    asked = sorted(controls, key=lambda control: natural_order(control.id))
    duties = [duty_of(control, scope.law_version) for control in asked]
    listed = sorted(documents, key=lambda document: document.path)
    largest = _largest(panel, duties)
    parts = {one.path: shown(one, largest, every_part=scope.every_part) for one in listed}
    controlled = await read_controls(panel.members, listed, parts, duties, scope, samples=samples, seed=seed)
    planted, decoys = controlled.planted, controlled.decoys
    readings = await asyncio.gather(
        *(
            _read(panel, duty, document, parts[document.path], samples=samples, seed=seed)
            for duty in duties
            for document in listed
        )
    )
    heard = readers([member.name for member in panel.members], planted, decoys, readings)
    led = {decoy.document: decoy for decoy in decoys}
    sound = bool(planted.readings) and all(one.ok for one in planted.readings)
    calibrated = scope.calibrated(heard)
    lines = [
        verdict(control.id, document, members, _doubts(control, document, calibrated, led.get(document.path), sound))
        for (control, document), members in zip(
            ((control, document) for control in asked for document in listed), readings, strict=True
        )
    ]
    return Judged(
        tuple(lines),
        tuple(one.record() for one in planted.readings),
        tuple(decoy.record() for decoy in decoys),
        heard,
        never_put(listed, readings),
        agreement_of_members(readings),
        stopped_by(planted, decoys, readings),
    )


async def _read(
    panel: "Panel", duty: Duty, document: Document, parts: Sequence[ShownPart], *, samples: int, seed: int
) -> Sequence[MemberReading]:
    each = (read_document(one, duty, document.sha256, parts, samples=samples, seed=seed) for one in panel.members)
    return await asyncio.gather(*each)


def _doubts(
    control: Control, document: Document, calibrated: Calibrated, decoy: DecoyReading | None, sound: bool
) -> Doubts:
    return Doubts(
        calibrated.radius,
        uncalibrated=not calibrated.measured_for(control, document),
        steered=decoy is not None and decoy.steered,
        control_failed=not sound or decoy is None or not decoy.complete,
    )


def _largest(panel: "Panel", duties: Iterable[Duty]) -> int:
    """Return the characters of a part: what fits beside the longest duty for every member."""
    needed = max((prompt_tokens(duty) for duty in duties), default=0)
    try:
        return min(largest_part(one.settings.context_tokens, one.settings.max_tokens, needed) for one in panel.members)
    except ValueError as error:
        raise JudgeFileError("judge.context", f"context_tokens: {error}", "Raise context_tokens.") from error
