"""One member of the panel reads one document for one duty: every part, k samples each, merged.

A part that was not asked about, or has no answer in more than half of its samples, leaves the whole without an answer.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from compliance.aggregate import Merged, merge_parts, merge_samples
from compliance.assessment import SampleRecord
from compliance.errors import ComplianceError
from compliance.judge.counted import Counted, count
from compliance.judge.differential import moved
from compliance.judge.prompt import Duty
from compliance.judge.question import Question, Sample, SampleStatus, Variant, ask_samples
from compliance.judge.shown import ShownPart
from compliance.quotes import Quote

if TYPE_CHECKING:
    from compliance.llm.panel import PanelMember

__all__ = ["Heard", "MemberReading", "PartReading", "read_document"]


@dataclass(frozen=True)
class Heard:
    """A sample, and what it counts for."""

    sample: Sample
    """As it came."""
    counted: Counted | None
    """None where there is no answer."""


@dataclass(frozen=True)
class PartReading:
    """What one member said of one part, with and without flagged words."""

    shown: ShownPart
    """The part."""
    heard: tuple[Heard, ...]
    """The samples that count."""
    flattered: tuple[Heard, ...]
    """Those with everything that may steer; none where the part has nothing of the kind."""

    @property
    def merged(self) -> Merged | None:
        """Its one answer, or None."""
        return _merged(self.heard)

    @property
    def steered(self) -> bool:
        """Whether the flagged words speak for the document."""
        clean, flattered = self.merged, _merged(self.flattered)
        return clean is not None and flattered is not None and moved(clean, flattered)

    @property
    def status(self) -> SampleStatus:
        """Whether there is an answer to every version that was to be asked about."""
        if any(one.sample.status == "not_asked" for one in (*self.heard, *self.flattered)):
            return "not_asked"
        tried = [self.heard, self.flattered] if self.flattered else [self.heard]
        return "answered" if all(_merged(heard) is not None for heard in tried) else "invalid_output"


@dataclass(frozen=True)
class MemberReading:
    """What one member said of one document and one duty."""

    member: str
    """Who."""
    parts: tuple[PartReading, ...]
    """Every part, in order."""

    @property
    def status(self) -> SampleStatus:
        """Whether there is an answer."""
        found = {part.status for part in self.parts}
        return "not_asked" if "not_asked" in found else "invalid_output" if "invalid_output" in found else "answered"

    @property
    def merged(self) -> Merged | None:
        """The one answer; None unless every part has one, and there is a part."""
        found = [merged for part in self.parts if (merged := part.merged) is not None]
        return merge_parts(found) if found and self.status == "answered" else None

    @property
    def steered(self) -> bool:
        """Whether flagged words of any part speak for the document."""
        return any(part.steered for part in self.parts)

    @property
    def errors(self) -> tuple[ComplianceError, ...]:
        """What stopped questions."""
        every = (one.sample for part in self.parts for one in (*part.heard, *part.flattered))
        return tuple(sample.error for sample in every if sample.error is not None)

    def records(self) -> Iterator[SampleRecord]:
        """Yield every sample as an assessment keeps it."""
        for part in self.parts:
            texts = part.shown.versions
            yield from (self._record(part, one, texts.counted_as) for one in part.heard)
            yield from (self._record(part, one, texts.flattering_as) for one in part.flattered)

    def founded_on(self, answer: str) -> Iterator[Quote]:
        """Yield the quotes of the samples that gave an answer."""
        for counted in self._counted():
            if counted.verdict.answer == answer:
                yield from counted.quotes

    @property
    def rejected(self) -> int:
        """Quotes that were dropped."""
        return sum(counted.rejected for counted in self._counted())

    @property
    def unfounded(self) -> bool:
        """Whether an answer lost all its quotes."""
        return any(counted.unfounded for counted in self._counted())

    def gaps(self) -> Iterator[str]:
        """Yield what is missing, in the model's words."""
        for counted in self._counted():
            yield from counted.gaps

    def _counted(self) -> Iterator[Counted]:
        for part in self.parts:
            yield from (one.counted for one in part.heard if one.counted is not None)

    def _record(self, part: PartReading, heard: Heard, variant: Variant) -> SampleRecord:
        verdict = None if heard.counted is None else heard.counted.verdict
        return SampleRecord(
            member=self.member,
            sample=heard.sample.index,
            part=part.shown.part.index,
            variant=variant,
            status=heard.sample.status,
            answer=None if verdict is None else verdict.answer,
            score=None if verdict is None else verdict.score,
            rung=heard.sample.rung,
            key=heard.sample.key,
        )


async def read_document(
    member: "PanelMember", duty: Duty, document_sha256: str, parts: Sequence[ShownPart], *, samples: int, seed: int
) -> MemberReading:
    """Return what one member says of every part of a document, k times, and k times more where words may steer it."""

    async def read(one: ShownPart) -> PartReading:
        texts, index = one.versions, one.part.index
        questions = [Question(duty, document_sha256, index, texts.counted, texts.counted_as)]
        if texts.flattering is not None:
            questions.append(Question(duty, document_sha256, index, texts.flattering, texts.flattering_as))
        asked = [ask_samples(member, question, samples=samples, seed=seed) for question in questions]
        clean, *flattered = [_heard(found, one) for found in await asyncio.gather(*asked)]
        return PartReading(one, clean, flattered[0] if flattered else ())

    return MemberReading(member.name, tuple(await asyncio.gather(*(read(one) for one in parts))))


def _heard(samples: Sequence[Sample], shown: ShownPart) -> tuple[Heard, ...]:
    return tuple(Heard(sample, None if sample.answer is None else count(sample.answer, shown)) for sample in samples)


def _merged(heard: Sequence[Heard]) -> Merged | None:
    verdicts = [one.counted.verdict for one in heard if one.counted is not None]
    return merge_samples(verdicts) if 2 * len(verdicts) > len(heard) else None
