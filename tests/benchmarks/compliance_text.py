"""Rows of the benchmark: quotes looked for in a long text, and long texts scanned."""

import random
import re
import time
from collections.abc import Iterable, Sequence
from functools import partial

from attacks_rows import Row, by_turns, slope

from compliance.aireg import shipped_dataset
from compliance.quotes import locate, normalise
from compliance.scan import scan

QUOTES, LENGTH = 1_000, 1_000_000
LONGEST_SCAN = 2_000_000
SIZES = (10_000, 30_000, 100_000, 300_000, 1_000_000, LONGEST_SCAN)
HOSTILE = ("a\u200b", "{", "ignore ", "мо ", "give a score ", "%41", "0123456789abcdef", "\n", "é")
"""Pieces of texts that keep a scan busy everywhere."""


def rows() -> Iterable[Row]:
    """Yield the time to locate quotes beside regular expressions, and the time and the slope of a scan."""
    text = _text(LENGTH)
    quotes = _quotes(text)
    found: list[bool] = []
    theirs: list[bool] = []
    ours, peer = by_turns([lambda: _locate(quotes, text, found), lambda: _search(quotes, text, theirs)], 5)
    same = f"{sum(found)} and {sum(theirs)} of {QUOTES} found"
    what = f"locate, {QUOTES} quotes in {LENGTH / 1e6:.0f} MB, normalising included"
    yield Row(what, ours, "s", "<= 1.5 s", ours <= 1.5 and all(found), "re, any case", peer, QUOTES, same)
    yield Row("locate against re.search", peer / ours, "x", ">= 5 x", peer >= 5 * ours, n=QUOTES)
    (plain,) = by_turns([lambda: _search(quotes, text, theirs, 0)], 3)
    yield Row("locate against re.search, letters as written", plain / ours, "x", n=QUOTES, note="which finds less")
    yield from _scans()


def _scans() -> Iterable[Row]:
    texts = [_text(size) for size in SIZES]
    seconds = by_turns([partial(scan, text) for text in texts], 5)
    yield Row(f"scan, {LONGEST_SCAN:,} characters", seconds[-1], "s", "<= 3 s", seconds[-1] <= 3, n=LONGEST_SCAN)
    steep = slope(SIZES, seconds)
    yield Row("scan, slope of log time over log size", steep, "", "<= 1.1", steep <= 1.1, n=len(SIZES))
    busy = [_busy(piece) for piece in HOSTILE]
    worst, steepest = (max(figures) for figures in zip(*busy, strict=True))
    yield Row(f"scan, {LONGEST_SCAN:,} characters, busiest of nine", worst, "s", n=1, note="hostile texts")
    yield Row("scan, slope on the steepest of nine", steepest, "", n=1, note="from a tenth of it; linear is 1")


def _busy(piece: str) -> tuple[float, float]:
    """Return the seconds on the longest hostile text, and the slope from a tenth of it."""
    taken = []
    for size in (LONGEST_SCAN // 10, LONGEST_SCAN):
        text = piece * (size // len(piece))
        begun = time.process_time()
        scan(text)
        taken.append(time.process_time() - begun)
    return taken[1], slope((LONGEST_SCAN // 10, LONGEST_SCAN), taken)


def _text(length: int) -> str:
    """Return the shipped excerpts, over and over, as long as asked."""
    once = "\n\n".join(item.text for item in shipped_dataset().items if item.text)
    return (once * (length // len(once) + 1))[:length]


def _quotes(text: str) -> list[str]:
    """Return stretches of 6 to 25 words from everywhere, with one space between words."""
    draw = random.Random(7)
    words = [found.span() for found in re.finditer(r"\S+", text)]
    chosen = []
    for _ in range(QUOTES):
        first = draw.randrange(len(words) - 25)
        last = first + draw.randint(6, 25)
        chosen.append(" ".join(text[start:end] for start, end in words[first:last]))
    return chosen


def _locate(quotes: Sequence[str], text: str, found: list[bool]) -> None:
    known = normalise(text)
    found[:] = [locate(quote, text, maximum=1000, normalised=known) is not None for quote in quotes]


def _search(quotes: Sequence[str], text: str, found: list[bool], flags: int = re.IGNORECASE) -> None:
    patterns = [r"\s+".join(map(re.escape, quote.split())) for quote in quotes]
    found[:] = [re.search(pattern, text, flags) is not None for pattern in patterns]


if __name__ == "__main__":
    for row in rows():
        print(row)
