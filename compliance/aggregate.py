"""From several answers to one: samples, parts of a document, members of a panel, and the band that people read.

Kernel: answers in, answers out. Every rule leans to the side that claims less.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

__all__ = [
    "ANSWERS",
    "Answer",
    "Band",
    "Merged",
    "band",
    "lower_median",
    "merge_panel",
    "merge_parts",
    "merge_samples",
    "score_set",
]

Answer = Literal["supports", "partially_supports", "contradicts", "insufficient_evidence", "not_applicable"]
"""What a reader may say a text does to a duty; `insufficient_evidence` is "the documents do not say"."""
Band = Literal["likely_gap", "no_gap_found", "unclear"]
"""What people are shown instead of a score."""
ANSWERS: tuple[Answer, ...] = get_args(Answer)
LOWEST, HIGHEST = 1, 5
WIDE = 2
"""From this distance between scores on, samples or members are said to disagree."""
_CAUTIOUS: tuple[Answer, ...] = (
    "contradicts",
    "insufficient_evidence",
    "not_applicable",
    "partially_supports",
    "supports",
)
_TELLING: tuple[Answer, ...] = (
    "contradicts",
    "supports",
    "partially_supports",
    "insufficient_evidence",
    "not_applicable",
)
Ranked = TypeVar("Ranked", int, float)


@dataclass(frozen=True)
class Merged:
    """One answer made of several."""

    answer: Answer
    """What was said."""
    score: int
    """1 to 5."""
    score_range: int = 0
    """Largest distance between the scores of samples of one part by one member."""
    unstable: bool = False
    """Whether samples of one part by one member had no majority, or scores that lie two or more apart."""
    disagrees: bool = False
    """Whether members of a panel had scores that lie two or more apart, or no majority."""


def lower_median(values: Iterable[Ranked]) -> Ranked:
    """Return the median, of an even number the lower of the middle two.

    Raises:
        ValueError: there is no value.
    """
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values have no median")
    return ordered[(len(ordered) - 1) // 2]


def merge_samples(samples: Sequence[Merged]) -> Merged:
    """Return what one member says of one part: the strict majority, and the lower median of the scores.

    Where no answer has more than half, the most cautious of the most frequent ones stands and is called unstable.
    """
    answer, majority = _majority([one.answer for one in samples])
    scores = [one.score for one in samples]
    width = max(scores) - min(scores)
    return Merged(answer, lower_median(scores), width, unstable=not majority or width >= WIDE)


def merge_parts(parts: Sequence[Merged]) -> Merged:
    """Return what one member says of a whole document.

    A part that speaks outweighs one that is silent: contradicts, supports, partially_supports, insufficient_evidence,
    not_applicable. The score is the lower median of the parts that gave the winning answer.
    """
    answer = min((one.answer for one in parts), key=_TELLING.index)
    return Merged(
        answer,
        lower_median(one.score for one in parts if one.answer == answer),
        max(one.score_range for one in parts),
        unstable=any(one.unstable for one in parts),
    )


def merge_panel(members: Sequence[Merged]) -> Merged:
    """Return what a panel says: the majority of its members, and the lower median of their medians."""
    answer, majority = _majority([one.answer for one in members])
    scores = [one.score for one in members]
    return Merged(
        answer,
        lower_median(scores),
        max(one.score_range for one in members),
        unstable=any(one.unstable for one in members),
        disagrees=not majority or max(scores) - min(scores) >= WIDE,
    )


def score_set(score: int, radius: int) -> tuple[int, ...]:
    """Return the scores an expert may have given where the reader gave `score`: all within `radius`, from 1 to 5."""
    return tuple(range(max(LOWEST, score - radius), min(HIGHEST, score + radius) + 1))


def band(scores: Sequence[int]) -> Band:
    """Return the word for a set of scores: unclear as soon as it reaches to both sides of the middle."""
    if max(scores) <= 3 and min(scores) <= 2:
        return "likely_gap"
    if min(scores) >= 3 and max(scores) >= 4:
        return "no_gap_found"
    return "unclear"


def _majority(answers: Sequence[Answer]) -> tuple[Answer, bool]:
    """Return the most frequent answer, the most cautious of several, and whether more than half gave it."""
    counted = Counter(answers)
    most = max(counted.values())
    answer = min((one for one, count in counted.items() if count == most), key=_CAUTIOUS.index)
    return answer, 2 * most > len(answers)
