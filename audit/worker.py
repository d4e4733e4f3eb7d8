"""What runs in a worker process: one trial, on one thread, for as long as the run lives that asked for it."""

import os
import pickle
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from audit.plan import LOCAL, load_plugin

LOOKS_EVERY = 0.5
"""Seconds between two looks whether the run is still there."""
SAFE_PATH = "PYTHONSAFEPATH"
"""Tells every Python that is started to import nothing from the folder it is started in, which the owner may fill."""


def packed(value: object) -> bytes | None:
    """Return a value as another process of ours reads it; None for one that does not travel."""
    try:
        return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    except Exception:  # pickle lets through whatever the classes of a value raise
        return None


def local_plugins() -> tuple[str, ...]:
    """Return the files of the checks that `--checks` has loaded: a worker must load them too."""
    return tuple(str(module.__file__) for name, module in sys.modules.items() if name.startswith(LOCAL))


def in_worker(run: int, plugins: tuple[str, ...], position: int, data: bytes | None) -> tuple[int, bytes | None]:
    """Run a trial in this process; its position and its result, packed, or None where it must be run at home.

    Args:
        run: process of the run; this one ends when that does.
        plugins: files of checks, see `local_plugins`.
        position: place of the trial.
        data: function and trial, packed; None where they do not travel.
    """
    _settle(run)
    if (call := _unpacked(plugins, data)) is None:
        return position, None
    fn, trial = call
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(1)  # as in the run itself; what is loaded later finds one thread in its environment
    return position, packed(fn(trial))


def on_cluster(plugins: tuple[str, ...], position: int, data: bytes | None) -> tuple[int, bytes | None]:
    """Run a trial on a machine of a cluster; see `in_worker`. The cluster ends its workers itself."""
    if (call := _unpacked(plugins, data)) is None:
        return position, None
    fn, trial = call
    with one_thread():
        return position, packed(fn(trial))


def _unpacked(plugins: tuple[str, ...], data: bytes | None) -> tuple[Callable[[Any], Any], Any] | None:
    """Return function and trial as the run packed them; None where they can only be had there."""
    try:
        for plugin in plugins:
            _loaded(plugin)
        fn, trial = pickle.loads(data or b"")  # noqa: S301  what our run has packed
    except Exception:  # nothing was packed, or a class of the owner's, in a module that only the run has loaded
        return None
    return fn, trial


@contextmanager
def safe_path() -> Iterator[None]:
    """Set `SAFE_PATH` for what is started meanwhile, and nothing else."""
    before = os.environ.get(SAFE_PATH)
    os.environ[SAFE_PATH] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[SAFE_PATH]
        else:
            os.environ[SAFE_PATH] = before


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch and the algebra below NumPy sum in one order, so that all processes and machines give the same bits."""
    import scipy.linalg  # noqa: F401  it brings algebra of its own, which is limited only once it is loaded
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)


@cache
def _loaded(plugin: str) -> None:
    load_plugin(Path(plugin))


@cache
def _settle(run: int) -> None:
    """Make a worker of this process, once: gone when its run is, which may have been killed."""
    if os.getpid() != run:  # joblib gives the work of one worker to the run itself
        threading.Thread(target=_watch, args=(run,), daemon=True).start()


def _watch(run: int) -> None:
    while os.getppid() == run:
        time.sleep(LOOKS_EVERY)
    os._exit(1)
