"""What documents claim: facts with their quote, read by rule and without a language model.

    text ─sentences─▶ sentence ─figures, assertions─▶ claim ─doubts─▶ plain, or hedged with the reason

A sentence that hedges, denies, compares, speaks of one round or gives a second number is kept as a claim and never held
against a measurement. Patterns are English; a document in another language yields no claims.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from compliance.claim_about import NOBODY, Own, elsewhere
from compliance.claim_assertions import assertions_in, subject_of
from compliance.claim_doubts import Direction, Doubt, direction_of, doubt_in, without_bounds
from compliance.claim_figures import Match, counted_again, figures_in, masked, unit_of
from compliance.quantities import Number, numbers, numbers_in
from compliance.sentences import Sentence, sentences

__all__ = ["AT_LEAST", "AT_MOST", "KINDS", "Claim", "claim_at", "extract_claims", "numbers"]

AT_MOST = ("epsilon", "delta", "membership_advantage", "clipping_norm")
"""Kinds whose figure is a limit from above."""
AT_LEAST = ("accuracy", "noise_multiplier")
"""Kinds whose figure is a limit from below; `up to 30 % of the clients may drop out` says so with an upper bound."""
KINDS = (
    "epsilon", "delta", "noise_multiplier", "clipping_norm", "clients", "rounds", "dropout_tolerance",
    "membership_advantage", "no_reconstruction", "secure_aggregation", "accuracy", "unlearned",
)  # fmt: skip
"""Every kind of claim."""
_WITHOUT_FIGURE = ("no_reconstruction", "secure_aggregation", "unlearned")
LONGEST_QUOTE = 400
"""Characters of a quote; of a longer sentence the part round the claim is quoted."""


@dataclass(frozen=True)
class Claim:
    """One thing that somebody says of the system."""

    kind: str
    """One of `KINDS`."""
    value: float | None
    """The figure, a percentage as a share; 0 for `no_reconstruction`, None where the kind has none."""
    unit: str
    """Whom epsilon protects (`client`, `example`), or who was forgotten (`client 7`); empty where it is not said."""
    hedged: bool
    """Whether the sentence does not plainly assert it; such a claim is ambiguous, never contradicted."""
    quote: str
    """The words, as they stand in the text."""
    start: int
    """Offset of the quote in the text."""
    end: int
    """Offset behind it."""
    doubt: Doubt = ""
    """Why it is hedged; empty where it is not."""


def extract_claims(text: str, own: Own = NOBODY) -> tuple[Claim, ...]:
    """Return the claims of a text in their order, hedged ones among them; `own` says how its system is called."""
    return tuple(claim for sentence in sentences(text) for claim in _claims_of(text, sentence, own))


def claim_at(kind: str, value: float | None, text: str, start: int, end: int) -> Claim | None:
    """Return a claim that somebody else read at `text[start:end]`, such as a language model, with our doubts about it.

    None where the kind is unknown, or where the value is not among the numbers of the quote: a claim is kept only if
    the words that it rests on say it. A kind that has no figure is given none.
    """
    quote = text[start:end]
    figure = None if kind in _WITHOUT_FIGURE else value
    said = kind in _WITHOUT_FIGURE or (value is not None and any(_same(value, found) for found in numbers(quote)))
    if kind not in KINDS or not said:
        return None
    around = next((s for s in sentences(text) if s.start <= start < s.end), Sentence(start, end, ""))
    sentence = text[around.start : max(around.end, end)]
    found = tuple(numbers_in(sentence))
    at = next((number.start for number in found if figure is not None and _same(number.value, figure)), None)
    doubt = _doubt(
        kind,
        masked(sentence, found),
        around.heading,
        own=(start - around.start, end - around.start),
        number=at,
        several=figure is not None and sum(number.bare for number in found) > 1,
    )
    doubt = doubt or elsewhere(sentence, kind, around.heading)
    unit = unit_of(sentence) if kind == "epsilon" else subject_of(sentence) if kind == "unlearned" else ""
    return Claim(kind, 0.0 if kind == "no_reconstruction" else figure, unit, bool(doubt), quote, start, end, doubt)


def _claims_of(text: str, where: Sentence, own: Own) -> Iterator[Claim]:
    sentence = text[where.start : where.end]
    found = tuple(numbers_in(sentence))
    mask = masked(sentence, found)
    matches = tuple(figures_in(sentence, found, mask))
    extra = _second_number(found, matches, mask)
    for match in matches:
        doubt = _doubt(match.kind, mask, where.heading, number=match.number, several=extra)
        doubt = doubt or elsewhere(sentence, match.kind, where.heading, own)
        unit = unit_of(sentence) if match.kind == "epsilon" else ""
        yield _claim(text, where, match.kind, match.value, unit, doubt, match.start, match.end)
    for one in assertions_in(sentence):
        doubt = _doubt(one.kind, mask, where.heading, own=(one.start, one.end))
        doubt = doubt or ("hedged" if one.conditional else elsewhere(sentence, one.kind, where.heading, own))
        value = 0.0 if one.kind == "no_reconstruction" else None
        yield _claim(text, where, one.kind, value, one.subject, doubt, one.start, one.end)


def _second_number(found: Sequence[Number], matches: Sequence[Match], mask: str) -> bool:
    """Tell whether a number stands for itself in the sentence, and no claim is made of it."""
    used = {start for match in matches for start in match.used}
    bare = any(number.bare and number.start not in used for number in found)
    return bare or any(counted_again(match.kind, mask) for match in matches)


_DIRECTION: Mapping[str, Direction] = {**dict.fromkeys(AT_MOST, "up"), **dict.fromkeys(AT_LEAST, "down")}
_NEGATIONS = ("no_reconstruction", "secure_aggregation")
_EACH_CLIPPED = re.compile(r"\b(?:per|each|every|any) (?:\w+ )?(?:update|batch)\b", re.IGNORECASE)
"""What is clipped is every single update: that a norm is one of each makes it no other norm."""
_OF_ALL_ROUNDS = ("dropout_tolerance", "no_reconstruction", "secure_aggregation", "unlearned")


def _doubt(
    kind: str,
    mask: str,
    heading: str,
    *,
    own: tuple[int, int] = (0, 0),
    number: int | None = None,
    several: bool = False,
) -> Doubt:
    """Return the first doubt about a claim of a masked sentence.

    Args:
        kind: Of the claim.
        mask: The sentence with its numbers masked.
        heading: The heading above it.
        own: Start and end of the words that a negation consists of.
        number: Offset of the figure.
        several: Whether another number stands for itself.
    """
    plain = without_bounds(mask)
    start, end = own if kind in _NEGATIONS else (0, 0)
    found = doubt_in(
        _EACH_CLIPPED.sub(lambda each: " " * len(each[0]), plain) if kind == "clipping_norm" else plain,
        plain[:start] + " " * (end - start) + plain[end:],
        heading,
        denied=kind == "no_reconstruction",
        conditions=kind != "dropout_tolerance",
        rounds=kind not in _OF_ALL_ROUNDS,
    )
    if found or several:
        return found or "several"
    wanted = _DIRECTION.get(kind, "")
    direction = direction_of(mask, number) if number is not None else ""
    return "other-direction" if direction and wanted and direction != wanted else ""


def _claim(
    text: str, where: Sentence, kind: str, value: float | None, unit: str, doubt: Doubt, first: int, last: int
) -> Claim:
    start, end = where.start, where.end
    if end - start > LONGEST_QUOTE:
        spare = max(0, LONGEST_QUOTE - (last - first)) // 2
        start, end = max(start, where.start + first - spare), min(end, where.start + last + spare)
    return Claim(kind, value, unit, bool(doubt), text[start:end], start, end, doubt)


def _same(a: float, b: float) -> bool:
    return abs(a - b) <= 1e-9 * max(abs(a), abs(b))
