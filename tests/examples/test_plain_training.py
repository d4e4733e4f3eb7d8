"""A training script that knows two lines of fedaudit goes all the way: run, sign, verify, gate."""

import ast
import base64
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from audit.cli.main import run

SCRIPT = Path(__file__).parents[2] / "examples" / "plain_training.py"
NOW = "2026-11-21T12:00:00Z"
POLICY = """
version = 1
name = "cellar"
fail_on = "medium"

[[require]]
check = "attack.linear"
min_strength = "statistical"
"""
TRUST = """
version = 1

[require]
auditor = 1

[[keys]]
name = "A. Auditor"
role = "auditor"
public_key = "auditor.key.pub"
"""


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("plain_training", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def fedaudit(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, dict[str, Any]]]:
    """The command line in this process, with --json: exit code and document."""

    def call(*words: object) -> tuple[int, dict[str, Any]]:
        code = run([*map(str, words), "--json"])
        return code, json.loads(capsys.readouterr().out)

    return call


def test_the_script_names_fedaudit_on_two_lines() -> None:
    tree = ast.parse(SCRIPT.read_text())
    imports = [
        node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("audit")
    ]
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == "record_gradient"]
    assert (len(imports), len(calls)) == (1, 1)
    assert [name.name for name in imports[0].names] == ["record_gradient"]


@pytest.mark.parametrize(
    ("noise", "linear", "result", "exit_code"), [(0.0, "fail", "failed", 1), (1.0, "pass", "passed", 0)]
)
def test_it_goes_through_run_sign_verify_and_gate(
    tmp_path: Path, script: ModuleType, fedaudit, noise: float, linear: str, result: str, exit_code: int
) -> None:
    torch.manual_seed(0)
    accuracy = script.train(tmp_path / "recorded", noise)
    if not noise:
        assert accuracy > 0.9  # a real training, not a mock of one
    (tmp_path / "policy.toml").write_text(POLICY)
    (tmp_path / "trust.toml").write_text(TRUST)
    assert fedaudit("keygen", "-o", tmp_path / "auditor.key", "--no-passphrase")[0] == 0
    bundle, system = tmp_path / "bundle", tmp_path / "recorded" / "system.toml"
    only = () if not noise else ("--only", "attack.linear", "--only", "integrity.*")  # 96 labels are too few to pass
    assert fedaudit("run", system, "-o", bundle, "--effort", "smoke", "--now", NOW, *only)[0] == 0
    assert fedaudit("sign", bundle, "--key", tmp_path / "auditor.key", "--role", "auditor")[0] == 0
    subject = ("--subject", tmp_path / "recorded" / "model.safetensors")
    trust = ("--trust", tmp_path / "trust.toml", "--now", NOW)
    assert fedaudit("verify", bundle, *trust, *subject)[0] == 0
    code, judged = fedaudit("gate", bundle, "--policy", tmp_path / "policy.toml", *trust, *subject)
    assert (code, judged["result"]) == (exit_code, result)
    found = {finding["check"]: finding for finding in json.loads(_payload(bundle))["predicate"]["findings"]}
    assert found["attack.linear"]["status"] == linear
    assert found["integrity.artifacts"]["status"] == "pass"


def _payload(bundle: Path) -> bytes:
    return base64.b64decode(json.loads((bundle / "report.dsse.json").read_text())["payload"])


def test_a_second_run_into_the_same_folder_is_refused(tmp_path: Path, script: ModuleType) -> None:
    script.train(tmp_path / "recorded")
    with pytest.raises(Exception, match="recorded already"):
        script.train(tmp_path / "recorded")
