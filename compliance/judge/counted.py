"""What an answer counts for once its quotes have been looked for: a score without a quote is an opinion."""

from dataclasses import dataclass

from compliance.aggregate import Merged
from compliance.judge.answer import JudgeAnswer
from compliance.judge.shown import ShownPart
from compliance.quotes import Quote, locate

__all__ = ["Counted", "count"]

_NEED_A_QUOTE = frozenset({"supports", "partially_supports", "contradicts"})


@dataclass(frozen=True)
class Counted:
    """One answer, with the quotes that stand in the document."""

    verdict: Merged
    """What it counts for."""
    quotes: tuple[Quote, ...]
    """Located, in order, with offsets into the whole text."""
    rejected: int
    """Quotes that stand nowhere in the part, only in the law, or in words that were taken out."""
    gaps: tuple[str, ...]
    """As the model put them."""
    unfounded: bool
    """Whether a quote was needed and none was left."""


def count(answer: JudgeAnswer, shown: ShownPart) -> Counted:
    """Return what an answer about one part counts for.

    A quote is kept where it stands in this part letter by letter (see `compliance.quotes`), outside the spans that were
    taken out. An answer for or against the duty that keeps none becomes `insufficient_evidence`; the score stays, since
    that answer asks nothing of it.
    """
    within, taken_out = (shown.part.start, shown.part.end), shown.taken_out
    found: dict[tuple[int, int], Quote] = {}
    rejected = 0
    for words in answer.quotes:
        quote = locate(words, shown.text, normalised=shown.normalised, within=within)
        if quote is None or any(flag.start < quote.end and quote.start < flag.end for flag in taken_out):
            rejected += 1
        else:
            found[quote.start, quote.end] = quote
    kept = answer.answer not in _NEED_A_QUOTE or bool(found)
    verdict = Merged(answer.answer if kept else "insufficient_evidence", answer.score)
    quotes = tuple(found[place] for place in sorted(found))
    return Counted(verdict, quotes, rejected, answer.gaps, unfounded=not kept)
