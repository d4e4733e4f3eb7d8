"""Trials on a cluster: `Ray` (the extra [ray]) hands them to the machines that `RAY_ADDRESS` names, or to this one.

A trial carries its own seed, so its result depends on the programs that run it and on the kind of processor, by which
they choose their loops: every machine must have the versions that the run has, which is asked before the first trial,
and a worker sums on one thread. What cannot travel, such as a class that only the owner's own file defines, is run
here.
"""

import atexit
import os
import pickle
import platform
import shutil
import socket
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import chdir
from dataclasses import dataclass
from typing import Any, TypeVar

from audit.provenance import packages
from audit.store_errors import WorkerLostError
from audit.worker import local_plugins, on_cluster, packed, safe_path
from reports.errors import FedauditError
from reports.version import VERSION

INSTALL = "Install the same versions on every machine: 'pip install -c constraints.txt fedaudit[ray]'."
CONNECTS_WITHIN = 10
"""Seconds in which the head of a cluster must answer."""
Trial = TypeVar("Trial")
Result = TypeVar("Result")


class ExecutorError(FedauditError):
    """The executor asked for is not on this machine, or its machines are not alike."""


@dataclass(frozen=True)
class Ray:
    """A Ray cluster: the one that `RAY_ADDRESS` names, or one on this machine for as long as this process lives."""

    in_flight: int = 64
    """Trials handed out at a time, at most: a long iterable is never in memory as a whole."""

    def map(self, fn: Callable[[Trial], Result], trials: Iterable[Trial]) -> Iterator[tuple[int, Result]]:
        """Yield (position, result) in the order in which they finish; an exception of `fn` ends the iteration.

        Raises:
            ExecutorError: Ray is not installed, the cluster cannot be reached, or a machine of it has other versions.
            WorkerLostError: a worker was killed, again and again.
        """
        ray = imported_ray()
        _connect(ray)
        remote, plugins = ray.remote(on_cluster), local_plugins()
        flying: dict[Any, tuple[int, Trial]] = {}

        def landed() -> tuple[int, Result]:
            [done], _ = ray.wait(list(flying), num_returns=1)
            position, trial = flying.pop(done)
            _, data = _fetched(ray, done)
            return position, fn(trial) if data is None else pickle.loads(data)  # noqa: S301  our worker packed it

        for position, trial in enumerate(trials):
            flying[remote.remote(plugins, position, packed((fn, trial)))] = position, trial
            if len(flying) >= self.in_flight:
                yield landed()
        while flying:
            yield landed()


def imported_ray() -> Any:
    """Return the module.

    Raises:
        ExecutorError: it is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise ExecutorError("executor.missing", "Ray is not installed", "pip install fedaudit[ray]") from error
    return ray


def versions() -> dict[str, str]:
    """Return what must be the same on all machines, so that a trial gives the same bits on each."""
    return {"fedaudit": VERSION, "python": platform.python_version(), "machine": platform.machine(), **packages()}


def _connect(ray: Any) -> None:
    """Join or start the cluster, once, and hold its machines' versions against ours.

    A machine that joins later is not asked. Ray lets workers import from the folder that the run was started in; so
    that they find nothing of the owner's, it begins in an empty one.
    """
    if ray.is_initialized():
        return
    _reach(os.environ.get("RAY_ADDRESS", ""))
    empty = tempfile.mkdtemp(prefix="fedaudit-ray-")
    atexit.register(shutil.rmtree, empty, ignore_errors=True)  # the workers stand in it until the end
    with chdir(empty), safe_path(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # Ray's about its own defaults for accelerators
        try:
            ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise _unreachable(os.environ.get("RAY_ADDRESS", "of this machine"), error) from error
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as On

    asked = ray.remote(versions)
    for node in ray.nodes():
        if node["Alive"] and node["Resources"].get("CPU"):
            on = On(node["NodeID"], soft=False)
            try:
                theirs = ray.get(asked.options(scheduling_strategy=on).remote())
            except ray.exceptions.RayError as error:
                told = f"{node['NodeName']} cannot run fedaudit: {str(error).strip().splitlines()[-1]}"
                raise ExecutorError("executor.versions", told, INSTALL) from error
            compare_versions(versions(), theirs, node["NodeName"])


def _reach(address: str) -> None:
    """Raise where nothing listens at host:port; Ray itself would go on trying for minutes."""
    host, _, port = address.rpartition(":")
    if not (host and port.isdecimal()) or "/" in host:
        return  # none, "auto", "local" or "ray://...", which Ray finds or refuses by itself
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECTS_WITHIN).close()
    except OSError as error:
        raise _unreachable(address, error) from error


def _unreachable(address: str, error: Exception) -> ExecutorError:
    told = f"the Ray cluster {address} cannot be reached: {str(error).splitlines()[0]}"
    hint = "Start one with 'ray start --head', and name it in RAY_ADDRESS; or take --executor process."
    return ExecutorError("executor.unreachable", told, hint)


def compare_versions(ours: Mapping[str, str], theirs: Mapping[str, str], where: str) -> None:
    """Raise where a machine would compute with other programs than the run.

    Raises:
        ExecutorError: names the first package that differs.
    """
    for name in sorted({*ours, *theirs}):
        if ours.get(name) != theirs.get(name):
            told = (
                f"{where} has {name} {theirs.get(name, '(not installed)')}, this machine {ours.get(name, 'has none')}"
            )
            raise ExecutorError("executor.versions", told, INSTALL)


def _fetched(ray: Any, done: Any) -> Any:
    """Return a result; an exception of the trial comes out as it was raised."""
    try:
        return ray.get(done)
    except ray.exceptions.RayTaskError as error:
        raise (error.cause or error) from None
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError, ray.exceptions.NodeDiedError) as error:
        told = "a worker of the cluster was killed, perhaps since the memory did not suffice"
        raise WorkerLostError("executor.lost", told, "Try again, or with --executor serial.") from error
    except ray.exceptions.RayError as error:  # its head or a node is gone, or an object that a node held
        told = f"the cluster gave no result: {(str(error).strip() or type(error).__name__).splitlines()[0]}"
        raise WorkerLostError("executor.lost", told, "Try again, or with --executor serial.") from error
