"""The run store: what a run has finished, on the disk while it goes on, so that a run that is killed can be resumed.

    BUNDLE.run/
      lock            held by the process that writes
      store.sqlite    checks, findings, trials                   (audit.store_database)
      results/        large arrays of trials, npz by digest      (audit.store_trials)
      models/         models that were trained to compare with   (unlearning.federated.oracles)
      evidence/       becomes that of the bundle                 (audit.store_evidence)
      bundle/         the bundle, while it is put together

A check that has answered is not asked again, and of one that has not the finished trials are not run again. The bundle
appears under its name by one rename; until then a kill at any moment leaves a store that can be resumed.

Nothing in a store is signed: what it says was found, a resumed run reports, and signs. So it must lie where whoever
signs alone can write, as the key does, and one that the owner of the system sends is not to be resumed.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import Path
from typing import Literal, Self

from pydantic import ValidationError

from audit.store_binding import NOW, refuse_difference
from audit.store_database import NAME, StoreDatabase
from audit.store_errors import RunStoreError, StoreWriteError, damaged, start_over, writing
from audit.store_evidence import RunEvidence
from audit.store_lock import StoreLock
from audit.store_trials import CheckTrials
from reports.bundle import Bundle, read_bundle
from reports.bundle_writer import put_in_place, refuse_existing
from reports.canonical import canonical_json
from reports.dsse import Signature
from reports.evidence import FOLDER
from reports.model import Confidentiality, Evidence, Finding, Status
from reports.nouns import moment_text
from reports.regular import KIND_WORDS, kind_of

_OURS = frozenset(
    {"lock", NAME, f"{NAME}-wal", f"{NAME}-shm", f"{NAME}-journal", "results", "models", FOLDER, "bundle"}
)
SEALED = "sealed"
"""Key of the digest of the report that was, or was about to be, put into its place."""
Leftover = Literal["refuse", "resume", "discard"]
"""What is done with the store of a run that did not end: nothing is written, it goes on, or it is removed."""


def run_folder(bundle: Path) -> Path:
    """Return where the run store of a bundle lies: beside it."""
    target = bundle.absolute()  # a link is not followed: it is something that exists
    return target.with_name(f"{target.name}.run")


class RunStore:
    """The store of one run. A context manager; where nothing was finished, it leaves no trace.

    Args:
        bundle: the bundle to be.
        leftover: what is done with what an earlier run left; with "discard" an error leaves no trace either.
        keep: whether the store stays when the bundle is whole.
        salted: whether evidence that may be withheld is salted.
    """

    def __init__(
        self, bundle: Path, *, leftover: Leftover = "discard", keep: bool = False, salted: bool = False
    ) -> None:
        self.bundle, self.folder = bundle.absolute(), run_folder(bundle)
        self._leftover, self._keep, self._salted = leftover, keep, salted
        self._resources = ExitStack()
        self._digest, self._is_ended = "", False

    def __enter__(self) -> Self:
        """Take the lock and open what is there.

        Raises:
            RunStoreError: `run.foreign`, `run.locked`, `run.unfinished`, `run.damaged`.
            BundleError: `bundle.exists`.
            StoreWriteError: the folder cannot be written.
        """
        if self._leftover != "resume":
            refuse_existing(self.bundle)
        self._refuse_foreign()
        with ExitStack() as opening:
            with writing(self.folder):
                opening.enter_context(StoreLock(self.folder))
                self._database = self._opened()
            opening.callback(self._database.close)
            self.evidence_folder = RunEvidence(self.folder, self._database, salted=self._salted)
            self._resources = opening.pop_all()
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _at: object) -> None:
        """Put what was finished on the disk, and let go."""
        with self._resources:
            if self._is_ended:
                return
            with suppress(StoreWriteError):  # where the disk is full, that is on its way already
                self._database.commit()
            if self._database.is_empty or (error is not None and self._leftover == "discard"):
                self._remove()

    def _refuse_foreign(self) -> None:
        """Raise where the folder holds anything that no run has put there: it would be removed in the end.

        A link, too: what is removed behind it would be somebody else's.
        """
        if not self.folder.is_dir():
            return
        hint = "Choose another name for the bundle, or move that elsewhere."
        if others := {path.name for path in self.folder.iterdir()} - _OURS:
            told = f"{self.folder} holds {min(others)!r}, which is no part of a run"
            raise RunStoreError("run.foreign", told, hint)
        for above, folders, names in os.walk(self.folder):
            for path in (Path(above, name) for name in (*folders, *names)):
                if (kind := kind_of(path)) in ("symlink", "not_file"):
                    raise RunStoreError(
                        "run.foreign", f"{path} is {KIND_WORDS[kind]}, which no run has put there", hint
                    )

    def _opened(self) -> StoreDatabase:
        """Return the database: that of the leftover where it goes on, else a new one."""
        if (self.folder / NAME).exists() and self._leftover != "discard":
            database = StoreDatabase(self.folder)
            try:
                if not database.is_empty:
                    if self._leftover == "resume":
                        return database
                    raise self._unfinished(database)
            except BaseException:
                database.close()
                raise
            database.close()
        self._clear()
        return StoreDatabase(self.folder)

    def _unfinished(self, database: StoreDatabase) -> RunStoreError:
        if SEALED in database.bound():
            told, hint = "is what --keep-run kept of a run that is finished", start_over(self.folder)
        else:
            told, hint = "holds a run that did not end", f"Go on with it by --resume. {start_over(self.folder)}"
        return RunStoreError("run.unfinished", f"{self.folder} {told}", hint)

    def bind(self, binding: Mapping[str, str], now: datetime, *, now_was_said: bool) -> datetime:
        """Bind the store to a run, or see that it is bound to this one; return the clock of the run.

        Args:
            binding: all that decides the report but the clock (`audit.store_binding.binding`).
            now: the clock, as it was said or read.
            now_was_said: whether it was said; else a resumed run keeps the one it was begun with.

        Raises:
            RunStoreError: `run.other`, the store is of a run that differs; `run.damaged`.
            StoreWriteError: it cannot be written.
        """
        known, was_sealed = self._database.bound(), False
        told = json.dumps(moment_text(now))
        if known:
            kept, was_sealed = known.get(NOW, ""), known.pop(SEALED, None) is not None
            refuse_difference(self.folder, known, {**binding, NOW: told if now_was_said else kept})
            now, told = _moment(self.folder, kept), kept
        else:
            self._database.bind({**binding, NOW: told})
        self._digest = hashlib.sha256(canonical_json([sorted(binding.items()), told])).hexdigest()
        if not (was_sealed and self.bundle.exists()):  # else the evidence is there already
            with writing(self.folder):
                self.evidence_folder.restore()
        return now

    @property
    def policy_recorded_first(self) -> bool:
        """Whether the digest of a policy was written before every trial and every finding."""
        committed = self._database.bound().get("policy_sha256", "null") != "null"
        return committed and self._database.precedes_all("policy_sha256")

    @property
    def models(self) -> Path:
        """Where models that are trained to compare with are kept for a resumed run."""
        return self.folder / "models"

    def put_evidence(self, data: bytes, media_type: str, confidentiality: Confidentiality, name: str) -> Evidence:
        """Keep bytes under the digest of their file and return how they are cited.

        Raises:
            StoreWriteError: the disk is full.
        """
        with writing(self.folder):
            return self.evidence_folder.put_evidence(data, media_type, confidentiality, name)

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """What was put so far, in the order of its digests, as the report lists it."""
        return self.evidence_folder.evidence

    def content(self, sha256: str) -> bytes | None:
        """Return the bytes of a piece that renderings may show; None above `internal`."""
        return self.evidence_folder.content(sha256)

    def trials(self, check_id: str) -> CheckTrials:
        """Return what is kept of the trials of a check."""
        return CheckTrials(self._database, self.folder / "results", check_id, self._digest)

    def answered(self, check_id: str) -> tuple[Finding, ...] | None:
        """Return what a check has answered; None where it has not.

        Raises:
            RunStoreError: `run.damaged`.
        """
        if not self._database.rows("SELECT state FROM check_state WHERE check_id = ?", (check_id,)):
            return None
        rows = self._database.rows("SELECT json FROM finding WHERE check_id = ? ORDER BY position", (check_id,))
        try:
            found = tuple(Finding.model_validate_json(row) for (row,) in rows)
        except ValidationError as error:
            raise damaged(self.folder, f"a finding of {check_id} is not as it was written") from error
        listed = {piece.sha256 for piece in self.evidence}
        if not found or any(one.check != check_id or not listed.issuperset(one.evidence) for one in found):
            raise damaged(self.folder, f"the findings of {check_id} are not as they were written")
        return found

    def finish_check(self, check_id: str, findings: Sequence[Finding], seconds: float) -> None:
        """Write what a check has answered, with the evidence that was put for it: all of it or nothing.

        Raises:
            StoreWriteError: the disk is full.
        """
        error = next((one.reason for one in findings if one.status is Status.ERROR), None)
        with self._database.transaction():
            self.evidence_folder.write()
            told = [(check_id, position, one.model_dump_json()) for position, one in enumerate(findings)]
            self._database.write("finding", told)
            self._database.write("check_state", [(check_id, "answered", error, seconds)])

    def sealed(self) -> Bundle | None:
        """Return the bundle, where this very run has put it into its place and was killed after that.

        Raises:
            BundleError: `bundle.exists`, something else is there; or that cannot be read.
        """
        if not self.bundle.exists() and not self.bundle.is_symlink():
            return None
        if SEALED in (bound := self._database.bound()):
            found = read_bundle(self.bundle)
            if bound[SEALED] == json.dumps(found.statement.sha256):
                self._end()
                return found
        refuse_existing(self.bundle)
        return None

    def seal(
        self, statement_body: bytes, signatures: Iterable[Signature] = (), renderings: Mapping[str, bytes] | None = None
    ) -> Path:
        """Put the bundle into its place, and remove the store unless it is to be kept; return the place.

        Args:
            statement_body: the bytes that are, or will be, signed.
            signatures: over them (`reports.dsse.sign`).
            renderings: name below `render/` to content.

        Raises:
            BundleError: `bundle.exists`, something came to be there meanwhile.
            StoreWriteError: the disk is full; what was finished stays.
        """
        self._database.bind({SEALED: json.dumps(hashlib.sha256(statement_body).hexdigest())})
        with writing(self.folder):
            partial = self.folder / "bundle"
            partial.mkdir()
            (self.folder / FOLDER).rename(partial / FOLDER)
            place = put_in_place(partial, self.bundle, statement_body, signatures, renderings)
        self._end()
        return place

    def _end(self) -> None:
        self._is_ended = True
        if not self._keep:
            with writing(self.folder):
                self._remove()

    def _remove(self) -> None:
        """Remove the store; the lock goes last, so that nobody begins in what is left of it."""
        self._database.close()
        self._clear()
        (self.folder / "lock").unlink()
        self.folder.rmdir()

    def _clear(self) -> None:
        """Remove all but the lock; the database last, since it tells whether the bundle was whole."""
        for path in sorted(self.folder.iterdir(), key=lambda path: path.name == NAME):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name != "lock":
                path.unlink()


def _moment(folder: Path, told: str) -> datetime:
    try:
        return datetime.fromisoformat(json.loads(told))
    except (ValueError, TypeError) as error:
        raise damaged(folder, "its clock is not as it was written") from error
