"""Trials on several processors or machines: `Process` (joblib's loky workers) and `Ray` (`audit.ray_executor`).

Both yield what `reports.executor.Serial` yields, in another order: a trial carries its own seed, so no result depends
on which worker ran it, nor when. A trial that cannot be sent, or whose result cannot be sent back, is run here.
"""

import os
import pickle
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, TypeVar

from audit.ray_executor import ExecutorError, Ray, imported_ray
from audit.store_errors import WorkerLostError
from audit.worker import in_worker, local_plugins, packed, safe_path
from reports.executor import Executor, Serial

NAMES = ("serial", "process", "ray")
__all__ = ["NAMES", "ExecutorError", "Process", "Ray", "named_executor"]
Trial = TypeVar("Trial")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Process:
    """One worker process a processor, on this machine.

    Trials are taken from their iterable as workers become free, so that a long one is never in memory as a whole.
    """

    workers: int = -1
    """Worker processes; -1 is one for each processor that this process may use."""

    def map(self, fn: Callable[[Trial], Result], trials: Iterable[Trial]) -> Iterator[tuple[int, Result]]:
        """Yield (position, result) in the order in which they finish; an exception of `fn` ends the iteration.

        Raises:
            WorkerLostError: a worker was killed, as by a machine that ran out of memory.
        """
        from joblib import Parallel, delayed, parallel_config

        here: dict[int, Trial] = {}  # those that are out, until their results are in

        def sent() -> Iterator[Any]:
            for position, trial in enumerate(trials):
                here[position] = trial
                yield delayed(in_worker)(os.getpid(), local_plugins(), position, packed((fn, trial)))

        with parallel_config("loky", n_jobs=self.workers, inner_max_num_threads=1):
            run = Parallel(return_as="generator_unordered", batch_size=1)
        try:
            with safe_path():
                for position, data in run(sent()):
                    trial = here.pop(position)
                    yield position, fn(trial) if data is None else pickle.loads(data)  # noqa: S301  our worker packed it
        except BrokenProcessPool as error:
            told = "a worker process was killed, perhaps since the memory did not suffice"
            raise WorkerLostError("executor.lost", told, "Try again, or with --executor serial.") from error


def named_executor(name: str) -> Executor:
    """Return the executor of one of the `NAMES`.

    Raises:
        ExecutorError: no such name, or Ray is not installed.
    """
    if name == "serial":
        return Serial()
    if name == "process":
        return Process()
    if name == "ray":
        imported_ray()
        return Ray()
    raise ExecutorError("executor.unknown", f"there is no executor {name!r}", f"Take one of {', '.join(NAMES)}.")
