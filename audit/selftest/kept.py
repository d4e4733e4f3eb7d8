"""What a self-test has played, kept while it goes on, so that one that is stopped can be resumed.

    FILE.run/
      lock            held by the process that writes
      cases.jsonl     what the self-test is bound to; then one line a case, on the disk before the next is played

The folder goes when the evidence FILE is written. As with the store of a run, nothing in it is signed: it must lie
where whoever cites the evidence alone can write.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from platform import python_version
from typing import Self

from pydantic import TypeAdapter, ValidationError

from audit.provenance import packages
from audit.selftest.play import Case, Observed
from audit.selftest.series import Series
from audit.store import run_folder
from audit.store_binding import NOW, code_sha256, refuse_difference
from audit.store_errors import RunStoreError, damaged, start_over, writing
from audit.store_lock import StoreLock
from reports.canonical import canonical_json, strict_json
from reports.errors import ReportError
from reports.nouns import Count, Moment, Noun, Status, Text, moment_text
from reports.self_test import Name
from reports.version import VERSION

NAME = "cases.jsonl"
_OURS = {NAME, "lock"}
_BINDING = TypeAdapter(dict[str, str])


class KeptCase(Noun):
    """A case that was played; a line of the file."""

    flaw: Text
    """Id of the flaw."""
    planted: bool
    """Whether the flaw is there; else the twin."""
    seed: Count
    """Root seed."""
    statuses: dict[Name, Status]
    """Check to its gravest answer."""
    seconds: float
    """Of building and auditing."""
    error: Text | None
    """Why it could not be played."""


class KeptCases:
    """The cases of one self-test, on the disk. A context manager; where nothing was played, it leaves no trace.

    Args:
        output: the evidence to be.
        resume: whether to go on with what an earlier self-test left; else that is refused.
    """

    def __init__(self, output: Path, *, resume: bool) -> None:
        self.folder = run_folder(output)
        self._file, self._resume = self.folder / NAME, resume
        self._resources = ExitStack()
        self._lines: list[bytes] = []

    def __enter__(self) -> Self:
        """Take the lock and read what is there.

        Raises:
            RunStoreError: `run.foreign`, `run.locked`; or `run.exists`, one was stopped and `resume` was not said.
            StoreWriteError: the folder cannot be written.
        """
        self._refuse_foreign()
        with self._resources:
            with writing(self.folder):
                self._resources.enter_context(StoreLock(self.folder))
            if self._file.exists() and not self._resume:  # asked under the lock: one that is going on was not stopped
                told = f"{self.folder} holds a self-test that was stopped"
                raise RunStoreError("run.exists", told, f"Go on with --resume. {start_over(self.folder)}")
            self._lines = self._whole_lines()
            self._resources = self._resources.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        """Let go; what was finished stays."""
        if len(self._whole_lines()) < 2:
            self.discard()
        self._resources.close()

    @property
    def now(self) -> datetime | None:
        """The clock of the self-test that is gone on with; None where there is none."""
        if not self._lines or (kept := self._bound().get(NOW)) is None:
            return None
        return TypeAdapter[datetime](Moment).validate_json(kept)

    def bind(self, planned: Series) -> tuple[Observed, ...]:
        """Bind the file to what is planted, and return what has been played of it.

        Raises:
            RunStoreError: an earlier self-test is there and planted something else, or it cannot be read.
            StoreWriteError: the disk is full, or the folder read-only.
        """
        told = binding(planned)
        if not self._lines:
            with writing(self.folder):  # half of the first line may be there
                self._file.unlink(missing_ok=True)
            self._append(canonical_json(told))
            return ()
        refuse_difference(self.folder, self._bound(), told)
        with writing(self.folder):  # half a line was being written when the machine stopped
            os.truncate(self._file, sum(len(line) + 1 for line in self._lines))
        return tuple(self._observed(planned))

    def keep(self, one: Observed) -> None:
        """Keep what was said of a case: on the disk when this returns.

        Raises:
            StoreWriteError: the disk is full, or the folder read-only.
        """
        case = one.case
        kept = KeptCase(
            flaw=case.flaw, planted=case.planted, seed=case.seed, statuses=dict(one.statuses), seconds=one.seconds,
            error=one.error,
        )  # fmt: skip
        self._append(kept.model_dump_json().encode())

    def discard(self) -> None:
        """Remove the folder: the evidence is written."""
        if self.folder.exists():
            shutil.rmtree(self.folder)

    def _refuse_foreign(self) -> None:
        """Raise where the folder is a link or holds what no self-test has put there: it is removed in the end."""
        others = {path.name for path in self.folder.iterdir()} - _OURS if self.folder.is_dir() else set()
        if not others and not self.folder.is_symlink():
            return
        told = f"holds {min(others)!r}, which is no part of a self-test" if others else "is a link"
        raise RunStoreError("run.foreign", f"{self.folder} {told}", "Name another -o FILE, or move that elsewhere.")

    def _append(self, line: bytes) -> None:
        with writing(self.folder), self._file.open("ab") as file:
            file.write(line + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def _whole_lines(self) -> list[bytes]:
        if not self._file.is_file():
            return []
        return self._file.read_bytes().split(b"\n")[:-1]

    def _bound(self) -> dict[str, str]:
        try:
            return _BINDING.validate_python(strict_json(self._lines[0]))
        except (ReportError, ValidationError) as error:
            raise damaged(self.folder, "it does not say what it was begun with") from error

    def _observed(self, planned: Series) -> Iterator[Observed]:
        for number, line in enumerate(self._lines[1:], start=2):
            try:
                kept = KeptCase.model_validate_json(line)
            except ValidationError as error:
                raise damaged(self.folder, f"line {number} of {NAME} is no case") from error
            case = Case(kept.flaw, kept.planted, kept.seed, planned.effort, planned.now)
            yield Observed(case, kept.statuses, kept.seconds, kept.error)


def binding(planned: Series) -> dict[str, str]:
    """Return all that decides the evidence, by name, as JSON each."""
    told: dict[str, object] = {
        "--only": [flaw.id for flaw in planned.flaws],
        "--seeds": list(planned.seeds),
        "effort": str(planned.effort),
        NOW: moment_text(planned.now),
        "tool_version": VERSION,
        "python": python_version(),
        "code": code_sha256(),
        "packages": packages(),
    }
    return {name: json.dumps(value) for name, value in told.items()}
