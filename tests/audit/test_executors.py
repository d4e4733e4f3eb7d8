"""Every executor against the built-in map: the same results, whatever the order and the place."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from joblib.externals.loky import get_reusable_executor

from audit.asking import ask
from audit.cli.attack import Unkept
from audit.executors import ExecutorError, Process, Ray, named_executor
from audit.plan import Planned
from audit.ray_executor import _fetched, compare_versions, versions
from audit.store_errors import WorkerLostError
from reports.check import Check, Context
from reports.executor import Executor, Serial
from reports.model import Effort
from tests.reports.test_context import SYSTEM

SEEDS = tuple(range(100, 117))
NOW = datetime(2026, 11, 22, tzinfo=UTC)


def drawn(seed: int) -> float:
    """A trial with its own seed."""
    return float(np.random.default_rng(seed).standard_normal())


def failing(seed: int) -> float:
    """A trial that breaks."""
    raise ValueError(f"trial {seed} broke")


def collected(executor: Executor) -> list[float]:
    """The results, put back in the order of the trials; each position is there once."""
    pairs = list(executor.map(drawn, iter(SEEDS)))
    assert sorted(position for position, _ in pairs) == list(range(len(SEEDS)))
    return [result for _, result in sorted(pairs)]


def test_processes_give_what_the_loop_gives() -> None:
    assert collected(Process(workers=2)) == collected(Serial()) == [drawn(seed) for seed in SEEDS]


def test_an_exception_in_a_process_comes_out() -> None:
    with pytest.raises(ValueError, match="trial 100 broke"):
        list(Process(workers=2).map(failing, iter(SEEDS[:1])))


def test_nothing_is_done_with_no_trial() -> None:
    assert list(Process(workers=2).map(drawn, ())) == []


def unsendable(seed: int) -> object:
    return lambda: seed


def test_what_cannot_be_sent_is_run_here() -> None:
    here = dict(Process(workers=2).map(lambda seed: seed + 1, SEEDS[:2]))  # the function cannot be sent
    assert here == {0: 101, 1: 102}
    [(_, found)] = Process(workers=2).map(unsendable, SEEDS[:1])  # the result cannot
    assert found() == 100  # type: ignore[operator]


RUN = "FEDAUDIT_TEST_RUN"
"""Process of the test, told to its workers."""


def killed(seed: int, rng: np.random.Generator | None = None) -> Any:
    assert os.getppid() == int(os.environ[RUN]), "this is no worker of the run"
    os.kill(os.getpid(), signal.SIGKILL)


def test_what_is_started_after_the_trials_imports_as_it_did_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    assert len(list(Process(workers=2).map(drawn, SEEDS[:2]))) == 2
    assert "PYTHONSAFEPATH" not in os.environ


def test_a_worker_that_is_killed_ends_the_run_and_is_no_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RUN, str(os.getpid()))
    monkeypatch.setattr("audit.executors.local_plugins", tuple)  # those of other tests, whose files are gone
    get_reusable_executor().shutdown(wait=True)  # workers of before know nothing of the variable
    with pytest.raises(WorkerLostError, match="worker process was killed") as lost:
        list(Process(workers=2).map(killed, SEEDS[:2]))
    assert lost.value.exit_code == 3
    check = Check("local.lost", "It is so", lambda system, ctx: ctx.map(killed, [1, 2], purpose="p"))
    ctx = Context(check, SYSTEM, 1, Effort.SMOKE, Path(), NOW, Unkept(), executor=Process(workers=2))
    with pytest.raises(WorkerLostError):
        ask(Planned(check), ctx)


ORPHANS = """
import os, sys, time
from audit.executors import Process
def asleep(seed):
    time.sleep(seed)
if __name__ == "__main__":
    list(Process(workers=2).map(asleep, [100, 100]))
"""


@pytest.mark.slow
def test_workers_end_with_a_run_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "orphans.py").write_text(ORPHANS)
    run = subprocess.Popen([sys.executable, tmp_path / "orphans.py"], env={**os.environ, "PYTHONPATH": str(Path.cwd())})
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children")
    workers: list[str] = []
    for _ in range(1200):
        workers = children.read_text().split()
        if len(workers) >= 3:  # two workers, and what tracks their memory
            break
        time.sleep(0.05)
    assert len(workers) >= 3
    time.sleep(8)  # until both are at work
    assert all(Path(f"/proc/{worker}").exists() for worker in workers)
    run.kill()
    run.wait()
    for _ in range(200):
        if not any(Path(f"/proc/{worker}").exists() for worker in workers):
            return
        time.sleep(0.05)
    pytest.fail("a worker outlived its run")


def test_names_give_executors_and_others_are_refused() -> None:
    assert isinstance(named_executor("serial"), Serial)
    assert isinstance(named_executor("process"), Process)
    with pytest.raises(ExecutorError, match="no executor 'threads'"):
        named_executor("threads")


def test_without_ray_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # what an absent package looks like to `import`
    with pytest.raises(ExecutorError, match=r"pip install fedaudit\[ray\]"):
        named_executor("ray")
    with pytest.raises(ExecutorError, match="not installed"):
        list(Ray().map(drawn, SEEDS))


@pytest.fixture
def cluster() -> Iterator[None]:
    """Two workers of Ray's on this machine."""
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


