"""A document that does not fit a model's context is cut into parts, and every part is asked about.

Cut at the borders of sections, else of paragraphs, else of lines, else hard; neighbours overlap, so that a sentence at
a border is whole in one of them. Nothing is left out.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from compliance.judge.prompt import CHARACTERS_PER_TOKEN

__all__ = ["Part", "cut", "largest_part", "uncovered"]

OVERLAP = 200
"""Characters that two neighbouring parts share."""
PROMPT_TOKENS = 1500
"""Room for everything but the part, unless a duty with its official wording needs more."""


@dataclass(frozen=True)
class Part:
    """A slice of a document's text."""

    index: int
    """0 first."""
    start: int
    """First character."""
    end: int
    """One past the last character."""
    text: str
    """What lies between."""


def largest_part(context_tokens: int, max_tokens: int, prompt_tokens: int = 0) -> int:
    """Return how many characters of a document fit beside prompt and answer, by the worst case of 3 to a token.

    Raises:
        ValueError: fewer than twice the overlap; the message says how many tokens of context that needs.
    """
    reserved = max(PROMPT_TOKENS, prompt_tokens) + max_tokens
    characters = CHARACTERS_PER_TOKEN * (context_tokens - reserved)
    if characters < 2 * OVERLAP:
        least = reserved + -(-2 * OVERLAP // CHARACTERS_PER_TOKEN)
        raise ValueError(f"a context of {context_tokens} tokens leaves no room for a document; it takes {least}")
    return characters


def cut(text: str, borders: Iterable[int], largest: int) -> tuple[Part, ...]:
    """Return the parts of a text, in order; together they cover every character.

    Args:
        text: The whole text; an empty one has one empty part.
        borders: Where sections begin.
        largest: Characters of a part at most; at least twice the overlap.
    """
    sections = sorted(borders)
    parts: list[Part] = []
    start = 0
    while len(text) - start > largest:
        end = _end(text, sections, start + largest // 2, start + largest)
        parts.append(Part(len(parts), start, end, text[start:end]))
        start = end - OVERLAP
    parts.append(Part(len(parts), start, len(text), text[start:]))
    return tuple(parts)


def uncovered(length: int, covered: Iterable[Part]) -> int:
    """Return how many of `length` characters lie in none of the parts."""
    reached = total = 0
    for part in sorted(covered, key=lambda one: one.start):
        total += max(0, part.end - max(reached, part.start))
        reached = max(reached, part.end)
    return length - total


def _end(text: str, sections: Sequence[int], least: int, most: int) -> int:
    """Return where a part ends: the last border after `least` and not beyond `most`, of the best kind there is.

    Borders in the first half are passed over, or many short sections would make many short parts.
    """
    if at := [border for border in sections if least < border <= most]:
        return at[-1]
    for mark in ("\n\n", "\n", " "):
        found = text.rfind(mark, least, most)
        if found > least:
            return found + len(mark)
    return most
