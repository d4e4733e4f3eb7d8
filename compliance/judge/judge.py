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

from compliance.aggregate import lower_median
from compliance.assessment import Assessed
from compliance.assessment_records import DecoyRecord, PlantedRecord
from compliance.catalogue import Control
from compliance.documents import Document
from compliance.errors import ComplianceError, JudgeFileError
from compliance.judge.decoy_reading import DecoyReading, read_decoy
from compliance.judge.manner import Manner
from compliance.judge.member import MemberReading, read_document
from compliance.judge.parts import largest_part, uncovered
from compliance.judge.planted import ItemReading, Planted, draw_planted, read_items
from compliance.judge.prompt import Duty, prompt_tokens
from compliance.judge.reading_of_one import DocumentDoubts, assessed
from compliance.judge.shown import ShownPart, shown
from compliance.judge.wording import official_wording

if TYPE_CHECKING:
    from compliance.aireg import Item
    from compliance.llm.panel import Panel, PanelMember

__all__ = ["Judged", "assess", "duty_of", "natural_order"]

_DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True)
class Judged:
    """Everything that was read."""

    assessments: tuple[Assessed, ...]
    """By duty, then by document."""
    planted: tuple[PlantedRecord, ...]
    """The reader's controls."""
    decoys: tuple[DecoyRecord, ...]
    """One for each document that has a text."""
    uncovered: Mapping[str, int]
    """By path: characters that were not put to every member for every duty."""
    panel_alpha: float | None
    """Krippendorff's alpha (ordinal) of the members' scores; None where there is none."""
    errors: tuple[ComplianceError, ...]
    """What stopped questions, each once."""


async def assess(
    documents: Sequence[Document], controls: Sequence[Control], panel: "Panel", *, samples: int, seed: int, manner: Manner
) -> Judged:
    """Return what the panel reads in the documents.

    Args:
        documents: With their text.
        controls: The duties to ask about; their order changes nothing.
        panel: Who reads.
        samples: How often each question is asked.
        seed: Of the words that mark a document, of the planted excerpts and of the decoys.
        manner: Under which law, with which controls on the reader.

    Raises:
        JudgeFileError: `judge.context`, the context leaves no room for a document.
        EgressRefused: a question would go where nobody allowed.
    """
    duties = {one.id: duty_of(one, manner.law_version) for one in sorted(controls, key=lambda one: natural_order(one.id))}
    listed = sorted(documents, key=lambda document: document.path)
    parts = {one.path: shown(one, _largest(panel, duties.values()), every_part=manner.every_part) for one in listed}
    drawn = draw_planted(manner.items, _articles(controls), pairs=manner.pairs, seed=seed) if manner.pairs else ()
    excerpts = [item for pair in drawn for item in pair]
    read_with = {"samples": samples, "seed": seed}
    with_text = [one for one in listed if parts[one.path]]
    # in this order, so that a budget that ends leaves out duties and not the controls on the reader
    planted, decoys, readings = await asyncio.gather(
        asyncio.gather(*(read_items(member, excerpts, **read_with) for member in panel.members)),
        asyncio.gather(*(read_decoy(panel.members, one, parts[one.path], **read_with) for one in with_text if manner.pairs)),
        asyncio.gather(
            *(
                _members(panel.members, duty, one, parts[one.path], samples, seed)
                for duty in duties.values()
                for one in listed
            )
        ),
    )
    return _judged(listed, controls, manner, excerpts, planted, decoys, readings, parts)