@pytest.mark.ray
@pytest.mark.filterwarnings("ignore")  # Ray's own
@pytest.mark.usefixtures("cluster")
def test_ray_gives_what_the_loop_gives() -> None:
    assert collected(Ray(in_flight=3)) == collected(Serial())


class OwnersError(Exception):
    """What a trial may raise."""


def raising(seed: int) -> float:
    raise OwnersError(f"trial {seed}")


@pytest.mark.ray
@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("cluster")
def test_on_a_cluster_an_exception_comes_out_as_it_was_raised_and_what_cannot_travel_is_run_here() -> None:
    with pytest.raises(OwnersError, match="trial 100") as raised:
        list(Ray().map(raising, SEEDS[:1]))
    assert type(raised.value) is OwnersError  # not Ray's own class round it: its name stands in the report
    assert dict(Ray().map(lambda seed: seed + 1, SEEDS[:2])) == {0: 101, 1: 102}
    [(_, found)] = Ray().map(unsendable, SEEDS[:1])
    assert found() == 100  # type: ignore[operator]


def test_a_cluster_that_nobody_runs_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"  # ours, and nobody listens
        monkeypatch.setenv("RAY_ADDRESS", address)
        with pytest.raises(ExecutorError, match=f"the Ray cluster {address} cannot be reached: .*refused") as told:
            list(Ray().map(drawn, SEEDS))
    assert "RAY_ADDRESS" in told.value.hint and told.value.exit_code == 2


def test_a_cluster_that_loses_a_result_stops_the_run_and_is_no_finding() -> None:
    words = ("RayError", "RayTaskError", "WorkerCrashedError", "OutOfMemoryError", "NodeDiedError")
    kinds: dict[str, Any] = {"RayError": type("RayError", (Exception,), {})}
    kinds |= {word: type(word, (kinds["RayError"],), {}) for word in words[1:]}

    def lost(_reference: object) -> object:
        raise kinds["RayError"]("Failed to retrieve object 00ffff.\nIts owner has died.")

    with pytest.raises(
        WorkerLostError, match=r"gave no result: Failed to retrieve object 00ffff\.\n  Try again"
    ) as told:
        _fetched(SimpleNamespace(get=lost, exceptions=SimpleNamespace(**kinds)), None)
    assert told.value.exit_code == 3


def test_machines_with_other_versions_are_refused_by_name() -> None:
    ours = versions()
    assert ours["fedaudit"] and ours["torch"] and ours["numpy"]
    compare_versions(ours, dict(ours), "node-1")
    with pytest.raises(ExecutorError, match=r"node-1 has torch 1\.0, this machine"):
        compare_versions(ours, {**ours, "torch": "1.0"}, "node-1")
    with pytest.raises(ExecutorError, match=r"node-1 has numpy \(not installed\)"):
        compare_versions(ours, {name: value for name, value in ours.items() if name != "numpy"}, "node-1")


RAY_FROM_HERE = """
import math, sys
from audit.executors import Ray
print(len([*Ray().map(math.sqrt, [1.0, 4.0])]))
"""


@pytest.mark.ray
@pytest.mark.slow
def test_rays_workers_import_nothing_from_the_folder_of_the_run(tmp_path: Path) -> None:
    for module in ("opacus", "joblib", "threadpoolctl", "scipy"):
        (tmp_path / f"{module}.py").write_text("from pathlib import Path\nPath(__file__).with_name('came').touch()\n")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "script.py").write_text(RAY_FROM_HERE)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    line = [sys.executable, str(tmp_path / "elsewhere" / "script.py")]
    done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "2\n", done.stderr[-2000:]
    assert not (tmp_path / "came").exists()


@pytest.mark.parametrize("module", ["joblib", "multiprocessing"])
def test_a_worker_imports_nothing_from_the_folder_that_it_is_started_in(tmp_path: Path, module: str) -> None:
    (tmp_path / f"{module}.py").write_text("from pathlib import Path\nPath('came-to-run').touch()\n")
    (tmp_path / "elsewhere").mkdir()
    script = (
        tmp_path / "elsewhere" / "script.py"
    )  # its own folder is the first place to import from, as the script's is
    script.write_text(
        "import math\nfrom audit.executors import Process\nprint(len([*Process(2).map(math.sqrt, [1.0])]))"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    line = [sys.executable, str(script)]
    done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "1\n", done.stderr[-2000:]
    assert not (tmp_path / "came-to-run").exists()
