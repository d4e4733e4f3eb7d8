"""What a piece of work takes: CPU-seconds, and the most memory that the process held meanwhile."""

import contextlib
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Cost", "Spent", "spending"]

RESET, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
"""Where Linux lets a process forget its largest size, and tells it."""


@dataclass
class Spent:
    """The cost of one piece of work; it is filled in when the work is done."""

    cpu_s: float = 0.0
    """CPU-seconds of this process, all threads."""
    peak_rss_mib: float = 0.0
    """Largest resident memory during the work, MiB; since the process began where the system cannot start anew, and 0
    where it does not say."""


@dataclass
class Cost:
    """What the steps of one fit take; never part of a report."""

    collect_cpu_s: float = 0.0
    solve_cpu_s: float = 0.0
    """Of the returned edit alone."""
    select_cpu_s: float = 0.0
    """Of all other candidates, and of what was generated."""
    tokens: int = 0
    """Tokens that were read for activations."""

    @contextlib.contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Add the CPU-seconds of a block to one of the figures; blocks may lie in one another."""
        begun = _cpu_s()
        try:
            yield
        finally:
            setattr(self, name, getattr(self, name) + _cpu_s() - begun)

    @property
    def peak_rss_mib(self) -> float:
        """Largest resident memory of this process since it began or was last told to forget it, MiB."""
        return _peak_mib()


@contextlib.contextmanager
def spending() -> Iterator[Spent]:
    """Measure what is done inside; whatever happens there, what was spent is told."""
    with contextlib.suppress(OSError):
        RESET.write_text("5")  # proc(5): resets the peak resident set size
    found, begun = Spent(), _cpu_s()
    try:
        yield found
    finally:
        found.cpu_s = _cpu_s() - begun
        found.peak_rss_mib = _peak_mib()


def _cpu_s() -> float:
    """Return the CPU-seconds of this process so far, all threads: the one clock of all costs."""
    return time.process_time()


def _peak_mib() -> float:
    """Return the largest resident set size since the last reset, MiB."""
    with contextlib.suppress(OSError):
        for line in STATUS.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 2**10
    try:
        import resource
    except ImportError:  # not a Unix
        return 0.0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
