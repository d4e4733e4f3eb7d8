"""A text rewritten for matching, with the way back: every character of it knows where in the source it came from.

    source ──trace(rules)──▶ Traced ──find what you look for──▶ span(start, end) ──▶ offsets in the source

Rewriting changes lengths (NFKC, case folding, dropped characters), so an offset in one text is none in the other. A
line that only changes letter for letter is kept as one piece; other lines are cut at what must go, and there a group
of characters that the normal form joins (Unicode Standard Annex 15) is one piece. The whole takes linear time.
"""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_LINE_LIMIT = 4096
"""Characters that are looked at together; longer lines are cut."""
_RUNS = re.compile(r"[\x21-\x7e]+|\s+|[^\x21-\x7e\s]+")
_LOOSE = re.compile(r"\s\s|[^\S \n]")
"""White space that is not one plain space, or the end of a line."""
_KEPT_APART = ("<super>", "<sub>", "<fraction>")


@dataclass(frozen=True)
class Rules:
    """How a text is rewritten."""

    form: Literal["NFKC", "NFKD"]
    """The normal form, applied to each group of characters that it may join."""
    dropped: re.Pattern[str]
    """Runs of characters that go."""
    mapped: Mapping[int, str]
    """One character for another, as `str.translate` takes it, before and after the normal form."""
    drop_again: bool = False
    """Whether what the normal form brings up is dropped as well, such as accents."""
    keep_scripts: bool = False
    """Whether characters that decompose as <super>, <sub> or <fraction> stay: 10⁵ is not 105."""
    kept_between_digits: str = ""
    """A character that stays between two digits though it is dropped elsewhere: 2*3 is not 23."""


@dataclass(frozen=True)
class Traced:
    """A rewritten text and its pieces, in the order of both texts."""

    text: str
    """What is searched."""
    starts: Sequence[int]
    """Where each piece starts in `text`; ascending."""
    origins: Sequence[tuple[int, int, bool]]
    """Start and end of each piece in the source, and whether it changed letter for letter."""
    below: "Traced | None" = None
    """The text that was the source, if that was rewritten too."""

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return what `text[start:end]` was made of: half-open offsets in the source; `end` must lie above `start`."""
        first, last = self._origin(start)[0], self._origin(end - 1)[1]
        return self.below.span(first, last) if self.below is not None else (first, last)

    def position(self, source: int) -> int:
        """Return the first position in `text` whose source starts at or after the offset `source`."""
        if self.below is not None:
            source = self.below.position(source)
        piece = bisect_right(self._ends, source)
        if piece == len(self.origins):
            return len(self.text)
        begun, _, by_letter = self.origins[piece]
        if source <= begun:
            return self.starts[piece]
        if by_letter:
            return self.starts[piece] + source - begun
        return self.starts[piece + 1] if piece + 1 < len(self.starts) else len(self.text)

    @cached_property
    def _ends(self) -> list[int]:
        return [end for _, end, _ in self.origins]

    def _origin(self, position: int) -> tuple[int, int]:
        piece = bisect_right(self.starts, position) - 1
        start, end, by_letter = self.origins[piece]
        if by_letter:
            start += position - self.starts[piece]
            return start, start + 1
        return start, end


class _Writer:
    """Puts pieces together; white space never follows white space."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.starts: list[int] = []
        self.origins: list[tuple[int, int, bool]] = []
        self.length = 0
        self.ends_in_space = False

    def add(self, text: str, start: int, end: int, by_letter: bool) -> None:
        """Add what `source[start:end]` became; a piece that changed letter for letter is as long as its source."""
        if self.ends_in_space and text.startswith(" "):
            text = text[1:]
            start += by_letter
        if not text:
            return
        self.starts.append(self.length)
        self.origins.append((start, end, by_letter))
        self.parts.append(text)
        self.length += len(text)
        self.ends_in_space = text.endswith(" ")


def trace(text: str, rules: Rules) -> Traced:
    """Return `text` rewritten: characters dropped and mapped, normal form, case folded, white space runs to a space."""
    out, known = _Writer(), dict[str, str]()
    for start, end in _lines(text):
        line = text[start:end].translate(rules.mapped)
        folded = line.casefold()
        plain = len(folded) == len(line) and unicodedata.is_normalized(rules.form, line)
        if plain and not rules.dropped.search(line) and not _LOOSE.search(line):
            out.add(folded.replace("\n", " "), start, end, True)
        else:
            _add_runs(text, start, end, rules, out, known)
    return Traced("".join(out.parts), out.starts, out.origins)


