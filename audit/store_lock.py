"""One writer a run store: a lock of the operating system, which goes with the process that holds it."""

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Self

from audit.store_errors import RunStoreError


class StoreLock:
    """Holds the file `lock` in a folder. A context manager.

    A process that is killed lets go of it; one that it starts does not inherit it.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "lock"
        self._descriptor = -1

    def __enter__(self) -> Self:
        """Make the folder and take the lock.

        Raises:
            RunStoreError: `run.locked`, another process holds it.
            OSError: the folder cannot be written.
        """
        while True:
            self._path.parent.parent.mkdir(parents=True, exist_ok=True)
            self._path.parent.mkdir(mode=0o700, exist_ok=True)  # it may hold salts and records
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise self._held() from None
            if self._is_in_place():
                break
            os.close(self._descriptor)  # whoever held it has removed the folder meanwhile
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, b"%d\n" % os.getpid(), 0)
        return self

    def __exit__(self, *_exception: object) -> None:
        """Let go."""
        os.close(self._descriptor)

    def _is_in_place(self) -> bool:
        with contextlib.suppress(FileNotFoundError):
            return os.path.samestat(self._path.stat(), os.fstat(self._descriptor))
        return False

    def _held(self) -> RunStoreError:
        holder = os.pread(self._descriptor, 20, 0).strip()
        os.close(self._descriptor)
        process = f"process {holder.decode()}" if holder.isdigit() else "another process"
        return RunStoreError(
            "run.locked",
            f"{process} is working in {self._path.parent}",
            "Wait until it has ended, or write another bundle.",
        )
