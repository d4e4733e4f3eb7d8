"""Trials of a check, run in any order and yielded in theirs; what a store kept of an earlier run is not run again.

Wherever a trial runs, it draws from its own stream, and an exception of one comes out at its place in the order: so a
check sees the same under every executor, and when it is asked again by a run that was resumed.
"""

import os
import pickle
import time
import traceback
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from reports.executor import Executor

if TYPE_CHECKING:
    import numpy

Trial = TypeVar("Trial")
Result = TypeVar("Result")


class KeptTrials(Protocol):
    """What is kept of the trials of one call of `Context.map`."""

    @property
    def finished(self) -> Collection[int]:
        """Positions of the trials whose results are kept."""
        ...

    def recall(self, position: int) -> Any:
        """Return a kept result.

        Raises:
            LookupError: it cannot be read after all.
        """
        ...

    def keep(self, position: int, result: Any, seconds: float) -> Any:
        """Keep a result, and return it as `recall` would; a result that cannot be kept is returned as it is."""
        ...


class TrialStore(Protocol):
    """Keeps the results of one check's trials, so that a run that was stopped goes on."""

    def opened(self, purpose: str, fn: Callable[..., object], trials: Sequence[object]) -> KeptTrials:
        """Return what is kept of these trials."""
        ...


class TrialError(Exception):
    """Stands for an exception that cannot leave the process of its trial."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind
        """Name of its class."""


@dataclass(frozen=True)
class Outcome:
    """How a trial ended."""

    result: Any
    """What it gave; None where it raised."""
    error: Exception | None
    """What it raised."""
    seconds: float
    """How long it ran."""


@dataclass(frozen=True)
class Seeded(Generic[Trial, Result]):
    """Calls `fn(trial, rng)` with the stream of that trial; built in the worker, so that every executor agrees."""

    fn: "Callable[[Trial, numpy.random.Generator], Result]"
    home: int
    """Process of the check."""

    def __call__(self, seeded: tuple[int, Trial]) -> Outcome:
        """Return how the trial ended; its exceptions are results too, since others may be due before them."""
        import numpy

        stream, trial = seeded
        begun = time.perf_counter()
        try:
            result = self.fn(trial, numpy.random.default_rng(stream))
        except Exception as error:
            told = error if os.getpid() == self.home else _travelling(error)
            return Outcome(None, told, time.perf_counter() - begun)
        return Outcome(result, None, time.perf_counter() - begun)


@dataclass(frozen=True)
class _Nothing:
    """Keeps nothing."""

    finished: Collection[int] = ()

    def recall(self, position: int) -> Any:
        raise LookupError(position)

    def keep(self, _position: int, result: Any, _seconds: float) -> Any:
        return result


def run_trials(
    fn: "Callable[[Trial, numpy.random.Generator], Result]",
    seeded: Sequence[tuple[int, Trial]],
    executor: Executor,
    *,
    kept: KeptTrials | None = None,
    progress: Callable[[int, int], None],
) -> Iterator[Result]:
    """Yield the results of trials in their order.

    Args:
        fn: a function of a module, so that another process can import it.
        seeded: the stream and the trial, each.
        executor: runs those that are not kept.
        kept: what is kept of them.
        progress: told (done, total) as trials finish.
    """
    call, kept = Seeded(fn, os.getpid()), kept or _Nothing()
    due = [position for position in range(len(seeded)) if position not in kept.finished]
    arriving = iter(executor.map(call, [seeded[position] for position in due]))
    early: dict[int, Outcome] = {}
    done = len(seeded) - len(due)
    if done:
        progress(done, len(seeded))
    for position in range(len(seeded)):
        if position in kept.finished:
            yield _recalled(kept, position, call, seeded[position])
            continue
        while position not in early:
            place, outcome = next(arriving)
            early[due[place]] = _kept(kept, due[place], outcome)
            done += 1
            progress(done, len(seeded))
        yield _result(early.pop(position))


def _recalled(kept: KeptTrials, position: int, call: Seeded[Trial, Result], seeded: tuple[int, Trial]) -> Any:
    """Return a kept result; one that cannot be read is computed here and now."""
    try:
        return kept.recall(position)
    except LookupError:
        return _result(_kept(kept, position, call(seeded)))


def _kept(kept: KeptTrials, position: int, outcome: Outcome) -> Outcome:
    if outcome.error is not None:
        return outcome
    return Outcome(kept.keep(position, outcome.result, outcome.seconds), None, outcome.seconds)


def _result(outcome: Outcome) -> Any:
    if outcome.error is not None:
        raise outcome.error
    return outcome.result


def _travelling(error: Exception) -> Exception:
    """Return an exception of a worker with what its traceback said, or what stands for one that does not travel."""
    error.add_note(traceback.format_exc())
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301  our own, made a moment ago
    except Exception:  # whatever its class does when it is built again
        return TrialError(type(error).__name__)
    return error
