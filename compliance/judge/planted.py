"""Excerpts that legal experts have scored, read like any document: a reader's positive and negative control.

A reader that finds nothing wrong with an excerpt the experts found wanting says "no gap" of nothing. The same question
is asked for a calibration: the duty is the whole article, in the words of 2024, as the experts had it.
"""

import asyncio
import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from compliance.aggregate import lower_median
from compliance.aireg import ARTICLES, Item
from compliance.assessment_records import PlantedRecord
from compliance.errors import CalibrationError, ComplianceError
from compliance.judge.parts import largest_part
from compliance.judge.prompt import Duty, prompt_tokens
from compliance.judge.question import Question, SampleStatus, ask_samples
from compliance.judge.wording import article_wording
from reports.canonical import canonical_json

if TYPE_CHECKING:
    from compliance.llm.panel import PanelMember

__all__ = [
    "ItemReading",
    "Planted",
    "PlantedReadings",
    "article_duty",
    "draw_planted",
    "gap_item",
    "read_items",
    "read_planted",
    "sound_items",
]

GAP_AT_MOST, SOUND = 2, 5
"""Experts' median of an excerpt with a planted gap at most, and of a sound one."""
_SUBJECTS = {
    9: "A risk management system for the whole life of the AI system, with tested and documented measures",
    10: "Governance and quality of the data that the AI system is trained, validated and tested with",
    12: "Automatic recording of events while the AI system works",
    14: "Oversight of the AI system by people who can understand, override and stop it",
    15: "Accuracy, robustness and cybersecurity of the AI system, declared and kept up",
}


@dataclass(frozen=True)
class ItemReading:
    """What one member said of one excerpt."""

    id: str
    """Of the excerpt."""
    score: int | None
    """1 to 5, the lower median of the samples; None without an answer."""
    status: SampleStatus
    """Whether there is an answer."""
    error: ComplianceError | None = None
    """What stopped the question, where something did."""
    reply_models: frozenset[str] = frozenset()
    """The model's names in the replies."""
    system_fingerprints: frozenset[str] = frozenset()
    """What the server says of itself, where it does."""


@dataclass(frozen=True)
class Planted:
    """One planted excerpt and how it was read."""

    id: str
    """Of the excerpt."""
    expected: Literal["gap", "sound"]
    """What the experts found."""
    score: int | None
    """What the reader gave."""

    @property
    def ok(self) -> bool:
        """Whether the reading does not contradict the experts: no 4 or 5 for a gap, no 1 or 2 for a sound one."""
        if self.score is None:
            return False
        return self.score < 4 if self.expected == "gap" else self.score > 2

    def record(self) -> PlantedRecord:
        """Return it as an assessment keeps it."""
        return PlantedRecord(id=self.id, expected=self.expected, score=self.score, ok=self.ok)


@dataclass(frozen=True)
class PlantedReadings:
    """What the panel and each member said of the planted excerpts."""

    readings: tuple[Planted, ...]
    """One for each excerpt: the lower median of the members; no score where one has none."""
    by_member: Mapping[str, tuple[ItemReading, ...]]
    """By name of the member."""


def article_duty(article: int) -> Duty:
    """Return the whole article as a duty, in the wording that the experts had before them."""
    return Duty(
        f"EU-AIA:{article}",
        f"{_SUBJECTS[article]}: everything that the article asks of the provider of a high-risk AI system.",
        f"Regulation (EU) 2024/1689, Article {article}",
        article_wording(article),
    )


def draw_planted(
    items: Sequence[Item], articles: Collection[int], *, pairs: int, seed: int
) -> tuple[tuple[Item, Item], ...]:
    """Return pairs of an excerpt with a gap and a sound one, one pair for each article that is asked about.

    Args:
        items: Excerpts with their texts and the experts' medians.
        articles: Those asked about; where experts scored none of them, one article is drawn.
        pairs: At most so many; which articles, is drawn too.
        seed: The draw depends on it and on the ids alone, so the order of the items changes nothing.
    """
    scored = [article for article in ARTICLES if article in articles]
    drawn = sorted(scored or ARTICLES, key=lambda article: _lot(seed, str(article)))
    chosen = sorted(drawn[: min(pairs, len(scored) or 1)])
    return tuple(
        (_drawn(items, article, seed, sound=False), _drawn(items, article, seed, sound=True)) for article in chosen
    )


