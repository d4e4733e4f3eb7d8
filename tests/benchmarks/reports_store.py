"""How long a run that was stopped takes to start again: the store of 10^5 finished trials."""

import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from reports_rows import Row

from audit.store import RunStore
from reports.check import Check, Context
from reports.model import Effort, System

if TYPE_CHECKING:
    import numpy

TRIALS = 100_000
MOST_SECONDS = 2.0
NOW = datetime(2026, 11, 21, tzinfo=UTC)
CHECK = Check("bench.trials", "It is so", lambda _system, _ctx: iter(()))
SYSTEM = System.model_validate(
    {"name": "s", "version": "1", "source": {"path": "s.toml", "sha256": "0" * 64, "size": 1, "kind": "source"}}
)


def drawn(trial: int, rng: "numpy.random.Generator") -> tuple[int, float]:
    """A trial that costs nothing but its stream."""
    return trial, float(rng.random())


def store_rows(repeats: int) -> list[Row]:
    """Return how long it takes until trials are kept, until the first is there again, and until all are.

    The medians stand beside the seconds of the processor in a note: on a loaded machine those tell more.
    """
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle"
        kept = _run(bundle)[1]
        again = [_run(bundle) for _ in range(repeats)]
    first, every, busy = (statistics.median(one[place] for one in again) for place in (0, 1, 2))
    note = f"{busy:.2f} s of processor"
    return [
        Row(f"store: {TRIALS} trials run and kept", kept, "", None, "-", met=True),
        Row(f"store: {TRIALS} trials resumed", first, "", None, "<= 2 s to start again", first <= MOST_SECONDS, note),
        Row(f"store: {TRIALS} results read", every, "", None, "-", met=True),
    ]


def _run(bundle: Path) -> tuple[float, float, float]:
    """Run what is not kept; return the seconds until the first result, until the last, and of work for the first."""
    began, idle = time.perf_counter(), time.process_time()
    with RunStore(bundle, leftover="resume") as store:
        store.bind({"root_seed": "1"}, NOW, now_was_said=True)
        ctx = Context(CHECK, SYSTEM, 1, Effort.SMOKE, Path(), NOW, store, trials=store.trials(CHECK.id))
        results = ctx.map(drawn, range(TRIALS), purpose="p")
        next(results)
        first, busy = time.perf_counter() - began, time.process_time() - idle
        for _ in results:
            pass
    return first, time.perf_counter() - began, busy
