"""Asks about the decoy of a document, part by part: a reader who finds it met was steered."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from compliance.assessment_records import DecoyRecord
from compliance.errors import ComplianceError
from compliance.judge.answer import JudgeAnswer
from compliance.judge.decoy import decoys_for, favourable, steered
from compliance.judge.question import Question, Sample, ask_samples
from compliance.judge.shown import ShownPart

if TYPE_CHECKING:
    from compliance.documents import Document
    from compliance.llm.panel import PanelMember

__all__ = ["DecoyReading", "read_decoy"]


@dataclass(frozen=True)
class DecoyReading:
    """What was said of a duty that the document cannot meet."""

    document: str
    """Its path."""
    duty: str
    """Of the shipped list."""
    samples: tuple[Sample, ...]
    """Of all members and parts."""

    @property
    def answers(self) -> tuple[JudgeAnswer, ...]:
        """Those that came in form."""
        return tuple(sample.answer for sample in self.samples if sample.answer is not None)

    @property
    def steered(self) -> bool:
        """Whether any answer found the duty met."""
        return any(steered(answer) for answer in self.answers)

    @property
    def complete(self) -> bool:
        """Whether every question was answered; else the document was not cleared."""
        return len(self.answers) == len(self.samples)

    @property
    def errors(self) -> tuple[ComplianceError, ...]:
        """What stopped questions."""
        return tuple(sample.error for sample in self.samples if sample.error is not None)

    def record(self) -> DecoyRecord:
        """Return it as an assessment keeps it; without an answer where questions were left open and none was led."""
        most = sorted((one.answer for one in self.answers), key=favourable)[-1:]
        answer = most[0] if most and (self.complete or self.steered) else None
        return DecoyRecord(document=self.document, duty=self.duty, answer=answer, ok=not self.steered)


async def read_decoy(
    members: Sequence["PanelMember"],
    document: "Document",
    parts: Sequence[ShownPart],
    *,
    samples: int,
    seed: int,
    places: Sequence[str] = (),
) -> DecoyReading:
    """Return what all members say of the document's decoy, cited at each place, with every part as it was written."""
    duties = decoys_for(document.sha256, seed, places)
    asked = [
        ask_samples(member, Question(duty, document.sha256, one.part.index, one.part.text), samples=samples, seed=seed)
        for duty in duties
        for member in members
        for one in parts
    ]
    found = await asyncio.gather(*asked)
    return DecoyReading(document.path, duties[0].id, tuple(sample for samples_ in found for sample in samples_))