def gap_item(items: Sequence[Item], article: int, seed: int) -> Item:
    """Return the excerpt with a gap that is drawn for an article: the one of its planted pair."""
    return _drawn(items, article, seed, sound=False)


def sound_items(items: Sequence[Item], article: int) -> tuple[Item, ...]:
    """Return the excerpts of an article in which the experts found no gap, in the order of their ids."""
    found = (item for item in items if item.article == article and item.text and item.reference == SOUND)
    return tuple(sorted(found, key=lambda item: item.id))


def _drawn(items: Sequence[Item], article: int, seed: int, *, sound: bool) -> Item:
    fitting = [
        item
        for item in items
        if item.article == article
        and item.text is not None
        and (item.reference == SOUND if sound else item.reference <= GAP_AT_MOST)
    ]
    return min(fitting, key=lambda item: _lot(seed, item.id))


def _lot(seed: int, name: str) -> bytes:
    return hashlib.sha256(canonical_json(["planted", seed, name])).digest()


async def read_items(
    panel_member: "PanelMember", items: Sequence[Item], *, samples: int, seed: int
) -> tuple[ItemReading, ...]:
    """Return one reading for each excerpt, in their order: the same prompt, form and settings as for a duty.

    The score is what the reader gave, whether or not its quotes can be found: that is what experts' scores are held
    against. An excerpt without an answer has none; more than half of the samples must have answered.

    Args:
        panel_member: Who reads.
        items: Excerpts with their text, of the articles 9, 10, 12, 14 or 15.
        samples: How often each is asked.
        seed: Of the words that mark the excerpt.

    Raises:
        CalibrationError: `calibration.no_text`, an item has no text, or is longer than the reader's context.
    """
    return tuple(await asyncio.gather(*(_read(panel_member, item, samples, seed) for item in items)))


async def read_planted(
    members: Sequence["PanelMember"], pairs: Sequence[tuple[Item, Item]], *, samples: int, seed: int
) -> PlantedReadings:
    """Return how a panel reads pairs of an excerpt with a gap and a sound one."""
    items = [item for pair in pairs for item in pair]
    found = await asyncio.gather(*(read_items(one, items, samples=samples, seed=seed) for one in members))
    readings: list[Planted] = []
    for position, item in enumerate(items):
        scores = [score for one in found if (score := one[position].score) is not None]
        expected: Literal["gap", "sound"] = "gap" if position % 2 == 0 else "sound"
        readings.append(Planted(item.id, expected, lower_median(scores) if len(scores) == len(members) else None))
    return PlantedReadings(tuple(readings), {member.name: one for member, one in zip(members, found, strict=True)})


async def _read(member: "PanelMember", item: Item, samples: int, seed: int) -> ItemReading:
    if item.text is None:
        raise CalibrationError(
            "calibration.no_text", f"{item.id}: has no text to be read", "Take a data set with texts."
        )
    duty = article_duty(item.article)
    largest = largest_part(member.settings.context_tokens, member.settings.max_tokens, prompt_tokens(duty))
    if len(item.text) > largest:
        told = f"{item.id}: has {len(item.text)} characters; the context leaves room for {largest}"
        raise CalibrationError("calibration.context", told, "Raise context_tokens, or plant no excerpt (--planted 0).")
    sha256 = hashlib.sha256(item.text.encode()).hexdigest()
    found = await ask_samples(member, Question(duty, sha256, 0, item.text), samples=samples, seed=seed)
    scores = [sample.answer.score for sample in found if sample.answer is not None]
    status: SampleStatus = "answered"
    if 2 * len(scores) <= samples:
        status = "not_asked" if any(sample.status == "not_asked" for sample in found) else "invalid_output"
    return ItemReading(
        item.id,
        lower_median(scores) if status == "answered" else None,
        status,
        next((sample.error for sample in found if sample.error is not None), None),
        frozenset(sample.reply_model for sample in found if sample.reply_model),
        frozenset(sample.system_fingerprint for sample in found if sample.system_fingerprint),
    )
