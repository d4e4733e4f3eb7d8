"""Flower's quick-start under Flower's simulation engine: three protections, three audits, three verdicts."""

import importlib
import io
import json
import os
import shutil
import subprocess
import sys
import warnings
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.flower, pytest.mark.ray, pytest.mark.slow]
ROOT = Path(__file__).parents[2]
APP = ROOT / "examples" / "flower_quickstart"
REHEARSED = {"plain": 64, "secagg": 32, "dp": 64}
"""Clients, each with one planted record; of a sum of more than 36 of 1,797 digits a guess is right too often."""


@dataclass(frozen=True)
class Audited:
    """A report and its verdict."""

    findings: dict[str, str]
    """Status by check, of those that were asked."""
    verdict: str
    judgements: list[dict[str, Any]]


def command(*words: str) -> dict[str, Any]:
    """Return the JSON answer of a command of fedaudit."""
    from audit.cli.main import Invocation, answered
    from reports.version import VERSION

    with redirect_stderr(io.StringIO()):
        answer = answered([*words], Invocation())
    return dict(json.loads(answer.document(words[0], VERSION)))


@pytest.fixture(scope="module", autouse=True)
def flower() -> None:
    """Import what checks ask of Flower; it sends usage figures home unless told not to before the first import."""
    os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Flower's dependencies among themselves (typer, click)
        for module in ("flwr.app", "flwr.client.mod", "flwr.server.workflow", "flwr.serverapp.strategy"):
            importlib.import_module(module)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example as a user copies it."""
    return Path(shutil.copytree(APP, tmp_path_factory.mktemp("app") / "flower_quickstart"))


@pytest.fixture(scope="module", params=list(REHEARSED))
def audited(request: pytest.FixtureRequest, folder: Path) -> tuple[str, Audited]:
    """The app rehearsed by the script as a user runs it, with ray's workers in processes of their own, and audited."""
    name = request.param
    quiet = {"FLWR_TELEMETRY_ENABLED": "0", "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    clients = ["--clients", str(REHEARSED[name]), "--planted", "1", "--rounds", "1"]
    subprocess.run(
        [sys.executable, "simulate.py", name, *clients],
        cwd=folder, env=os.environ | quiet | {"PYTHONPATH": paths}, capture_output=True, timeout=500, check=True,
    )  # fmt: skip
    policy, bundle = str(folder / "policy.toml"), str(folder / "audited" / name)
    report = command(
        "run", str(folder / "captured" / name / "system.toml"), "-o", bundle, "--policy", policy, "--trust-code",
        "--effort", "smoke", "--executor", "serial", "--no-render",
    )  # fmt: skip
    verdict = command("gate", bundle, "--policy", policy, "--unsigned")
    findings = {one["check"]: one["status"] for one in report["findings"] if one["status"] != "skipped"}
    return name, Audited(findings, verdict["result"], verdict["judgements"])


def test_every_client_of_the_simulation_is_captured(audited: tuple[str, Audited], folder: Path) -> None:
    from audit.manifest import load_system

    name, _ = audited
    system = load_system(folder / "captured" / name / "system.toml").system
    assert system.federation is not None
    assert system.federation.clients_per_round == REHEARSED[name]
    assert len(system.updates) == (1 if name == "secagg" else REHEARSED[name])
    assert all(update.truth is not None for update in system.updates)


def test_the_three_verdicts_tell_the_protections_apart(audited: tuple[str, Audited]) -> None:
    name, told = audited
    leaks = {check: told.findings.get(check) for check in ("attack.linear", "attack.inversion")}
    if name == "plain":
        assert leaks == {"attack.linear": "fail", "attack.inversion": "fail"}
        assert told.verdict == "failed"
    elif name == "secagg":
        assert leaks == {"attack.linear": None, "attack.inversion": None}  # single updates are out of sight
        for check in ("mask-entropy", "client-conformance", "metadata"):
            assert told.findings[f"secagg.{check}"] == "fail"
        assert told.findings["secagg.parameters"] == "pass"
        assert told.verdict == "failed"
    else:
        assert leaks == {"attack.linear": "pass", "attack.inversion": "pass"}
        assert told.findings["dp.accounting"] == "pass"
        assert told.verdict in ("passed", "incomplete")  # the noise is Flower's: 64 labels may be undecided
