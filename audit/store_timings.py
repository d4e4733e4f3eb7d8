"""How long checks and trials took, from the store that `--keep-run` kept. No report holds a duration; this does."""

import sqlite3
import statistics
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from audit.store import run_folder
from audit.store_database import NAME
from audit.store_errors import RunStoreError, damaged


@dataclass(frozen=True)
class CheckTiming:
    """How long one check took."""

    check: str
    """Its id."""
    seconds: float
    """From its question to its answer, in the run that ended it; what an interrupted run had spent is not in it."""
    trials: int
    """Trials that are kept."""
    trial_seconds: float
    """Of all of them together, wherever they ran."""
    median_seconds: float | None
    """Of a trial; None where there is none."""
    longest_seconds: float | None
    """Of a trial; None where there is none."""


def timings(bundle: Path) -> tuple[CheckTiming, ...]:
    """Return how long the checks of a kept run took, the longest first.

    Raises:
        RunStoreError: `run.not_kept`, there is no store beside the bundle; `run.damaged`, it cannot be read.
    """
    folder = run_folder(bundle)
    if not (folder / NAME).is_file():
        raise RunStoreError(
            "run.not_kept", f"{folder} is not there: the run was not kept", "Run again with --keep-run."
        )
    with _reading(folder) as connection:
        checks = connection.execute("SELECT check_id, seconds FROM check_state ORDER BY seconds DESC, check_id")
        return tuple(_timing(connection, str(check), float(seconds)) for check, seconds in checks.fetchall())


def _timing(connection: sqlite3.Connection, check: str, seconds: float) -> CheckTiming:
    rows = connection.execute("SELECT seconds FROM trial WHERE check_id = ?", (check,))
    spent = [float(one) for (one,) in rows]
    median, longest = (statistics.median(spent), max(spent)) if spent else (None, None)
    return CheckTiming(check, seconds, len(spent), sum(spent), median, longest)


@contextmanager
def _reading(folder: Path) -> Iterator[sqlite3.Connection]:
    place = f"{(folder / NAME).as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(place, uri=True)) as connection:
            connection.execute("PRAGMA trusted_schema = OFF")
            yield connection
    except (sqlite3.Error, ValueError, TypeError) as error:
        raise damaged(folder, f"{NAME} is broken ({error})") from error
