"""The tables of a run store: SQLite, written by one process, never half a check.

    run          what the run is bound to, and what it has come to        (audit.store_binding)
    check_state  a row a check that has answered, with its findings and evidence, in one transaction
    trial        a row a trial that has ended
    salt         what goes before a content whose digest must not be guessed

Every row of run, trial and finding bears the place of its writing, so that it shows what came first. A file that is not
exactly this is refused before anything in it is used: a view or a trigger of somebody else's would be code.
"""

import itertools
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit.store_errors import StoreWriteError, damaged

NAME = "store.sqlite"
VERSION = 1
MOST_ROWS = 200
"""Trials that are not on the disk yet, at most."""
MOST_SECONDS = 1.0
"""Between two times that trials are put on the disk; what is lost by a kill has ended in this time."""
TABLES = {
    "run": "key TEXT PRIMARY KEY, value TEXT NOT NULL, written INTEGER NOT NULL",
    "check_state": "check_id TEXT PRIMARY KEY, state TEXT NOT NULL, error TEXT, seconds REAL NOT NULL",
    "trial": """check_id TEXT NOT NULL, purpose TEXT NOT NULL, trial INTEGER NOT NULL, key TEXT NOT NULL,
        result BLOB NOT NULL, seconds REAL NOT NULL, written INTEGER NOT NULL,
        PRIMARY KEY (check_id, purpose, trial)""",
    "finding": """check_id TEXT NOT NULL, position INTEGER NOT NULL, json TEXT NOT NULL, written INTEGER NOT NULL,
        PRIMARY KEY (check_id, position)""",
    "evidence": """sha256 TEXT PRIMARY KEY, size INTEGER NOT NULL, media_type TEXT NOT NULL, name TEXT NOT NULL,
        confidentiality TEXT NOT NULL, content_sha256 TEXT NOT NULL, position INTEGER NOT NULL""",
    "salt": "content_sha256 TEXT PRIMARY KEY, salt BLOB NOT NULL",
}
"""Strict ones: what SQLite's own check finds in them has the types that stand here."""
_MADE = tuple(f"CREATE TABLE {name} ({columns}) STRICT" for name, columns in TABLES.items())
_NOT_OF_THE_DISK = ("SQLITE_ERROR", "SQLITE_SCHEMA", "SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_MISMATCH")


@dataclass(frozen=True)
class TrialRow:
    """A trial that has ended."""

    trial: int
    """Its position."""
    key: str
    """Digest of the question."""
    result: bytes
    """As `audit.store_codec` writes it."""
    seconds: float
    """How long it ran."""


class StoreDatabase:
    """The file `store.sqlite` of a run store, open for writing.

    Args:
        folder: the run store.

    Raises:
        RunStoreError: `run.damaged`, what is there is no store of ours, or is broken.
        StoreWriteError: it cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with self._guarded():
            self._connection = sqlite3.connect(folder / NAME, isolation_level=None)
        try:
            with self._guarded():
                self._open()
        except BaseException:
            self._connection.close()
            raise
        self._waiting, self._since = 0, 0.0

    def _open(self) -> None:
        """Make the tables, or see that they are ours and sound."""
        ask = self._connection.execute
        for setting in ("trusted_schema = OFF", "cell_size_check = ON", "journal_mode = WAL", "synchronous = NORMAL"):
            ask(f"PRAGMA {setting}")
        [version] = ask("PRAGMA user_version").fetchone()
        made = [sql for (sql,) in ask("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL")]
        if version == 0 and not made:
            for line in ("BEGIN", *_MADE, f"PRAGMA user_version = {VERSION}", "COMMIT"):
                ask(line)
        elif version != VERSION or sorted(made) != sorted(_MADE):
            raise damaged(self._folder, f"{NAME} is no store of this version")
        elif ask("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise damaged(self._folder, f"{NAME} is broken")
        [(last,)] = ask(
            "SELECT MAX(written) FROM (SELECT written FROM run UNION ALL SELECT written FROM trial"
            " UNION ALL SELECT written FROM finding)"
        )
        self._places = itertools.count(1 + (last or 0))

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Sort what SQLite says into what cannot be written now and what cannot be read ever."""
        try:
            yield
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname in _NOT_OF_THE_DISK:
                raise damaged(self._folder, f"{NAME} is broken ({error})") from error
            told = f"{self._folder} cannot be written: {error}"
            raise StoreWriteError("io.write", told, "Mend that, then go on with --resume.") from error
        except (sqlite3.DatabaseError, OverflowError, UnicodeDecodeError) as error:
            raise damaged(self._folder, f"{NAME} is broken ({error})") from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write all of what follows, or nothing; trials that wait are written before it."""
        self.commit()
        with self._guarded():
            self._connection.execute("BEGIN")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def commit(self) -> None:
        """Put the trials that wait on the disk."""
        if self._waiting:
            with self._guarded():
                self._connection.execute("COMMIT")
            self._waiting, self._since = 0, time.monotonic()

    def close(self) -> None:
        """Close the file, so that it stands alone."""
        with self._guarded():
            self._connection.close()

    def rows(self, query: str, given: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Return what a query gives."""
        with self._guarded():
            return self._connection.execute(query, given).fetchall()

    def write(self, table: str, rows: Iterable[Sequence[object]]) -> None:
        """Write rows, replacing those with the same key; tables that show what came first get their place last."""
        ordered = table in ("run", "trial", "finding")
        placed = [(*row, next(self._places)) if ordered else tuple(row) for row in rows]
        if placed:
            marks = ", ".join("?" * len(placed[0]))
            with self._guarded():
                self._connection.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", placed)  # noqa: S608

    def write_trial(self, check_id: str, purpose: str, row: TrialRow) -> None:
        """Write a trial: at once, or with others where many end within a second."""
        if not self._waiting:
            with self._guarded():
                self._connection.execute("BEGIN")
        self._waiting += 1
        self.write("trial", [(check_id, purpose, row.trial, row.key, row.result, row.seconds)])
        if self._waiting >= MOST_ROWS or time.monotonic() - self._since >= MOST_SECONDS:
            self.commit()

    def bound(self) -> dict[str, str]:
        """Return the rows of `run`."""
        return dict(self.rows("SELECT key, value FROM run"))

    def bind(self, rows: Mapping[str, str]) -> None:
        """Write rows of `run`, on the disk when this returns."""
        with self.transaction():
            self.write("run", rows.items())

    @property
    def is_empty(self) -> bool:
        """Whether nothing has been finished yet."""
        counts = "SELECT EXISTS (SELECT 1 FROM trial), EXISTS (SELECT 1 FROM check_state)"
        return not any(self.rows(counts)[0])

    def precedes_all(self, key: str) -> bool:
        """Tell whether a row of `run` was written before every trial and every finding."""
        query = (
            "SELECT (SELECT written FROM run WHERE key = ?) < (SELECT MIN(written) FROM"
            " (SELECT written FROM trial UNION ALL SELECT written FROM finding))"
        )
        [(first,)] = self.rows(query, (key,))
        return key in self.bound() if self.is_empty else bool(first)