def spliced(below: Traced, edits: Sequence[tuple[int, int, str]]) -> Traced:
    """Return `below` with the given ranges of its text replaced; they ascend and do not overlap."""
    out, done = _Writer(), 0
    for start, end, text in edits:
        out.add(below.text[done:start], done, start, True)
        out.ends_in_space = False
        out.add(text, start, end, False)
        out.ends_in_space = False
        done = end
    out.add(below.text[done:], done, len(below.text), True)
    return Traced("".join(out.parts), out.starts, out.origins, below)


def untouched(text: str) -> Traced:
    """Return `text` as it is."""
    return Traced(text, [0], [(0, len(text), True)])


def _lines(text: str) -> Iterator[tuple[int, int]]:
    """Yield lines, cut where they are long; never before a character that joins the one before it."""
    for line in _LINE.finditer(text):
        start, end = line.span()
        while end - start > _LINE_LIMIT:
            cut = start + _LINE_LIMIT
            while cut < end and not (text[cut].isascii() and text[cut].isalpha()):
                cut += 1
            yield start, cut
            start = cut
        if start < end:
            yield start, end


def _add_runs(text: str, start: int, end: int, rules: Rules, out: _Writer, known: dict[str, str]) -> None:
    """Add one line: what goes is cut out first, since marks may join across it; then run by run."""
    kept, offsets, cuts = _kept(text, start, end, rules)
    for run in _RUNS.finditer(kept):
        content, (begun, ended) = run.group(), run.span()
        if content.isspace():
            out.add(" ", offsets[begun], offsets[ended - 1] + 1, len(content) == 1)
            continue
        if not content.isascii():
            _add_groups(kept, offsets, begun, ended, rules, out, known)
            continue
        joined = ended < len(kept) and _joins(kept[ended])  # then the last letter goes with the marks that follow
        last = ended - joined
        while begun < last:
            following = bisect_right(cuts, begun)
            cut = min(last, cuts[following]) if following < len(cuts) else last
            piece = kept[begun:cut].translate(rules.mapped).casefold()
            out.add(piece, offsets[begun], offsets[cut - 1] + 1, True)
            begun = cut


def _kept(text: str, start: int, end: int, rules: Rules) -> tuple[str, list[int], list[int]]:
    """Return what stays of `text[start:end]`, the source offset of each character, and where something was cut out."""
    parts: list[str] = []
    offsets: list[int] = []
    cuts: list[int] = []
    done = start
    for gone in rules.dropped.finditer(text, start, end):
        parts.append(text[done : gone.start()])
        offsets.extend(range(done, gone.start()))
        cuts.append(len(offsets))
        mark = rules.kept_between_digits
        if mark and mark in gone.group() and _between_digits(text, gone.start(), gone.end()):
            places = [gone.start() + place for place, found in enumerate(gone.group()) if found == mark]
            parts.append(mark * len(places))
            offsets.extend(places)
            cuts.append(len(offsets))
        done = gone.end()
    parts.append(text[done:end])
    offsets.extend(range(done, end))
    return "".join(parts), offsets, cuts


def _between_digits(text: str, start: int, end: int) -> bool:
    return text[start - 1 : start].isdigit() and text[end : end + 1].isdigit()


def _add_groups(
    kept: str, offsets: Sequence[int], start: int, end: int, rules: Rules, out: _Writer, known: dict[str, str]
) -> None:
    """Add a run of other characters, group by group; marks at its start take the letter before them along."""
    if start and _joins(kept[start]) and not kept[start - 1].isspace():
        start -= 1
    while start < end:
        stop = start + 1
        if not (rules.keep_scripts and _is_script(kept[start])):
            while stop < end and _joins(kept[stop]):
                stop += 1
        group = kept[start:stop]
        if group not in known:
            known[group] = _rewritten(group, rules)
        out.add(known[group], offsets[start], offsets[stop - 1] + 1, False)
        start = stop


def _rewritten(group: str, rules: Rules) -> str:
    if rules.keep_scripts and _is_script(group[0]):
        return group.translate(rules.mapped).casefold()
    found = unicodedata.normalize(rules.form, group.translate(rules.mapped)).translate(rules.mapped)
    if rules.drop_again:
        found = rules.dropped.sub("", found)
    return re.sub(r"\s+", " ", found.casefold())


def _is_script(character: str) -> bool:
    return unicodedata.decomposition(character).startswith(_KEPT_APART)


def _joins(character: str) -> bool:
    """Tell whether the normal form may join a character to the one before it: marks, and jamo that end a syllable."""
    if character.isascii():
        return False
    first = unicodedata.normalize("NFKD", character)[0]
    return unicodedata.category(first).startswith("M") or "\u1160" <= first <= "\u11ff"
