"""Each step once, even where a node works on two messages at the same time.

Flower 1.41 runs every message as a task of its own, and two tasks of one run can start from the same `context.state`
(`supernode/servicer/runtime/runtime_handlers.py`, `pull_task_input`). A server that sends two requests for the
unmasking at once would find the round open in both. So the state alone does not make a step happen once; a file that
only one process can make does, for all processes that share the folder.
"""

import os
import tempfile
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

Once = Callable[[bytes, str, str], bool]
"""Given session, client and phase: whether this is the first time. Must hold across processes."""
KEPT_SECONDS = 7 * 24 * 3600.0
"""Longer than two messages can be worked on at the same time; a later one finds the round closed in the state."""


class OnceFolder:
    """Remembers steps as empty files in a folder that all of a node's processes share.

    Args:
        folder: Made if missing; None takes one in the system's folder for temporary files, by user.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    def __call__(self, session: bytes, client: str, phase: str) -> bool:
        """Tell whether this step is taken for the first time; OSError where the folder cannot be written."""
        folder = self._folder or default_folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _forget_old(folder)
        try:
            (folder / sha256(session + f"{client}|{phase}".encode()).hexdigest()).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


def default_folder() -> Path:
    """Return the folder that is used where none is given."""
    user = os.getuid() if hasattr(os, "getuid") else "user"
    return Path(tempfile.gettempdir()) / f"fedaudit-secagg-steps-{user}"


def _forget_old(folder: Path) -> None:
    oldest = time.time() - KEPT_SECONDS
    for file in folder.iterdir():
        try:
            if file.stat().st_mtime < oldest:
                file.unlink()
        except FileNotFoundError:  # another process was here first
            continue
