"""A run that is killed at any moment, and resumed, ends in the very bytes of one that was left alone."""

import json
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import pytest

from audit.store import run_folder
from audit.store_timings import timings
from reports.bundle import read_bundle
from reports.keyfile import write_key_pair
from reports.keys import generate

SYSTEM = """
[system]
name = "ward"
version = "1"
[federation]
framework = "own"
clients = 7
clients_per_round = 7
rounds = 2
server_trust = "honest-but-curious"
[federation.secure_aggregation]
protocol = "fedaudit-secagg"
clients = 7
degree = 6
threshold = 4
corrupt_fraction = 0.1
dropout_fraction = 0.1
"""
PLUGIN = '''
"""Checks of a user's own: trials with arrays, evidence, and one that reads what another made."""
import dataclasses
import time
import numpy as np
from reports.check import check
from reports.model import Severity, Status, Strength

@dataclasses.dataclass(frozen=True)
class Told:
    scores: np.ndarray
    best: float

def drawn(trial, rng):
    time.sleep(0.02)
    scores = rng.standard_normal(trial)
    return Told(scores, float(scores.max()))

@check("local.trials", "It is so", strength=Strength.STATISTICAL, severity=Severity.LOW)
def trials(system, ctx):
    told = list(ctx.map(drawn, [20, 30, 20_000, 40] * 6, purpose="p"))
    mean = np.mean([one.best for one in told])
    digests = [ctx.evidence(f"scores {i}", one.scores.tobytes(), "application/octet-stream", "restricted")
               for i, one in enumerate(told)]
    ctx.once("local", lambda: ctx.evidence("shared", b"shared", "text/plain", "internal"))
    yield ctx.finding(Status.INCONCLUSIVE, f"Drew {mean!r}.", evidence=digests, reason="undecided")

@check("local.trials-again", "It is so", strength=Strength.STATISTICAL, severity=Severity.LOW)
def again(system, ctx):
    shared = ctx.once("local", lambda: ctx.evidence("shared", b"shared", "text/plain", "internal"))
    [first] = ctx.map(drawn, [3], purpose="p")
    yield ctx.finding(Status.INCONCLUSIVE, f"Drew {first.best!r}.", evidence=[shared], reason="undecided")
'''
SERVER = """
import os, sys
from audit.cli.main import run
import audit.run, audit.executors, audit.cli.run, audit.cli.progress, reports.renderings
from audit.store_binding import code_sha256
from audit.worker import one_thread
from reports.check import discover
discover(), code_sha256()  # nobody's edit of the code meanwhile is taken for another run
with one_thread():
    pass
print("ready", flush=True)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        out = os.open(f"out-{os.getppid()}.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1), os.dup2(out, 2)
        code = run(line.split())
        sys.stdout.flush()
        os._exit(code)
    print(child, flush=True)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
"""
ONLY = ["--only", "local.*", "--only", "secagg.share-integrity"]
"""Checks with trials: a user's own, and an attack on the protocol."""


@dataclass(frozen=True)
class Desk:
    """A folder with a system, and a process that has loaded everything and forks a run for each line."""

    folder: Path
    server: "subprocess.Popen[str]"

    def begin(self, *words: str) -> int:
        """Begin a run and return its process."""
        assert self.server.stdin is not None
        self.server.stdin.write(" ".join(words) + "\n")
        self.server.stdin.flush()
        return int(self._line())

    def end(self) -> int:
        """Wait for it, and return its exit code, negative where a signal ended it."""
        return int(self._line())

    def _line(self) -> str:
        out: IO[str] | None = self.server.stdout
        assert out is not None
        return out.readline()

    def run(self, bundle: str, *more: str) -> int:
        self.begin(*line(bundle, *more))
        return self.end()

    @property
    def said(self) -> str:
        return (self.folder / f"out-{self.server.pid}.txt").read_text()


def line(bundle: str, *more: str) -> list[str]:
    now = [] if "--now" in more or "--no-now" in more else ["--now", "2026-11-22T00:00:00Z"]
    given = [word for word in more if word != "--no-now"]
    words = ["run", "system.toml", "-o", bundle, "--effort", "smoke", "--checks", "plugin.py", "--key", "key"]
    return [*words, *([] if "--only" in given else ONLY), *now, *given]


