"""Put the items that experts rated to a reader, as documents are put to it: what it gave, and which reader it was."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from compliance.aggregate import lower_median
from compliance.aireg import Dataset
from compliance.errors import ComplianceError
from compliance.fingerprint import Fingerprint, panel_fingerprint, reader_fingerprint
from compliance.judge.planted import ItemReading, read_items

if TYPE_CHECKING:
    from compliance.llm.panel import Panel, PanelMember

__all__ = ["Measured", "measure"]


@dataclass(frozen=True)
class Measured:
    """The scores of one reader, which may be a panel."""

    rater: str
    """The model, or the models of the panel."""
    scores: Mapping[str, int | None]
    """By item; of a panel the lower median of its members, None unless all answered."""
    raters: Mapping[str, Mapping[str, int | None]]
    """The same for each member."""
    invalid: frozenset[str]
    """Items that somebody answered in no form that can be used."""
    not_asked: frozenset[str]
    """Items that somebody was not asked about."""
    fingerprint: Fingerprint
    """Of the reader."""
    errors: tuple[ComplianceError, ...]
    """What stopped questions, each once."""


async def measure(dataset: Dataset, panel: "Panel", *, samples: int, seed: int) -> Measured:
    """Return what a panel gives each item of a data set.

    Args:
        dataset: With texts.
        panel: Who is asked.
        samples: Answers for each item and member.
        seed: Of the words that mark an item.

    Raises:
        CalibrationError: `calibration.no_text`, `calibration.context`.
        EgressRefused: a question would go where nobody allowed.
    """
    asked = (read_items(member, dataset.items, samples=samples, seed=seed) for member in panel.members)
    read = dict(zip((member.name for member in panel.members), await asyncio.gather(*asked), strict=True))
    raters = {name: {one.id: one.score for one in readings} for name, readings in read.items()}
    everything = [one for readings in read.values() for one in readings]
    not_asked = frozenset(one.id for one in everything if one.status == "not_asked")
    found = {(error.code, error.message): error for one in everything if (error := one.error) is not None}
    fingerprint = panel_fingerprint([_fingerprint(member, read[member.name], dataset) for member in panel.members])
    return Measured(
        rater=fingerprint.model,
        scores={item.id: _together([scores[item.id] for scores in raters.values()]) for item in dataset.items},
        raters=raters,
        invalid=frozenset(one.id for one in everything if one.status == "invalid_output") - not_asked,
        not_asked=not_asked,
        fingerprint=fingerprint,
        errors=tuple(found.values()),
    )


def _together(scores: list[int | None]) -> int | None:
    given = [score for score in scores if score is not None]
    return lower_median(given) if len(given) == len(scores) else None


def _fingerprint(member: "PanelMember", readings: tuple[ItemReading, ...], dataset: Dataset) -> Fingerprint:
    return reader_fingerprint(
        member.settings,
        (name for one in readings for name in one.reply_models),
        (name for one in readings for name in one.system_fingerprints),
        dataset_sha256=dataset.sha256,
    )
