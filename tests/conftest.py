"""What tests of several packages share: the demonstration, run once."""

import contextlib
import fcntl
import gc
import io
import json
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import torch

# a machine that is busy with something else must not fail a property: examples are counted, not timed
hypothesis.settings.register_profile("untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("untimed")


@dataclass(frozen=True)
class DemoRun:
    """`fedaudit demo FOLDER`, as the command line answered it: for machines and for people."""

    folder: Path
    exit_code: int
    document: dict[str, Any]
    progress: str
    text: str


@pytest.fixture(scope="session")
def demo_run(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> DemoRun:
    """The whole demonstration: two federations trained, audited, sealed and judged.

    Run once, whatever the number of workers: the first runs it, the others wait and look at the same folder.
    """
    here = tmp_path_factory.getbasetemp()
    shared = (here if worker_id == "master" else here.parent) / "demonstration"
    shared.mkdir(exist_ok=True)
    folder, told = shared / "tour" / "demo", shared / "told.json"
    with (shared / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not told.exists():
            folder.parent.mkdir()
            told.write_text(json.dumps(run_demonstration(folder)))
    return DemoRun(folder, *json.loads(told.read_text()))


def run_demonstration(folder: Path) -> tuple[int, dict[str, Any], str, str]:
    """Return exit code, document, progress and text of `fedaudit demo FOLDER`."""
    import click

    from audit.cli.main import Invocation, answered
    from reports.version import VERSION

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    progress = io.StringIO()
    try:
        with contextlib.redirect_stderr(progress):
            answer = answered(["demo", str(folder), "--now", "2026-11-21T12:00:00Z"], Invocation())
    finally:
        torch.set_num_threads(threads)
    document = json.loads(answer.document("demo", VERSION))
    return answer.exit_code, document, progress.getvalue(), click.unstyle(answer.text)


@pytest.fixture(scope="session")
def demo_folder(demo_run: DemoRun) -> Path:
    """The folder that the demonstration left: careless, careful, their bundles, policy.toml and trust.toml."""
    return demo_run.folder


@pytest.fixture(autouse=True)
def ray_leaves_nothing(request: pytest.FixtureRequest) -> Iterator[None]:
    """Stop Ray after a test that started it, and collect what it leaves open before another test is blamed."""
    yield
    if request.node.get_closest_marker("ray") and "ray" in sys.modules:
        sys.modules["ray"].shutdown()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()
