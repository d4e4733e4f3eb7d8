"""What the catalogue costs: `controls --json` from a cold start, and how reading citations grows with the text."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable

from attacks_rows import Row, by_turns, slope

from compliance.catalogue import load_catalogue
from compliance.citation import find_citations

REPEATS = 5
MOST_SECONDS, MOST_RATIO, MOST_SLOPE = 0.6, 2.0, 1.1
DUTIES = 140
_CONTROLS = [sys.executable, "-c", "from audit.cli.main import main; main()", "compliance", "controls", "--json"]
_PEER = [sys.executable, "-c", "import click, pydantic"]
_SIZES = (10_000, 100_000, 1_000_000, 2_000_000)
_PROSE = (
    "The system meets Art. 15(5) of the AI Act as described (see Annex IV, point 2(g), and Article 32(1)(d) GDPR); "
    "ten clients took part in 2026, section 3 (article by article) lists them. "
)


def rows() -> Iterable[Row]:
    """Yield the rows of the catalogue."""
    ours, peer = _by_turns(_CONTROLS, _PEER)
    met = ours <= MOST_SECONDS and ours <= MOST_RATIO * peer
    target = f"<= {MOST_SECONDS:g} s, <= {MOST_RATIO:g}x"
    note = f"{ours / peer:.2f}x"
    yield Row(
        "controls --json, cold: time on the wall", ours, "s", target, met, "import click, pydantic", peer, REPEATS, note
    )
    texts = [(_PROSE * (size // len(_PROSE) + 1))[:size] for size in _SIZES]
    seconds = by_turns([lambda text=text: _found(text) for text in texts], 3)  # type: ignore[misc]
    yield Row(f"find_citations, {_SIZES[-1]:,} characters: CPU time", seconds[-1], "s", n=3)
    grown = slope(_SIZES, seconds)
    yield Row("find_citations: slope of log time", grown, "", f"<= {MOST_SLOPE:g}", grown <= MOST_SLOPE, n=3)
    catalogue = load_catalogue()
    [resolved] = by_turns([lambda: [catalogue.resolve(control.id) for control in catalogue.controls]], 5)
    yield Row("every control resolved by its citation: CPU time", resolved, "s", n=5)


def _found(text: str) -> int:
    """Return how many citations stand in a text."""
    return sum(1 for _span in find_citations(text))


def _by_turns(ours: list[str], peer: list[str]) -> tuple[float, float]:
    """Return the median seconds of two commands in fresh processes, by turns; the first turn warms the disk."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for turn in range(REPEATS + 1):
        for command, kept in zip((ours, peer), seconds, strict=True):
            begun = time.perf_counter()
            done = subprocess.run(command, check=True, capture_output=True)
            if turn:
                kept.append(time.perf_counter() - begun)
            if command is ours and len(json.loads(done.stdout)["controls"]) != DUTIES:
                raise RuntimeError("the command did not list every duty, so its time means nothing")
    return statistics.median(seconds[0]), statistics.median(seconds[1])


if __name__ == "__main__":
    for row in rows():
        print(row)
