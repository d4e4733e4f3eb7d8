"""The self-test as a whole: every flaw and its twin under every seed, each case a trial of the executor."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from audit.plan import capabilities
from audit.selftest.flaw import VERIFY, Flaw
from audit.selftest.matrix import Matrix, rows_of, why_left_out
from audit.selftest.play import Case, Observed, play
from audit.selftest.zoo import chosen, zoo
from reports.check import discover
from reports.executor import Executor, Serial
from reports.model import Effort
from reports.self_test import NotTried

SEED = 2026
"""The seed that is shipped: the one that is taken where none is chosen."""
Played = Callable[[Observed, int, int], None]
"""Told (what was said of a case, cases done, cases in all)."""


def _silent(_observed: Observed, _done: int, _total: int) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class Series:
    """What a self-test plants: flaws, seeds, and how the audits are made."""

    flaws: tuple[Flaw, ...]
    """That are planted."""
    left_out: tuple[NotTried, ...]
    """That are not, and why."""
    seeds: tuple[int, ...]
    """Root seeds."""
    effort: Effort
    """Of the audits."""
    now: datetime
    """The clock of the audits."""
    is_whole: bool = True
    """Whether all flaws were chosen."""

    @property
    def cases(self) -> tuple[Case, ...]:
        """Every case, a flaw beside its twin."""
        return tuple(
            Case(flaw.id, planted, seed, self.effort, self.now)
            for seed in self.seeds
            for flaw in self.flaws
            for planted in (True, False)
        )

    def matrix(self, observed: Iterable[Observed]) -> Matrix:
        """Return the matrix of what was said of the cases."""
        return Matrix(self.effort, self.seeds, rows_of(self.flaws, observed), self.left_out, catalogue(), self.is_whole)


def catalogue() -> tuple[str, ...]:
    """Return the ids of all checks, and `verify`."""
    return (*(check.id for check in discover()), VERIFY)


def series(
    *, only: Sequence[str] = (), seeds: Sequence[int] = (SEED,), effort: Effort = Effort.SMOKE, now: datetime
) -> Series:
    """Return what is planted.

    Args:
        only: globs of flaws; all where there is none.
        seeds: root seeds.
        effort: of the audits; a flaw that nobody can notice at it is left out.
        now: the clock of the audits.

    Raises:
        FlawError: a glob fits no flaw.
    """
    asked, installed = chosen(only), capabilities()
    reasons = {flaw.id: why_left_out(flaw, effort, installed) for flaw in asked}
    left_out = (NotTried(id=one.id, title=one.title, reason=why) for one in asked if (why := reasons[one.id]))
    return Series(
        tuple(flaw for flaw in asked if not reasons[flaw.id]),
        tuple(left_out),
        tuple(seeds),
        effort,
        now,
        is_whole=len(asked) == len(zoo()),
    )


def run_selftest(
    planned: Series,
    *,
    executor: Executor | None = None,
    finished: Iterable[Observed] = (),
    played: Played = _silent,
) -> Matrix:
    """Play every case and return the matrix; the same whichever executor plays them.

    Args:
        planned: what is planted.
        executor: plays the cases; one after another where None.
        finished: what an earlier self-test has observed; those cases are not played again.
        played: told of each case as it ends.
    """
    observed = list(finished)
    for one in _played(planned, executor or Serial(), observed):
        observed.append(one)
        played(one, len(observed), len(planned.cases))
    return planned.matrix(observed)


def _played(planned: Series, executor: Executor, finished: Sequence[Observed]) -> Iterator[Observed]:
    known = {one.case for one in finished}
    due = [case for case in planned.cases if case not in known]
    for _, one in executor.map(play, due):
        yield one
