"""One figure of the benchmark, and how it is taken: works by turns in one process, CPU time, medians."""

import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Row:
    """One figure, the peer's beside it, and what it should be."""

    what: str
    value: float
    unit: str
    target: str = ""
    met: bool | None = None
    """None where nothing is asked, or the peer that it is asked against is not there."""
    peer: str = ""
    peer_value: float | None = None
    n: int = 1
    note: str = ""

    @property
    def fields(self) -> dict[str, Any]:
        """What JSON says of it."""
        return asdict(self)

    def __str__(self) -> str:
        """Return one line of the table."""
        peer = f"{self.peer} {figure(self.peer_value)}" if self.peer_value is not None else "-"
        state = {True: "yes", False: "NO", None: "-"}[self.met]
        value = f"{figure(self.value)} {self.unit}".strip()
        return f"{self.what:<52} {value:>16} {peer:>18}  {self.target:<18} {state:<3} {self.note}".rstrip()


HEAD = f"{'what':<52} {'ours':>16} {'peer':>18}  {'target':<18} met"


def figure(value: float) -> str:
    """Return three digits that count, large numbers by powers of ten."""
    return f"{value:.2e}" if abs(value) >= 1e5 else f"{value:.4g}"


def by_turns(works: Sequence[Callable[[], object]], repeats: int, device: str = "cpu") -> list[float]:
    """Return the median seconds of each work; see `turns`."""
    return [statistics.median(times) for times in turns(works, repeats, device)]


def turns(works: Sequence[Callable[[], object]], repeats: int, device: str = "cpu") -> list[list[float]]:
    """Return the seconds of each work, turn by turn: all are done in each turn, so that a loaded machine slows all.

    CPU time; beside another device the time on the wall, since the CPU only waits. The first turn warms up and is not
    counted. Each work must end with its result on the CPU.
    """
    clock = time.process_time if device == "cpu" else time.perf_counter
    seconds: list[list[float]] = [[] for _ in works]
    for turn in range(repeats + 1):
        for work, times in zip(works, seconds, strict=True):
            begun = clock()
            work()
            if turn:
                times.append(clock() - begun)
    return seconds


def peak_mebibytes() -> float:
    """Return the largest resident set that this process has had, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def slope(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """Return the slope of log time over log size: 1 is linear."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])
