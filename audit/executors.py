"""Trials on several processors or machines: `Process` (joblib's loky workers) and `Ray` (the extra [ray]).

Both yield what `reports.executor.Serial` yields, in another order: a trial carries its own seed, so no result depends
on which worker ran it, nor when. A trial that cannot be sent, or whose result cannot be sent back, is run here.
"""

import os
import pickle
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from audit.store_errors import WorkerLostError
from audit.worker import in_worker, local_plugins, one_thread, packed
from reports.errors import FedauditError
from reports.executor import Executor, Serial

NAMES = ("serial", "process", "ray")
SAFE_PATH = "PYTHONSAFEPATH"
"""Tells every Python that is started to import nothing from the folder it is started in, which the owner may fill."""
Trial = TypeVar("Trial")
Result = TypeVar("Result")


class ExecutorError(FedauditError):
    """The executor asked for is not on this machine."""


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
            with _safe_path():
                for position, data in run(sent()):
                    trial = here.pop(position)
                    yield position, fn(trial) if data is None else pickle.loads(data)  # noqa: S301  our worker packed it
        except BrokenProcessPool as error:
            told = "a worker process was killed, perhaps since the memory did not suffice"
            raise WorkerLostError("executor.lost", told, "Try again, or with --executor serial.") from error


@contextmanager
def _safe_path() -> Iterator[None]:
    """Set `SAFE_PATH` for what is started meanwhile, and nothing else."""
    before = os.environ.get(SAFE_PATH)
    os.environ[SAFE_PATH] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[SAFE_PATH]
        else:
            os.environ[SAFE_PATH] = before


@dataclass(frozen=True)
class Ray:
    """A Ray cluster: the one that `RAY_ADDRESS` names, or one on this machine for as long as this process lives."""

    in_flight: int = 64
    """Trials handed out at a time, at most: a long iterable is never in memory as a whole."""

    def map(self, fn: Callable[[Trial], Result], trials: Iterable[Trial]) -> Iterator[tuple[int, Result]]:
        """Yield (position, result) in the order in which they finish.

        Raises:
            ExecutorError: Ray is not installed.
        """
        ray = _ray()
        os.environ[SAFE_PATH] = "1"
        if not ray.is_initialized():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # Ray's about its own defaults for accelerators
                ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        remote, function = ray.remote(_placed), ray.put(fn)
        flying: list[Any] = []
        for position, trial in enumerate(trials):
            flying.append(remote.remote(function, position, trial))
            if len(flying) >= self.in_flight:
                yield _landed(ray, flying)
        while flying:
            yield _landed(ray, flying)


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
        _ray()
        return Ray()
    raise ExecutorError("executor.unknown", f"there is no executor {name!r}", f"Take one of {', '.join(NAMES)}.")


def _placed(fn: Callable[[Trial], Result], position: int, trial: Trial) -> tuple[int, Result]:
    """Run a trial in Ray's worker, and keep its position beside the result."""
    with one_thread():
        return position, fn(trial)


def _landed(ray: Any, flying: list[Any]) -> Any:
    """Return the result of the first trial that is done, and take it from those in flight."""
    [done], rest = ray.wait(flying, num_returns=1)
    flying[:] = rest
    return ray.get(done)


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise ExecutorError("executor.missing", "Ray is not installed", "pip install fedaudit[ray]") from error
    return ray
