"""How trials are run: one protocol, and the serial way of it.

`process` and `ray` live in `audit/executors.py` and are handed in, so that every package may run trials. Randomness
belongs to the trial, never to the worker: the same numbers come out of every executor.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

Trial = TypeVar("Trial")
Result = TypeVar("Result")


class Executor(Protocol):
    """Runs trials in any order."""

    def map(self, fn: Callable[[Trial], Result], trials: Iterable[Trial]) -> Iterator[tuple[int, Result]]:
        """Yield (position, result) of `fn(trial)` for each trial, in the order in which they finish.

        `fn` must be a function of a module, so that another process can import it.
        """
        ...


class Serial:
    """One trial after another, in this process."""

    def map(self, fn: Callable[[Trial], Result], trials: Iterable[Trial]) -> Iterator[tuple[int, Result]]:
        """Yield (position, result) in the order of the trials."""
        for position, trial in enumerate(trials):
            yield position, fn(trial)
