"""The detection matrix: which check caught which flaw, and which accused a sound twin; by `reports.self_test`. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reports.model import Effort, Status
from reports.self_test import (
    NotTried,
    SelfTestSummary,
    Statuses,
    TriedFlaw,
    alarms,
    caught,
    detected,
    summary_of,
    undecided,
)

if TYPE_CHECKING:
    from audit.selftest.flaw import Flaw
    from audit.selftest.play import Observed


@dataclass(frozen=True)
class Row:
    """A flaw and its twin under one seed."""

    flaw: str
    """Id."""
    title: str
    """What is wrong with the flawed one."""
    caught_by: tuple[str, ...]
    """Checks of which one at least has to notice."""
    expects: Status
    """What a check that notices answers."""
    seed: int
    """Root seed."""
    flawed: Statuses = field(default_factory=dict)
    """Check to its answer on the flawed system; empty where it could not be played."""
    twin: Statuses = field(default_factory=dict)
    """Check to its answer on the sound one."""
    seconds: float = 0.0
    """Of both."""
    faults: tuple[str, ...] = ()
    """Why either could not be played."""
    spared: tuple[str, ...] = ()
    """Globs of checks that neither was asked."""

    @property
    def caught(self) -> tuple[str, ...]:
        """Which of the checks that have to notice did."""
        return caught(self.caught_by, self.expects, self.flawed, self.twin)

    @property
    def errors(self) -> tuple[str, ...]:
        """Why either could not be played, and which checks broke off."""
        sides = (("on the flaw", self.flawed), ("on the twin", self.twin))
        broken = (f"{check} broke off {side}" for side, said in sides for check in sorted(said) if _broke(said[check]))
        return (*self.faults, *broken)

    @property
    def detected(self) -> bool:
        """Whether the flaw was noticed; never of one that could not be played."""
        return not self.errors and detected(self.caught_by, self.expects, self.flawed, self.twin)

    @property
    def also(self) -> tuple[str, ...]:
        """Other checks that fail the flawed system and not its twin."""
        failing = {check for check, status in self.flawed.items() if status is Status.FAIL}
        return tuple(sorted(failing - set(self.caught_by) - set(self.alarms)))

    @property
    def alarms(self) -> tuple[str, ...]:
        """Checks that accuse the twin."""
        return alarms(self.twin)

    @property
    def undecided(self) -> tuple[str, ...]:
        """Checks that have to notice and cannot decide on the twin."""
        return undecided(self.caught_by, self.twin)

    @property
    def noun(self) -> TriedFlaw:
        """The row as evidence: without seconds, nor what was skipped, unless that is the answer waited for."""
        waited = self.caught_by if self.expects is Status.SKIPPED else ()
        flawed, twin = (
            {check: said[check] for check in sorted(said) if said[check] is not Status.SKIPPED or check in waited}
            for said in (self.flawed, self.twin)
        )
        return TriedFlaw(
            id=self.flaw, title=self.title, caught_by=self.caught_by, expects=self.expects, seed=self.seed,
            flaw=flawed, twin=twin, detected=self.detected, false_alarm=bool(self.alarms), undecided=self.undecided,
            errors=self.errors, spared=self.spared,
        )  # fmt: skip


def _broke(status: Status) -> bool:
    return status is Status.ERROR


@dataclass(frozen=True)
class Matrix:
    """What a self-test showed."""

    effort: Effort
    """Of the audits."""
    seeds: tuple[int, ...]
    """Root seeds."""
    rows: tuple[Row, ...]
    """By seed and id."""
    left_out: tuple[NotTried, ...] = ()
    """Flaws that were not planted, and why."""
    checks: tuple[str, ...] = ()
    """The catalogue of checks."""
    is_whole: bool = True
    """Whether all flaws were chosen."""

    @property
    def summary(self) -> SelfTestSummary:
        """The numbers."""
        return summary_of([row.noun for row in self.rows])

    @property
    def is_clean(self) -> bool:
        """Whether there was a flaw, every one was noticed and no twin accused."""
        summary = self.summary
        return summary.detected == summary.flaws > 0 and not summary.false_alarms and not summary.errors


def rows_of(flaws: Sequence["Flaw"], observed: Iterable["Observed"]) -> tuple[Row, ...]:
    """Return a row for every flaw and seed of which both cases were played, by seed and id.

    Args:
        flaws: what was planted.
        observed: what was said of the cases, in any order.
    """
    cases: dict[tuple[int, str], dict[bool, Observed]] = {}
    for one in observed:
        cases.setdefault((one.case.seed, one.case.flaw), {})[one.case.planted] = one
    known = {one.id: one for one in flaws}
    return tuple(
        _row(known[flaw], seed, pair)
        for (seed, flaw), pair in sorted(cases.items())
        if len(pair) == 2 and flaw in known
    )


def _row(flaw: "Flaw", seed: int, pair: Mapping[bool, "Observed"]) -> Row:
    planted, twin = pair[True], pair[False]
    faults = [(name, one.error) for name, one in (("the flaw", planted), ("the twin", twin)) if one.error]
    return Row(
        flaw.id, flaw.title, flaw.caught_by, flaw.expects, seed, planted.statuses, twin.statuses,
        planted.seconds + twin.seconds, tuple(f"{name} could not be played: {error}" for name, error in faults),
        flaw.spared,
    )  # fmt: skip


def why_left_out(flaw: "Flaw", effort: Effort, installed: Iterable[str]) -> str:
    """Return why a flaw is not planted: "effort:LEAST" or "extra:NAME"; empty where it is.

    Args:
        flaw: which.
        effort: of the audits.
        installed: extras that are there, as `extra:NAME`.
    """
    if flaw.extra is not None and f"extra:{flaw.extra}" not in set(installed):
        return f"extra:{flaw.extra}"
    return "" if effort.at_least(flaw.least) else f"effort:{flaw.least}"
