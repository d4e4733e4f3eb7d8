"""Claims that are a number: where a sentence ties one to epsilon, accuracy and the like."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from compliance.claim_words import (
    ANY_NUMBER,
    BARE,
    CLIENTS,
    COUNTED,
    EXAMPLES,
    FIGURES,
    FILL,
    PAIR,
    PAIR_CONTEXT,
    Figure,
)
from compliance.quantities import Number

_ONE_OF = r"\b(?:for|of|per|to|protects|hides)\s+(?:each|every|any|an?|one|a single)\s+(?:\w+\s)?"


def _protected(whom: str) -> re.Pattern[str]:
    parts = (
        rf"\b{whom}[- ]level\b",
        rf"{_ONE_OF}{whom}\b",
        rf"\b(?:each|every|any)\s+(?:participating\s+)?{whom}\b",
        rf"\bper[- ]{whom}\b(?! clip| gradient| norm)",
        rf"\bat the level of (?:the|an?|each|every|one)(?: single)? {whom}\b",
    )
    return re.compile("|".join(parts), re.IGNORECASE)


_UNIT = {"client": _protected(CLIENTS), "example": _protected(EXAMPLES)}
_SHARE_WORDS = {"half": 0.5, "third": 1 / 3, "quarter": 0.25, "fifth": 0.2, "two thirds": 2 / 3, "three quarters": 0.75}
_SHARE = re.compile(
    rf"\b(?:one |a )?({'|'.join(_SHARE_WORDS)}) (?:of )?(?:the |all |its |our )?(?:\w+ )?{CLIENTS}\b", re.IGNORECASE
)
_RATIO = re.compile(
    rf"{ANY_NUMBER}\s+(?:out\s+)?of\s+(?:the\s+|all\s+)?{ANY_NUMBER}\s+(?:\w+\s+)?{CLIENTS}\b", re.IGNORECASE
)


class Match(NamedTuple):
    """A number that a sentence ties to a kind."""

    kind: str
    value: float
    start: int
    """Of word and number together, in the sentence."""
    end: int
    used: tuple[int, ...]
    """Starts of the numbers that it is made of; none where it is said in words."""

    @property
    def number(self) -> int | None:
        """Start of its number."""
        return self.used[0] if self.used else None


def masked(sentence: str, numbers: Sequence[Number]) -> str:
    """Return the sentence with its numbers masked; a percent sign belongs to its number."""
    letters = [" " if letter in (BARE, FILL, COUNTED) else letter for letter in sentence]  # none but ours
    for number in numbers:
        first = BARE if number.bare else COUNTED
        letters[number.start : number.end] = [first, *[FILL] * (number.end - number.start - 1)]
    return "".join(letters)


def unit_of(sentence: str) -> Literal["", "client", "example"]:
    """Return whom a sentence says that epsilon protects; empty where it says nothing, or both."""
    client, example = (_UNIT[name].search(sentence) is not None for name in ("client", "example"))
    if client == example:
        return ""
    return "client" if client else "example"


def figures_in(sentence: str, numbers: Sequence[Number], mask: str) -> Iterator[Match]:
    """Yield the numbers that a sentence ties to a kind, at most one a kind, whatever doubts it raises.

    Args:
        sentence: One sentence.
        numbers: All its numbers.
        mask: The sentence with those masked.
    """
    at = {number.start: number for number in numbers}
    pair = PAIR.search(mask) if PAIR_CONTEXT.search(sentence) else None
    for name, kind in FIGURES.items():
        if pair is not None and name in ("epsilon", "delta"):
            found: Match | None = _matched(name, kind, pair, at[pair.start(1 if name == "epsilon" else 2)])
        else:
            said = kind.said if kind.needs is None or kind.needs.search(mask) else ()
            found = _tolerated(sentence, mask, at) if said and name == "dropout_tolerance" else None
            found = found or _first(name, kind, (*said, *kind.listed), mask, at)
        if found is not None and not (kind.never is not None and kind.never.search(mask)):
            yield found


def counted_again(kind: str, mask: str) -> bool:
    """Tell whether the noun that a claim counts is counted again, as in `50 rounds, and 10 rounds of fine-tuning`."""
    figure = FIGURES[kind]
    return figure.whole and sum(1 for pattern in figure.said for _ in pattern.finditer(mask)) > 1


def _first(
    name: str, kind: Figure, patterns: Iterable[re.Pattern[str]], mask: str, at: Mapping[int, Number]
) -> Match | None:
    hits = (hit for pattern in patterns for hit in pattern.finditer(mask))
    return next((found for hit in hits if (found := _matched(name, kind, hit, at[hit.start(1)])) is not None), None)


def _matched(name: str, kind: Figure, hit: re.Match[str], number: Number) -> Match | None:
    fits = kind.least <= number.value <= kind.most and number.value > 0
    of_its_sort = (number.percent or number.value <= 1) if kind.share else not number.percent
    if not (fits and of_its_sort) or (kind.whole and number.value != int(number.value)):
        return None
    return Match(name, number.value, hit.start(), hit.end(), (number.start,))


def _tolerated(sentence: str, mask: str, at: Mapping[int, Number]) -> Match | None:
    """Return `4 of 10 clients` or `half of the clients` as a share."""
    if (hit := _RATIO.search(mask)) is not None:
        part, whole = at[hit.start(1)], at[hit.start(2)]
        if 0 < part.value < whole.value:
            used = (part.start, whole.start)
            return Match("dropout_tolerance", part.value / whole.value, hit.start(), hit.end(), used)
    if (hit := _SHARE.search(sentence)) is not None:
        return Match("dropout_tolerance", _SHARE_WORDS[hit[1].casefold()], hit.start(), hit.end(), ())
    return None
