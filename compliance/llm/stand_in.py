"""A scripted stand-in for a language model: it counts words of reservation and matches words, and reads nothing.

It shows the mechanics where no model is at hand, and what a reader below the bar looks like. Its score is the lexical
baseline of `compliance.lexical`: fitted on the shipped excerpts, and where it reads one of them, on those of the other
uses alone, as the baseline is defined. So it is measured on excerpts that it was not fitted on. Ask for it by the name
`compliance.limitations.STAND_IN_MODEL`: every page about it then says what it is.
"""

import re
from collections.abc import Mapping
from functools import cache

from compliance.aggregate import Answer
from compliance.aireg import shipped_dataset
from compliance.lexical import Isotonic, fit_isotonic, hedge_density, to_scores
from compliance.llm.fake_judge import Asked, says, scripted
from compliance.llm.fake_model import Request, Step
from compliance.sentences import sentences

__all__ = ["stand_in"]

LEAST_SHARE = 1 / 3
"""Of a duty's longer words; with fewer in the part, the part does not speak of it."""
_LONGER_WORD = re.compile(r"[^\W\d_]{5,}")
SHORTEST, LONGEST = 20, 300
"""Characters of a sentence that is quoted."""
_REASON = "A scripted stand-in counted words of reservation; no language model read this part."
_GAP = "A stand-in that counts words cannot say what is missing."


def stand_in(request: Request) -> Step:
    """Answer one question of the judge by counting words."""
    return _COUNTING(request)


def _counted(asked: Asked) -> Mapping[str, object]:
    wanted = _stems(asked.duty)
    score = int(to_scores(_fitted_without(_use_of(asked.part))(hedge_density(asked.part))))
    speaks = len(wanted & _stems(asked.part)) >= LEAST_SHARE * len(wanted)
    quote = _nearest_sentence(asked.part, wanted)
    answer = _answer(score) if speaks and quote else "insufficient_evidence"
    quotes = [quote] if answer != "insufficient_evidence" else []
    return {**says(answer, score, quotes, [] if answer == "supports" else [_GAP]), "reason": _REASON}


def _answer(score: int) -> Answer:
    if score >= 4:
        return "supports"
    return "partially_supports" if score >= 2 else "insufficient_evidence"


@cache
def _fitted_without(use: int | None) -> Isotonic:
    """Return the fit on the shipped excerpts of all other uses; on all of them where the part is none of them."""
    items = [item for item in shipped_dataset().items if item.text is not None and item.use != use]
    return fit_isotonic([hedge_density(item.text or "") for item in items], [item.reference for item in items])


def _use_of(part: str) -> int | None:
    return _uses().get(part.strip())


@cache
def _uses() -> Mapping[str, int]:
    """Return the use that each shipped excerpt is about, by its text."""
    return {item.text.strip(): item.use for item in shipped_dataset().items if item.text is not None}


def _stems(text: str) -> frozenset[str]:
    """Return the first five letters of every word that has as many."""
    return frozenset(word[:5].casefold() for word in _LONGER_WORD.findall(text))


def _nearest_sentence(text: str, wanted: frozenset[str]) -> str:
    """Return the sentence that shares most words with the duty, the first of several; empty where there is none."""
    said = [text[one.start : one.end].strip() for one in sentences(text)]
    fitting = [sentence for sentence in said if SHORTEST <= len(sentence) <= LONGEST]
    return max(fitting, key=lambda sentence: len(wanted & _stems(sentence)), default="")


_COUNTING = scripted(_counted)
