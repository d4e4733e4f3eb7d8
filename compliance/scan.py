"""What in a document may steer the model that reads it: found in the raw text, told, and never silently dropped.

    text, concealed spans ──families──▶ Flag(kind, start, end, excerpt, where)

A flag is a reason to look, not a verdict. One kind, `self-assessment`, is a claim and no attack. Every family takes
linear time. A stylometric or a learnt attack passes; the judge's decoy duty is for those.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from compliance.encoded import encoded_instructions
from compliance.hidden_characters import CHARACTER_FAMILIES
from compliance.instructions import instructions
from compliance.lookalikes import answer_lookalikes, fences, mixed_scripts, self_assessments
from compliance.skeleton import skeleton, traced_skeleton
from compliance.traced import Traced

__all__ = ["HARMLESS", "Concealed", "Flag", "redact", "scan", "skeleton"]

HARMLESS = "self-assessment"
"""The one kind that is a claim and no attack."""
_EXCERPT = 80
_CONCEALED_LETTERS = 20
"""Letters from which on a concealed span is told for what it is."""
_MEANT_TO_BE_READ = frozenset({"attribute"})
"""Kinds of concealed words that browsers do show to some, such as the text beside a picture."""
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\ufff0-\uffff\U000e0000-\U000e0fff]"
)
Span = tuple[int, int]


@dataclass(frozen=True)
class Concealed:
    """Words that a file holds and that whoever opens it does not see."""

    kind: str
    """How: `comment`, `definition`, `hidden` or `attribute`."""
    text: str
    """The words."""
    at: int
    """Offset in the text where they stood."""


@dataclass(frozen=True)
class Flag:
    """One place that may steer a reader."""

    kind: str
    """Which family rang."""
    start: int
    """Offset in the text; of concealed words where they stood."""
    end: int
    """After its last character; equal to `start` for concealed words, which are not part of the text."""
    excerpt: str
    """What stands there, at most 80 characters, with invisible ones spelled out."""
    where: Literal["text", "concealed"] = "text"
    """Whether it stands in the text or in what is concealed."""
    disguised: bool = False
    """Whether what it says is written in, or broken up by, characters that nobody sees or that look like others."""


def scan(text: str, concealed: Sequence[Concealed] = ()) -> tuple[Flag, ...]:
    """Return everything in a text, and in what is concealed beside it, that may steer a reader; in order of place."""
    found = [Flag(kind, start, end, _excerpt(text, start, end), "text", hid) for kind, start, end, hid in _rung(text)]
    for one in concealed:
        if one.kind not in _MEANT_TO_BE_READ and sum(map(str.isalpha, one.text)) >= _CONCEALED_LETTERS:
            found.append(Flag("concealed", one.at, one.at, _excerpt(one.text, 0, len(one.text)), "concealed"))
        for kind, start, end, hid in _rung(one.text):
            found.append(Flag(kind, one.at, one.at, _excerpt(one.text, start, end), "concealed", hid))
    return tuple(sorted(found, key=lambda flag: (flag.start, flag.end, flag.where, flag.kind, flag.excerpt)))


def redact(text: str, flags: Iterable[Flag]) -> str:
    """Return `text` with every flagged span of it replaced by `[removed N characters]`; spans that touch are one.

    Flags of concealed words change nothing, since those are not in the text.
    """
    parts: list[str] = []
    done = 0
    for start, end in _merged(sorted((flag.start, flag.end) for flag in flags if flag.where == "text")):
        parts.append(f"{text[done:start]}[removed {end - start} characters]")
        done = end
    return "".join([*parts, text[done:]])


def _rung(text: str) -> Iterator[tuple[str, int, int, bool]]:
    """Yield (kind, start, end, disguised) of everything found in one text."""
    hidden = [(kind, start, end) for kind, family in CHARACTER_FAMILIES for start, end in family(text)]
    mixed = list(mixed_scripts(text))
    yield from ((kind, start, end, False) for kind, start, end in hidden)
    yield from (("mixed-script", start, end, False) for start, end in mixed)
    yield from (("answer-lookalike", start, end, False) for start, end in answer_lookalikes(text))
    yield from (("encoded", start, end, True) for start, end in _merged(sorted(encoded_instructions(text))))
    read = traced_skeleton(text)
    disguises = _merged(sorted([(start, end) for _, start, end in hidden] + mixed))
    yield from (("fence", start, end, False) for start, end in _merged(sorted(fences(text, read))))
    for start, end in _in_source(read, instructions):
        yield "instruction", start, end, _overlaps(disguises, start, end)
    yield from ((HARMLESS, start, end, False) for start, end in _in_source(read, self_assessments))


def _in_source(read: Traced, find: Callable[[str], Iterator[Span]]) -> Iterator[Span]:
    return (read.span(start, end) for start, end in find(read.text))


def _merged(spans: Iterable[Span]) -> list[Span]:
    """Return sorted spans with those that overlap or touch made one."""
    out: list[Span] = []
    for start, end in spans:
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(end, out[-1][1]))
        else:
            out.append((start, end))
    return out


def _overlaps(spans: Sequence[Span], start: int, end: int) -> bool:
    """Tell whether any of the sorted, disjoint spans shares a character with [start, end)."""
    low, high = 0, len(spans)
    while low < high:
        middle = (low + high) // 2
        if spans[middle][1] <= start:
            low = middle + 1
        else:
            high = middle
    return low < len(spans) and spans[low][0] < end


def _excerpt(text: str, start: int, end: int) -> str:
    shown = _UNPRINTABLE.sub(lambda found: f"⟦U+{ord(found.group()):04X}⟧", text[start : min(end, start + _EXCERPT)])
    return shown if len(shown) <= _EXCERPT else shown[: _EXCERPT - 1] + "…"
