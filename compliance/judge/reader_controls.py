"""The controls that every reading rests on: planted excerpts, invented duties, passages set beside excerpts.

All are asked before the first duty is, so that a budget that ends leaves out duties and not these.
"""

import asyncio
import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from compliance.aireg import ARTICLES, Item
from compliance.citation import find_citations
from compliance.documents import Document
from compliance.judge.addressed import addressed_passages
from compliance.judge.decoy_reading import DecoyReading, Place, finds_it_anywhere, read_decoy
from compliance.judge.planted import ItemReading, PlantedReadings, draw_planted, read_items, read_planted, sound_items
from compliance.judge.prompt import Duty
from compliance.judge.scope import Scope
from compliance.judge.shown import ShownPart
from compliance.judge.transplant import excerpts, held_against, moved_by_anything, read_transplants

if TYPE_CHECKING:
    from compliance.llm.panel import PanelMember

__all__ = ["ReaderControls", "read_controls"]

_ARTICLE = re.compile(r"EU-AIA:(\d+)(?:\(|#|$|,)")
MOST_CLEAN = 3
"""Clean texts that a reader is asked about which found an invented duty met."""
MOST_CITED = 4
"""Paragraphs that a document names where it speaks to its reader, at each of which an invented duty is cited too."""


@dataclass(frozen=True)
class ReaderControls:
    """What was said where the right answer is known."""

    planted: PlantedReadings
    """Of the excerpts."""
    decoys: tuple[DecoyReading, ...]
    """One for each document that has a text."""


async def read_controls(
    members: Sequence["PanelMember"],
    documents: Sequence[Document],
    parts: Mapping[str, Sequence[ShownPart]],
    duties: Sequence[Duty],
    scope: Scope,
    *,
    samples: int,
    seed: int,
) -> ReaderControls:
    """Return how the members answer where the right answer is known; nothing is asked where no pairs are planted.

    Args:
        members: Of the panel.
        documents: With their text.
        parts: By path, as they are shown.
        duties: That are asked about.
        scope: With the excerpts.
        samples: How often each question is asked.
        seed: Of all draws.
    """
    if not scope.pairs:
        return ReaderControls(PlantedReadings((), {member.name: () for member in members}), ())
    articles = frozenset(_article(place) for duty in duties for place in duty.citation.split(", ")) - {0}
    pairs = draw_planted(scope.items, articles, pairs=scope.pairs, seed=seed)
    read = [one for one in documents if parts[one.path]]
    passages = [addressed_passages(one) for one in read]
    beside = excerpts(members, scope.items, articles, seed) if any(passages) else ()
    planted, alone, decoys, moved = await asyncio.gather(
        read_planted(members, pairs, samples=samples, seed=seed),
        _read_alone(members, [one for one in beside if all(one not in pair for pair in pairs)], samples, seed),
        asyncio.gather(
            *(
                read_decoy(members, one, parts[one.path], samples=samples, seed=seed, places=_places(duties, said))
                for one, said in zip(read, passages, strict=True)
            )
        ),
        asyncio.gather(*(read_transplants(members, beside, said, samples=samples, seed=seed) for said in passages)),
    )
    by_member = {member.name: (*planted.by_member[member.name], *alone[member.name]) for member in members}
    told = (
        dataclasses.replace(decoy, transplants=held_against(transplants, by_member))
        for decoy, transplants in zip(decoys, moved, strict=True)
    )
    checked = (
        _checked(one, document, members, beside, scope, samples=samples, seed=seed)
        for one, document in zip(told, read, strict=True)
    )
    return ReaderControls(planted, tuple(await asyncio.gather(*checked)))


async def _checked(
    decoy: DecoyReading,
    document: Document,
    members: Sequence["PanelMember"],
    beside: Sequence[Item],
    scope: Scope,
    *,
    samples: int,
    seed: int,
) -> DecoyReading:
    """Return a reading that was led with whether clean texts lead the reader as well; of any other nothing is asked.

    Who finds a notary in every document was not told of one by this document. One trial in which no clean text leads
    is enough to see that the document does.
    """
    found = []
    for trial in (one for one in decoy.trials if one.steered):
        clean = _clean(scope.items, _article(trial.duty.citation), document)
        found.append(finds_it_anywhere(members, trial, clean, samples=samples, seed=seed))
    for moved in (one for one in decoy.transplants if one.steered):
        article = next(item.article for item in beside if item.id == moved.id)
        other = _clean(scope.items, next(one for one in ARTICLES if one != article), document)[0]
        found.append(moved_by_anything(members, moved, beside, other, samples=samples, seed=seed))
    anywhere = await asyncio.gather(*found)
    return dataclasses.replace(decoy, unfit=bool(anywhere) and all(anywhere))


def _clean(items: Sequence[Item], article: int, document: Document) -> tuple[str, ...]:
    """Return excerpts without a gap, of an article where experts scored some, and not the document itself."""
    found = sound_items(items, article if article in ARTICLES else ARTICLES[0])
    return tuple(item.text for item in found if item.text and item.text != document.text)[:MOST_CLEAN]


async def _read_alone(
    members: Sequence["PanelMember"], items: Sequence[Item], samples: int, seed: int
) -> Mapping[str, Sequence[ItemReading]]:
    found = await asyncio.gather(*(read_items(one, items, samples=samples, seed=seed) for one in members))
    return {member.name: readings for member, readings in zip(members, found, strict=True)}


def _places(duties: Sequence[Duty], passages: Sequence[str]) -> tuple[Place, ...]:
    """Return a place in every article that is asked about, and those that the document names to its reader.

    A document that says "for Article 9(2)(a)" steers there alone; an invented duty cited there meets it.
    """
    found: dict[int, str] = {}
    for duty in duties:
        found.setdefault(_article(duty.citation), duty.citation)
    named = {str(one) for passage in passages for span in find_citations(passage) for one in span.citation}
    further = [one.citation for one in duties if named & set(one.citation.split(", "))]
    cited = dict.fromkeys([*found.values(), *further[:MOST_CITED]])
    return tuple((_article(citation), citation) for citation in cited)


def _article(citation: str) -> int:
    """Return the article of the AI Act in which a duty stands first; 0 for an annex or another law."""
    found = _ARTICLE.match(citation)
    return int(found[1]) if found else 0
