"""One figure of the benchmark of reports, the bundle that it is taken on, and how it is taken."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from reports.keys import PrivateKey
from reports.statement import Statement


@dataclass(frozen=True)
class Row:
    """One measured figure beside its target."""

    what: str
    seconds: float
    peer: str
    peer_seconds: float | None
    target: str
    met: bool
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Ours over the peer's."""
        return self.seconds / self.peer_seconds if self.peer_seconds else None


@dataclass(frozen=True)
class Sample:
    """A signed bundle and what verifies it."""

    bundle: Path
    trust: Path
    subject: Path
    statement: Statement
    envelope: bytes
    key: PrivateKey


def cold(ours: Sequence[str], peer: Sequence[str], repeats: int) -> tuple[float, float]:
    """Return the medians of two commands in fresh processes, run by turns after one run each that warms the disk."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for turn in range(repeats + 1):
        for command, kept in zip((ours, peer), seconds, strict=True):
            began = time.perf_counter()
            done = subprocess.run(command, capture_output=True, check=False)
            if done.returncode:
                raise SystemExit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.decode()}")
            if turn:
                kept.append(time.perf_counter() - began)
    return statistics.median(seconds[0]), statistics.median(seconds[1])


def warm(*works: Callable[[], object], repeats: int, times: int = 1) -> list[float]:
    """Return the median time of one call of each, over batches of `times` by turns, after one batch that warms up."""
    seconds: list[list[float]] = [[] for _ in works]
    for _ in range(repeats + 1):
        for work, kept in zip(works, seconds, strict=True):
            began = time.perf_counter()
            for _ in range(times):
                work()
            kept.append((time.perf_counter() - began) / times)
    return [statistics.median(kept[1:]) for kept in seconds]


def fedaudit() -> str:
    """Return the command that stands beside this interpreter."""
    found = Path(sys.executable).with_name("fedaudit")
    if not found.exists():
        raise SystemExit(f"there is no {found}; install the distribution: pip install -e .")
    return str(found)


def table(rows: Sequence[Row]) -> str:
    """Return the rows for a terminal."""
    lines = [f"{'what':<42} {'ours':>9} {'peer':>9} {'ratio':>6}  {'target':<22} met", "-" * 100]
    for row in rows:
        peer = f"{row.peer_seconds * 1e3:7.2f}ms" if row.peer_seconds else "-"
        ratio = f"{row.ratio:5.2f}x" if row.ratio else "-"
        state = "yes" if row.met else "NO"
        lines.append(
            f"{row.what:<42} {row.seconds * 1e3:7.2f}ms {peer:>9} {ratio:>6}  {row.target:<22} {state} {row.note}"
        )
    peers = [f"{row.what}: {row.peer}" for row in rows if row.peer]
    return "\n".join([*lines, "", "Peers:", *(f"  {line}" for line in peers)])
