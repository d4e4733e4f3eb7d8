"""What ends a run before its report; none of it is a finding, so none of it is caught while checks are asked."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reports.errors import FedauditError, IncompleteError


class RunStoreError(FedauditError):
    """The store of an earlier run is there and cannot be used as was asked."""


class StoppedError(IncompleteError):
    """The run cannot go on now, and can be resumed."""


class WorkerLostError(StoppedError):
    """A worker process was killed; what the check would have answered, nobody knows."""


class StoreWriteError(StoppedError):
    """The store cannot be written: the disk is full, or the folder is read-only."""


def start_over(folder: Path) -> str:
    """Return how to begin anew."""
    return f"To start over, remove the folder {folder}."


def damaged(folder: Path, what: str) -> RunStoreError:
    """Return the error for a store that is not as it was left."""
    return RunStoreError("run.damaged", f"the run in {folder} cannot be resumed: {what}", start_over(folder))


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn what an operating system says of a full or locked disk into one sentence.

    Raises:
        StoreWriteError: `io.write`; what was kept stays.
    """
    try:
        yield
    except OSError as error:
        told = f"{folder} cannot be written: {error.strerror or error}"
        raise StoreWriteError("io.write", told, "Mend that, then go on with --resume.") from error
