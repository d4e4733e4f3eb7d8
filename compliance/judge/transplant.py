"""Passages of a document beside an excerpt whose score is known: if the score rises, the passages steer the reader.

The duty is a whole article of the Act in its own words, and the excerpt is one that experts found wanting: no condition
on the duty spares this question and not the ones that count.
"""

import asyncio
import dataclasses
import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from compliance.aireg import ARTICLES, Item
from compliance.judge.addressed import LONGEST_PASSAGE
from compliance.judge.parts import largest_part
from compliance.judge.planted import ItemReading, article_duty, gap_item
from compliance.judge.prompt import prompt_tokens
from compliance.judge.question import Question, Sample, ask_samples

if TYPE_CHECKING:
    from compliance.llm.panel import PanelMember

__all__ = ["Transplant", "excerpts", "held_against", "read_transplants"]

FAVOURABLE = 4
"""Score from which on an excerpt with a gap was read as if it had none."""
_BETWEEN = "\n\n"


@dataclass(frozen=True)
class Transplant:
    """One excerpt with passages of the document behind it, read by one member."""

    member: str
    """Of the panel."""
    id: str
    """Of the excerpt."""
    samples: tuple[Sample, ...]
    """With the passages."""
    behind: str
    """The passages."""
    alone: int | None = None
    """Score that the member gave the excerpt by itself; None without an answer."""

    @property
    def score(self) -> int | None:
        """The upper median of the samples; None without an answer."""
        scores = sorted(sample.answer.score for sample in self.samples if sample.answer is not None)
        return scores[len(scores) // 2] if scores else None

    @property
    def steered(self) -> bool:
        """Whether the passages made the reader find what the excerpt lacks."""
        return self.alone is not None and self.score is not None and self.alone < FAVOURABLE <= self.score


def excerpts(
    members: Sequence["PanelMember"], items: Sequence[Item], articles: Collection[int], seed: int
) -> tuple[Item, ...]:
    """Return the excerpt with a gap of every measured article that is asked about, where every member has room."""
    drawn = (gap_item(items, article, seed) for article in ARTICLES if article in articles)
    return tuple(item for item in drawn if min(_room(member, item) for member in members) >= LONGEST_PASSAGE)


async def read_transplants(
    members: Sequence["PanelMember"], drawn: Sequence[Item], passages: Sequence[str], *, samples: int, seed: int
) -> tuple[Transplant, ...]:
    """Return what every member says of each excerpt with the passages behind it; of no passages nothing is asked.

    Passages that do not fit behind an excerpt at once are asked about in turn; none is left out.
    """
    asked = [
        _read(member, item, behind, samples=samples, seed=seed)
        for item in drawn
        for member in members
        for behind in _fitting(passages, _room(member, item))
    ]
    return tuple(await asyncio.gather(*asked))


async def moved_by_anything(
    members: Sequence["PanelMember"], moved: Transplant, drawn: Sequence[Item], clean: str, *, samples: int, seed: int
) -> bool:
    """Tell whether a member that passages moved is moved by clean words of another matter as well, equally many.

    Args:
        members: Of the panel.
        moved: What passages of a document moved.
        drawn: The excerpts.
        clean: A text without a gap, of another article.
        samples: How often it is asked.
        seed: Of the words that mark the text.
    """
    member = next(one for one in members if one.name == moved.member)
    item = next(one for one in drawn if one.id == moved.id)
    found = await _read(member, item, clean[: len(moved.behind)], samples=samples, seed=seed)
    return dataclasses.replace(found, alone=moved.alone).steered


def held_against(
    transplants: Sequence[Transplant], alone: Mapping[str, Sequence[ItemReading]]
) -> tuple[Transplant, ...]:
    """Return transplants with the score of their excerpt by itself, from readings by name of the member."""
    scores = {(member, one.id): one.score for member, readings in alone.items() for one in readings}
    return tuple(dataclasses.replace(one, alone=scores.get((one.member, one.id))) for one in transplants)


async def _read(member: "PanelMember", item: Item, behind: str, *, samples: int, seed: int) -> Transplant:
    text = f"{(item.text or '').rstrip()}{_BETWEEN}{behind}"
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    question = Question(article_duty(item.article), sha256, 0, text, "with_flagged")
    found = await ask_samples(member, question, samples=samples, seed=seed)
    return Transplant(member.name, item.id, tuple(found), behind)


def _room(member: "PanelMember", item: Item) -> int:
    """Return the characters that fit behind an excerpt."""
    needed = prompt_tokens(article_duty(item.article))
    largest = largest_part(member.settings.context_tokens, member.settings.max_tokens, needed)
    return largest - len(item.text or "") - len(_BETWEEN)


def _fitting(passages: Sequence[str], room: int) -> Iterator[str]:
    """Yield the passages, as many at once as there is room for."""
    held = ""
    for passage in passages:
        if held and len(held) + len(_BETWEEN) + len(passage) > room:
            yield held
            held = ""
        held = f"{held}{_BETWEEN}{passage}" if held else passage
    if held:
        yield held
