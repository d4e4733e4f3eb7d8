"""A run that somebody stops: Ctrl-C and SIGTERM end it alike, and it says how to go on."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from reports.errors import IncompleteError


@contextmanager
def stoppable(bundle: Path) -> Iterator[None]:
    """Let SIGTERM stop what is done here as Ctrl-C does, in good order.

    Args:
        bundle: what is being written.

    Raises:
        IncompleteError: `interrupted`; what was finished is kept.
    """
    in_charge = threading.current_thread() is threading.main_thread()  # others may not set handlers
    before = signal.signal(signal.SIGTERM, _stop) if in_charge else None
    try:
        yield
    except KeyboardInterrupt:
        from audit.store import run_folder

        if not (kept := run_folder(bundle)).exists():
            raise
        told = f"interrupted; what was finished is kept in {kept}"
        raise IncompleteError("interrupted", told, "Go on with --resume.") from None
    finally:
        if in_charge:
            signal.signal(signal.SIGTERM, before)


def _stop(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
