"""The same trials on one process, on several and on a Ray cluster: wall time here, and what would limit it further up.

Run `python tests/benchmarks/bench_executors.py [--flaw GLOB...] [--effort E] [--workers N] [--repeats K] [--json]`.
The trials are cases of the self-test, whole audits. Executors take turns; the evidence of each must be that of the
serial run, byte for byte. What follows for w workers is a model, not a measurement:

    wall(w) = start-up + makespan of the measured trials, handed out in their order to w workers + w-independent rest

with each trial as long as it was while all processors here were busy. It leaves out the network: a trial travels as a
few hundred bytes here, as its data where a check has data in its trials.
"""

import argparse
import heapq
import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from audit.executors import Process, Ray
from audit.selftest.evidence import evidence_of
from audit.selftest.play import Observed
from audit.selftest.series import Series, run_selftest, series
from reports.executor import Executor, Serial
from reports.model import Effort
from reports.self_test import canonical_self_test

NOW = datetime(2026, 11, 22, tzinfo=UTC)
WORKERS = (1, 2, 4, 8, 16, 32, 64)
EMPTY_TRIALS = 400
FLAWS = ("dp-*", "leak-*", "secagg-double-reveal", "secagg-overflow", "vertical-*", "imprint-layer", "overfit-model")


@dataclass(frozen=True)
class Timed:
    """One run of all trials."""

    wall: float
    """Seconds from the first hand-out to the last result."""
    trials: tuple[float, ...]
    """Seconds of each, in order."""
    evidence: bytes
    """What the self-test would write."""


def nothing(trial: int) -> int:
    """A trial that does nothing."""
    return trial


def loading(_trial: int) -> None:
    """A trial that loads what an audit needs."""
    import audit.run
    from audit.selftest.series import catalogue

    assert audit.run and catalogue()


def timed(planned: Series, executor: Executor) -> Timed:
    """Return how long all trials took, and what they showed."""
    seconds: dict[tuple[str, bool, int], float] = {}

    def tell(one: Observed, done: int, total: int) -> None:
        seconds[one.case.flaw, one.case.planted, one.case.seed] = one.seconds

    begun = time.perf_counter()
    matrix = run_selftest(planned, executor=executor, finished=(), played=tell)
    wall = time.perf_counter() - begun
    ordered = tuple(seconds[case.flaw, case.planted, case.seed] for case in planned.cases)
    return Timed(wall, ordered, canonical_self_test(evidence_of(matrix, NOW.date())))


def overhead(executor: Executor) -> tuple[float, float]:
    """Return seconds until workers are there with the programs loaded, and seconds of an empty trial from then on."""
    begun = time.perf_counter()
    list(executor.map(loading, range(2 * (os.cpu_count() or 1))))
    start = time.perf_counter() - begun
    begun = time.perf_counter()
    list(executor.map(nothing, range(EMPTY_TRIALS)))
    return start, (time.perf_counter() - begun) / EMPTY_TRIALS


def makespan(trials: Sequence[float], workers: int) -> float:
    """Return when the last of the trials is done, each given to the first worker that is free."""
    free = [0.0] * workers
    for seconds in trials:
        heapq.heapreplace(free, free[0] + seconds)
    return max(free)


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flaw", action="append", metavar="GLOB", help="which flaws of the zoo; a dozen cheap ones")
    parser.add_argument("--effort", choices=[str(effort) for effort in Effort], default="smoke")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes here")
    parser.add_argument("--repeats", type=int, default=3, help="runs behind each median")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    given = parser.parse_args()
    planned = series(only=tuple(given.flaw or FLAWS), seeds=range(1, 2), effort=Effort(given.effort), now=NOW)
    _on_this_machine(given.workers)
    executors: dict[str, Callable[[], Executor]] = {
        "serial": Serial,
        "process": lambda: Process(given.workers),
        "ray": Ray,
    }
    started = {name: overhead(make()) for name, make in executors.items()}
    runs: dict[str, list[Timed]] = {name: [] for name in executors}
    for _ in range(given.repeats):
        for name, make in executors.items():
            runs[name].append(timed(planned, make()))
    [_] = {one.evidence for of in runs.values() for one in of}  # fails where two differ by a byte
    wall = {name: statistics.median(one.wall for one in of) for name, of in runs.items()}
    busy = min(runs["process"], key=lambda one: one.wall).trials
    alone = min(runs["serial"], key=lambda one: one.wall).trials
    rows = [
        {
            "executor": name, "workers": 1 if name == "serial" else given.workers, "wall_s": round(wall[name], 2),
            "speed_up": round(wall["serial"] / wall[name], 2), "start_up_s": round(started[name][0], 3),
            "dispatch_ms": round(started[name][1] * 1000, 3),
        }
        for name in executors
    ]  # fmt: skip
    model = [
        {"workers": w, "wall_s": round(makespan(busy, w), 2), "speed_up": round(sum(alone) / makespan(busy, w), 2)}
        for w in WORKERS
    ]
    told = {
        "trials": len(alone), "trials_s": round(sum(alone), 2), "longest_s": round(max(alone), 2),
        "slower_when_busy": round(sum(busy) / sum(alone), 3), "measured": rows, "modelled": model,
        "load": os.getloadavg()[0],
    }  # fmt: skip
    print(json.dumps(told, indent=2) if given.json else _table(told))


def _on_this_machine(workers: int) -> None:
    """Start a cluster of this machine's processors, whatever `RAY_ADDRESS` names."""
    import ray

    ray.init(address="local", num_cpus=workers, include_dashboard=False, log_to_driver=False, logging_level="ERROR")


def _table(told: dict[str, object]) -> str:
    told_of_all = (
        "{trials} trials, {trials_s} s one after another, the longest {longest_s} s; {slower_when_busy} times as "
    )
    lines = [(told_of_all + "long beside one another; load {load:.1f}").format(**told)]
    for head in ("measured", "modelled"):
        lines.append(head)
        lines += ["  " + ", ".join(f"{key} {value}" for key, value in row.items()) for row in told[head]]  # type: ignore[attr-defined]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
