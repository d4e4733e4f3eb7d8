"""The whole audit of a small language model's federation: run, seal, and the same bytes however it is run."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from audit.attacks.text import text
from audit.cli.main import run
from tests.audit.attacks.text_federation import Defend, clear, llama, noised, write

pytestmark = pytest.mark.llm


def audited(folder: Path, bundle: Path, capsys: pytest.CaptureFixture[str], executor: str = "serial") -> dict[str, Any]:
    options = ["--effort", "smoke", "--executor", executor, "--now", "2026-11-21T12:00:00Z", "--no-render", "--json"]
    only = ["--only", "attack.*", "--only", "integrity.*"]
    assert run(["run", str(folder / "system.toml"), "-o", str(bundle), *only, *options]) == 0
    findings = json.loads(capsys.readouterr().out)["findings"]
    return {finding["check"]: finding for finding in findings}


@pytest.mark.parametrize(("defend", "clients", "status"), [(clear, 8, "fail"), (noised(1.0), 64, "pass")])
def test_a_leak_fails_and_its_noised_twin_passes_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], defend: Defend, clients: int, status: str
) -> None:
    folder = write(tmp_path / "system", llama(), defend=defend, clients=clients)
    found = audited(folder, tmp_path / "bundle", capsys)
    assert found["attack.text"]["status"] == status
    assert found["integrity.artifacts"]["status"] == "pass"
    assert {found[f"attack.{name}"]["status"] for name in ("labels", "linear", "aggregate")} == {"skipped"}
    assert not any(finding["status"] == "error" for finding in found.values())


@pytest.mark.slow
def test_worker_processes_write_the_same_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path / "system", llama(), defend=noised(1e-2))
    fresh = [sys.executable, "-c", "from transformers import LlamaForCausalLM"]
    if subprocess.run(fresh, check=False, capture_output=True).returncode:
        pytest.skip("a fresh interpreter cannot import transformers, as with a torchvision beside CPU torch")
    for executor in ("serial", "process"):
        audited(folder, tmp_path / executor, capsys, executor)
    one, other = ((tmp_path / name / "report.dsse.json").read_bytes() for name in ("serial", "process"))
    assert one == other


def test_a_system_without_text_is_not_asked_for_transformers(tmp_path: Path, planted: Any, ask: Any) -> None:
    asked = ask(text, planted(clients=2))
    assert asked.finding.reason == "not-applicable:no-language-model"
