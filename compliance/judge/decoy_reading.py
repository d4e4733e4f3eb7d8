"""Asks about duties of our invention, part by part, and sets the document's passages beside an excerpt of known score.

A reader that finds an invented duty met, or the excerpt better for the passages, was steered by the document.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from compliance.aggregate import Answer
from compliance.assessment_records import BESIDE, DecoyRecord
from compliance.errors import ComplianceError
from compliance.judge.answer import JudgeAnswer
from compliance.judge.decoy import decoys_for, favourable, steered
from compliance.judge.near_decoy import near_decoys_for
from compliance.judge.prompt import Duty
from compliance.judge.question import Question, Sample, ask_samples
from compliance.judge.shown import ShownPart
from compliance.judge.transplant import Transplant

if TYPE_CHECKING:
    from compliance.documents import Document
    from compliance.llm.panel import PanelMember

__all__ = ["DecoyReading", "Place", "Trial", "finds_it_anywhere", "read_decoy"]

Place = tuple[int, str]
"""An article, 0 for none of the Act, and how a duty in it is cited when it is asked about."""


@dataclass(frozen=True)
class Trial:
    """One invented duty, and what was said of it."""

    duty: Duty
    """Of the shipped lists, cited where it was asked about."""
    samples: tuple[Sample, ...]
    """Of all members and parts."""

    @property
    def answers(self) -> tuple[JudgeAnswer, ...]:
        """Those that came in form."""
        return _answers(self.samples)

    @property
    def steered(self) -> bool:
        """Whether any answer found the duty met."""
        return any(steered(answer) for answer in self.answers)


@dataclass(frozen=True)
class DecoyReading:
    """What was said of duties that the document cannot meet, and of an excerpt beside which its passages stood."""

    document: str
    """Its path."""
    trials: tuple[Trial, ...]
    """One for each invented duty; that of a lighthouse or the like is first."""
    transplants: tuple[Transplant, ...] = ()
    """One for each excerpt, member and load of passages; none where no passage speaks to a reader."""
    unfit: bool = False
    """Whether what led the reader here leads it in a clean text too: then the reader is at fault, not the document."""

    @property
    def samples(self) -> tuple[Sample, ...]:
        """All of them."""
        tried = [trial.samples for trial in self.trials] + [one.samples for one in self.transplants]
        return tuple(sample for samples in tried for sample in samples)

    @property
    def steered(self) -> bool:
        """Whether the document made the reader find what is not there."""
        return self.led and not self.unfit

    @property
    def led(self) -> bool:
        """Whether any answer found what is not there."""
        return any(trial.steered for trial in self.trials) or any(one.steered for one in self.transplants)

    @property
    def complete(self) -> bool:
        """Whether every question was answered by a reader that is fit to; else the document was not cleared."""
        read_alone = all(one.alone is not None for one in self.transplants)
        return not self.unfit and read_alone and len(_answers(self.samples)) == len(self.samples)

    @property
    def errors(self) -> tuple[ComplianceError, ...]:
        """What stopped questions."""
        return tuple(sample.error for sample in self.samples if sample.error is not None)

    def record(self) -> DecoyRecord:
        """Return it as an assessment keeps it: what led the reader, else the first duty and the kindest answer to any.

        Without an answer where questions were left open and none was led, or where the reader is at fault.
        """
        if self.unfit:
            return DecoyRecord(document=self.document, duty=self.trials[0].duty.id, answer=None, ok=True)
        led = next((trial for trial in self.trials if trial.steered), None)
        moved = next((one for one in self.transplants if one.steered), None)
        if led is None and moved is not None:
            answer = _kindest(_answers(moved.samples))
            return DecoyRecord(document=self.document, duty=f"{BESIDE}{moved.id}", answer=answer, ok=False)
        answers = led.answers if led else [answer for trial in self.trials for answer in trial.answers]
        told = _kindest(answers) if led or self.complete else None
        return DecoyRecord(document=self.document, duty=(led or self.trials[0]).duty.id, answer=told, ok=led is None)


async def read_decoy(
    members: Sequence["PanelMember"],
    document: "Document",
    parts: Sequence[ShownPart],
    *,
    samples: int,
    seed: int,
    places: Sequence[Place] = (),
) -> DecoyReading:
    """Return what all members say of invented duties, with every part as it was written.

    One is foreign to any AI system, and one at each place looks like the duties that are asked about there.
    """
    first = [place for _article, place in places[:1]]
    duties = (*decoys_for(document.sha256, seed, first), *near_decoys_for(document.sha256, seed, places))

    async def read(duty: Duty) -> Trial:
        questions = [Question(duty, document.sha256, one.part.index, one.part.text) for one in parts]
        asked = [ask_samples(member, one, samples=samples, seed=seed) for member in members for one in questions]
        return Trial(duty, tuple(sample for found in await asyncio.gather(*asked) for sample in found))

    return DecoyReading(document.path, tuple(await asyncio.gather(*map(read, duties))))


async def finds_it_anywhere(
    members: Sequence["PanelMember"], trial: Trial, clean: Sequence[str], *, samples: int, seed: int
) -> bool:
    """Tell whether readers that found an invented duty met find it met in any of some clean texts too."""
    questions = [Question(trial.duty, hashlib.sha256(one.encode()).hexdigest(), 0, one) for one in clean]
    asked = (ask_samples(member, one, samples=samples, seed=seed) for member in members for one in questions)
    return Trial(trial.duty, tuple(sample for found in await asyncio.gather(*asked) for sample in found)).steered


def _answers(samples: Sequence[Sample]) -> tuple[JudgeAnswer, ...]:
    return tuple(sample.answer for sample in samples if sample.answer is not None)


def _kindest(answers: Sequence[JudgeAnswer]) -> Answer | None:
    return max((one.answer for one in answers), key=favourable, default=None)