@contextmanager
def desk_at(folder: Path) -> Iterator[Desk]:
    """A desk in a folder in which there may be one already."""
    (folder / "system.toml").write_text(SYSTEM)
    (folder / "plugin.py").write_text(PLUGIN)
    (folder / "policy.toml").write_text('version = 1\nname = "p"\nfail_on = "medium"\n')
    if not (folder / "key").exists():
        write_key_pair(folder / "key", generate("ecdsa-p256"), None)
    arguments = [sys.executable, "-c", SERVER]
    with subprocess.Popen(arguments, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == "ready\n"
            yield Desk(folder, server)
        finally:
            server.kill()


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that another process does soon."""
    for _ in range(6000):
        if condition():
            return
        time.sleep(0.01)
    raise TimeoutError


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with desk_at(tmp_path_factory.mktemp("desk")) as made:
        yield made


@pytest.fixture(scope="module")
def whole(desk: Desk) -> dict[str, bytes]:
    """Every file of a bundle that nobody disturbed."""
    assert desk.run("whole") == 0, desk.said
    return files(desk.folder / "whole")


def files(bundle: Path) -> dict[str, bytes]:
    return {path.relative_to(bundle).as_posix(): path.read_bytes() for path in bundle.rglob("*") if path.is_file()}


def killed_and_resumed(desk: Desk, bundle: str, moments: Iterator[float], *more: str) -> int:
    """Kill a run at each of the moments, resume it each time, let the last one end; return how many were killed."""
    killed, place = 0, desk.folder / bundle
    for moment in moments:
        process = desk.begin(*line(bundle, "--resume", *more))
        time.sleep(moment)
        subprocess.run(["kill", "-9", str(process)], check=False, capture_output=True)
        code = desk.end()
        if code == 0:  # it was faster
            return killed
        assert code == -signal.SIGKILL, desk.said
        killed += 1
        if place.exists():  # killed while it cleared up: the bundle is whole
            assert not (run_folder(place) / "store.sqlite").exists() or desk.run(bundle, "--resume", *more) == 0
            return killed
    assert desk.run(bundle, "--resume", *more) == 0, desk.said
    return killed


def test_a_run_that_is_killed_and_resumed_ends_in_the_same_bytes(desk: Desk, whole: dict[str, bytes]) -> None:
    assert killed_and_resumed(desk, "killed", iter([0.05, 0.5, 0.3])) >= 2
    assert files(desk.folder / "killed") == whole
    assert not run_folder(desk.folder / "killed").exists()


def test_processes_write_the_same_bytes(desk: Desk, whole: dict[str, bytes]) -> None:
    assert desk.run("process", "--executor", "process") == 0, desk.said
    assert files(desk.folder / "process") == whole


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["serial", "process"])
def test_twenty_kills_at_random_moments_change_no_byte(desk: Desk, whole: dict[str, bytes], executor: str) -> None:
    dice, killed, runs = random.Random(7), 0, 0
    begun = time.monotonic()
    assert desk.run(f"timed-{executor}", "--executor", executor) == 0
    takes = time.monotonic() - begun
    assert files(desk.folder / f"timed-{executor}") == whole
    while killed < 20:
        runs += 1
        bundle = f"{executor}-{runs}"
        killed += killed_and_resumed(desk, bundle, (dice.uniform(0, takes) for _ in range(5)), "--executor", executor)
        assert files(desk.folder / bundle) == whole
        shutil.rmtree(desk.folder / bundle)


@pytest.mark.slow
def test_a_resumed_run_keeps_the_clock_unless_another_is_said(desk: Desk) -> None:
    begin_and_kill(desk, "clock", "--no-now")
    assert desk.run("clock", "--resume", "--now", "2020-01-01T00:00:00Z") == 2
    assert "was begun with another value of now" in desk.said
    time.sleep(1.1)
    kept = time.time()
    assert desk.run("clock", "--resume", "--no-now") == 0, desk.said
    finished = read_bundle(desk.folder / "clock").report.provenance.finished
    assert finished.timestamp() <= kept - 1


def begin_and_kill(desk: Desk, bundle: str, *more: str) -> int:
    """Kill a run once its first trials are on the disk, and return which process it was."""
    process = desk.begin(*line(bundle, *more))
    results = run_folder(desk.folder / bundle) / "results"
    until(lambda: any(results.glob("*/*.npz")))
    subprocess.run(["kill", "-9", str(process)], check=True)
    assert desk.end() == -signal.SIGKILL
    return process


@pytest.fixture(scope="module")
def stopped(desk: Desk) -> str:
    """A run that was killed half way, and nobody has resumed."""
    begin_and_kill(desk, "stopped")
    return "stopped"


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--seed", "1"], "the seed"),
        (["--nonce", "n"], "--nonce: nothing then, n now"),
        (["--effort", "standard"], "--effort: smoke then, standard now"),
        (["--policy", "policy.toml"], "--policy"),
        (["--only", "local.*"], "--only"),
        (["--skip", "local.trials-*"], "--skip"),
        (["--auditor", "A.Auditor"], "--auditor"),
        (["--engine", "vmap"], "--engine: auto then, vmap now"),
        (["--salted-evidence"], "--salted-evidence: false then, true now"),
        (["--now", "2026-11-23T00:00:00Z"], "now: 2026-11-22T00:00:00Z then, 2026-11-23T00:00:00Z now"),
        (["--judge", "system.toml"], "--judge"),
        (["--checks", "other.py"], "the code of other people's checks"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
@pytest.mark.slow
def test_a_resumed_run_must_be_the_same_run(desk: Desk, stopped: str, more: list[str], told: str) -> None:
    (desk.folder / "other.py").write_text(PLUGIN.replace("local.trials", "local.others"))
    assert desk.run(stopped, "--resume", *more) == 2
    assert "was begun with another value of" in desk.said
    assert told in desk.said


def test_a_resumed_run_must_be_of_the_same_system_and_seed(desk: Desk, stopped: str) -> None:
    assert desk.run(stopped, "--resume", "--seed", "1") == 2
    assert "was begun with another value of the seed" in desk.said
    file = desk.folder / "system.toml"
    file.write_text(SYSTEM + "# another\n")
    try:
        assert desk.run(stopped, "--resume") == 2
        assert "another value of the system file, or a file that it names" in desk.said
    finally:
        file.write_text(SYSTEM)


def test_a_leftover_is_offered_and_not_overwritten(desk: Desk, stopped: str) -> None:
    assert desk.run(stopped) == 2
    assert "Go on with it by --resume" in desk.said
    assert "remove the folder" in desk.said


@pytest.mark.parametrize("how", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM])
def test_a_run_that_is_stopped_says_how_to_go_on(desk: Desk, whole: dict[str, bytes], how: signal.Signals) -> None:
    process = desk.begin(*line(how.name))
    results = run_folder(desk.folder / how.name) / "results"
    until(lambda: any(results.glob("*/*.npz")))
    subprocess.run(["kill", f"-{how.name}", str(process)], check=True)
    assert desk.end() == 3
    assert "interrupted; what was finished is kept" in desk.said and "--resume" in desk.said
    assert "Traceback" not in desk.said
    assert not (desk.folder / how.name).exists()
    assert desk.run(how.name, "--resume") == 0
    assert files(desk.folder / how.name) == whole


@pytest.mark.slow
def test_two_runs_at_once_do_not_meet(desk: Desk) -> None:
    with desk_at(desk.folder) as second:
        first = desk.begin(*line("shared"))
        until((run_folder(desk.folder / "shared") / "store.sqlite").exists)
        assert second.run("shared", "--resume") == 2
        assert f"process {first} is working in" in second.said
    assert desk.end() == 0


def test_a_kept_run_has_its_timings_and_a_finished_one_is_not_run_again(desk: Desk, whole: dict[str, bytes]) -> None:
    assert desk.run("kept", "--keep-run") == 0
    assert files(desk.folder / "kept") == whole
    told = {one.check: one for one in timings(desk.folder / "kept")}
    assert (told["local.trials"].trials, told["local.trials-again"].trials) == (24, 1)
    assert told["local.trials"].seconds >= told["local.trials"].trial_seconds >= 24 * 0.02
    desk.begin("show", "kept", "--timings", "--json")
    assert desk.end() == 0, desk.said
    [row] = [one for one in json.loads(desk.said)["timings"] if one["check"] == "local.trials"]
    assert row == asdict(told["local.trials"])
    desk.begin("show", "kept", "--timings")
    assert desk.end() == 0
    assert "local.trials-again" in desk.said and "seconds  trials" in desk.said
    before = (desk.folder / "kept" / "report.dsse.json").stat().st_mtime_ns
    assert desk.run("kept", "--resume") == 0
    assert (desk.folder / "kept" / "report.dsse.json").stat().st_mtime_ns == before
    assert not run_folder(desk.folder / "kept").exists()  # this time it was not said


@pytest.mark.slow
def test_a_disk_that_is_full_ends_the_run_with_one_sentence(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk."""
    with desk_at(tmp_path) as desk:
        assert desk.run("control", "--no-render") == 0, desk.said
        resource.prlimit(desk.server.pid, resource.RLIMIT_FSIZE, (100_000, 100_000))
        assert desk.run("full", "--no-render") == 3
        assert "cannot be written: " in desk.said
        assert "Traceback" not in desk.said
        assert not (tmp_path / "full").exists()
