"""How often a check accuses a sound system: twins of the self-test's flaws, each built under many seeds and asked.

    python tests/benchmarks/null_systems.py [--flaw GLOB]... [--check GLOB]... [--systems 200] [--effort smoke|standard]
        [--executor serial|process|ray] [--planted] [--json]

Seeds are 1 to --systems. Without --check, a twin is asked each statistical check that must catch its flaw. A row tells
answers by status, and of the share of accusations the one-sided Clopper-Pearson upper bound at 95 %. Returns 1 if a
check accused more than one sound system in twenty, or broke on one. With --planted the flaws
are asked in place of the twins: power beside error, and returns 0.
"""

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path

from audit.executors import NAMES, named_executor
from audit.request import Request
from audit.run import ask_system
from audit.selftest.flaw import Flaw
from audit.selftest.play import Case, Discarded, built, gravest
from audit.selftest.zoo import chosen
from reports.check import discover
from reports.errors import FedauditError
from reports.model import Effort, Status, Strength
from reports.statistics import clopper_pearson

SYSTEMS, MOST_ACCUSED = 200, 0.05
NOW = datetime(2026, 11, 22, tzinfo=UTC)
STATUSES = (Status.FAIL, Status.PASS, Status.INCONCLUSIVE, Status.SKIPPED, Status.ERROR)
"""Columns of the table."""


@dataclass(frozen=True)
class Trial:
    """One system and what it is asked."""

    case: Case
    """Which."""
    checks: tuple[str, ...]
    """Globs of checks."""


@dataclass(frozen=True)
class Row:
    """What one check said of the systems of one flaw."""

    flaw: str
    """Id."""
    check: str
    """Id, or `(not built)` where the system could not be made or asked."""
    said: Counter[str]
    """Systems by what it answered."""

    @property
    def systems(self) -> int:
        """Systems that were asked."""
        return sum(self.said.values())

    @property
    def answered(self) -> int:
        """Systems that it did not skip, nor break on."""
        return self.systems - self.said[Status.SKIPPED] - self.said[Status.ERROR]

    @property
    def accused(self) -> int:
        """Systems that it failed."""
        return self.said[Status.FAIL]

    @property
    def upper(self) -> float:
        """The share of accusations is at most this, with 95 % confidence."""
        return clopper_pearson(self.accused, self.answered, side="one").high if self.answered else 1.0

    def __str__(self) -> str:
        counts = "".join(f"{self.said[status]:>7}" for status in STATUSES)
        return f"{self.flaw:<36}{self.check:<34}{self.systems:>5}{counts}   <= {self.upper:.2%}"


def main() -> int:
    """Print a row for each flaw and check as it is counted."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--flaw", action="append", default=[], metavar="GLOB")
    parser.add_argument("--check", action="append", default=[], metavar="GLOB")
    parser.add_argument("--systems", type=int, default=SYSTEMS)
    parser.add_argument("--effort", type=Effort, choices=list(Effort), default=Effort.SMOKE)
    parser.add_argument("--executor", choices=NAMES, default="serial")
    parser.add_argument("--planted", action="store_true")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    if not asked.json:
        heads = "".join(f"{status[:6]:>7}" for status in STATUSES)
        print(f"{'flaw' if asked.planted else 'twin of':<36}{'check':<34}{'n':>5}{heads}   accused, 95 %")
    wrong = 0
    for one in chosen(asked.flaw):
        checks = tuple(asked.check) or statistical(one)
        if not checks or (asked.effort is Effort.SMOKE and one.least is not Effort.SMOKE):
            continue
        for row in rows(one, checks, asked):
            fields = {"flaw": row.flaw, "check": row.check, "systems": row.systems, "said": row.said,
                      "upper": row.upper, "planted": asked.planted, "effort": asked.effort}  # fmt: skip
            print(json.dumps(fields) if asked.json else row, flush=True)
            wrong += row.accused > MOST_ACCUSED * row.answered or row.said[Status.ERROR] > 0
    return 1 if wrong and not asked.planted else 0


def statistical(one: Flaw) -> tuple[str, ...]:
    """Return the checks that must catch a flaw and that decide by numbers drawn or measured, not by reading."""
    return tuple(
        check.id
        for check in discover()
        if check.strength is Strength.STATISTICAL and any(fnmatchcase(check.id, glob) for glob in one.caught_by)
    )


def rows(one: Flaw, checks: tuple[str, ...], asked: argparse.Namespace) -> Iterator[Row]:
    """Yield what each check answered, over all seeds."""
    trials = [
        Trial(Case(one.id, asked.planted, seed, asked.effort, NOW), checks) for seed in range(1, asked.systems + 1)
    ]
    said: dict[str, Counter[str]] = {}
    for _, answers in named_executor(asked.executor).map(played, trials):
        for check, status in answers.items():
            said.setdefault(check, Counter())[status] += 1
    for check in sorted(said):
        yield Row(one.id, check, said[check])


def played(trial: Trial) -> dict[str, str]:
    """Build one system, ask it, and return the gravest answer of each check that applies."""
    [one] = chosen([trial.case.flaw])
    with tempfile.TemporaryDirectory(prefix="fedaudit-null-") as place:
        folder = Path(place) / "system"
        try:
            make = built(one, trial.case, folder)
            request = Request(
                folder / "system.toml", None, NOW, effort=trial.case.effort, seed=make.seed, only=trial.checks
            )
            return dict(gravest(ask_system(request, Discarded()).findings))
        except FedauditError as fault:
            return {f"({fault.code})": Status.ERROR}


if __name__ == "__main__":
    sys.exit(main())
