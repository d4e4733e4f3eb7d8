"""Trials come in their order with their exceptions at their places, wherever they ran and whatever was kept."""

import pickle
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

import numpy as np
import pytest

from reports.executor import Executor, Serial
from reports.trials import Seeded, TrialError, run_trials


class Backwards:
    """An executor that finishes the last trial first."""

    def map(self, fn: Callable[[Any], Any], trials: Iterable[Any]) -> Iterator[tuple[int, Any]]:
        yield from reversed([(i, fn(t)) for i, t in enumerate(trials)])


class Shelf:
    """Keeps results, and forgets how to read some of them."""

    def __init__(self, kept: dict[int, Any], unreadable: Collection[int] = ()) -> None:
        self.kept, self.unreadable = kept, unreadable
        self.finished = frozenset(kept)

    def recall(self, position: int) -> Any:
        if position in self.unreadable:
            raise LookupError(position)
        return self.kept[position]

    def keep(self, position: int, result: Any, seconds: float) -> Any:
        assert seconds >= 0
        self.kept[position] = result
        return result


class StubbornError(Exception):
    def __init__(self, one: int, other: int) -> None:
        super().__init__("it does not travel")


def halved(trial: int, _rng: np.random.Generator) -> float:
    if trial == 3:
        raise KeyError(trial)
    return 6 / trial


def stubborn(trial: int, _rng: np.random.Generator) -> float:
    raise StubbornError(trial, trial)


def ran(executor: Executor, trials: list[int], kept: Shelf | None = None) -> Iterator[float]:
    return run_trials(halved, [(0, t) for t in trials], executor, kept=kept, progress=lambda done, total: None)


@pytest.mark.parametrize("executor", [Serial(), Backwards()])
def test_the_first_exception_in_order_comes_out_after_what_was_before_it(executor: Executor) -> None:
    found = ran(executor, [1, 2, 3, 0])  # the last one raises too, and elsewhere it is the first to end
    assert [next(found), next(found)] == [6.0, 3.0]
    with pytest.raises(KeyError):
        next(found)


@pytest.mark.parametrize("executor", [Serial(), Backwards()])
def test_what_is_kept_is_not_run_and_what_cannot_be_read_is(executor: Executor) -> None:
    shelf = Shelf({0: "kept", 2: "lost"}, unreadable=[2])
    assert list(ran(executor, [1, 2, 6], shelf)) == ["kept", 3.0, 1.0]
    assert shelf.kept == {0: "kept", 1: 3.0, 2: 1.0}


def test_what_raised_is_not_kept() -> None:
    shelf = Shelf({})
    with pytest.raises(KeyError):
        list(ran(Serial(), [1, 3], shelf))
    assert shelf.kept == {0: 6.0}


def test_an_exception_from_another_process_brings_its_traceback_or_a_stand_in() -> None:
    elsewhere = Seeded(halved, home=-1)((0, 3))
    assert isinstance(elsewhere.error, KeyError)
    assert "in halved" in pickle.loads(pickle.dumps(elsewhere.error)).__notes__[0]
    told = Seeded(stubborn, home=-1)((0, 1)).error
    assert isinstance(told, TrialError) and told.kind == "StubbornError"
    assert pickle.loads(pickle.dumps(told)).kind == "StubbornError"
