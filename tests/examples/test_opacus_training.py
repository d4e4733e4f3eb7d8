"""An ordinary Opacus run that knows three lines of fedaudit ends in a report that believes it, or does not."""

import ast
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from audit.api import audit_system
from reports.model import Finding, Status

SCRIPT = Path(__file__).parents[2] / "examples" / "opacus_training.py"
ANSWERED = ("dp.opacus-configuration", "dp.accounting", "attack.membership", "integrity.accuracy")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:Secure RNG turned off", "ignore:Full backward hook", "ignore:Optimal order"),
]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("opacus_training", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def audited(folder: Path, *only: str) -> dict[str, Finding]:
    report = audit_system(folder / "system.toml", folder.parent / "bundle", effort="smoke", only=only).report
    return {finding.check: finding for finding in report.findings}


def test_the_script_names_fedaudit_on_three_lines() -> None:
    tree = ast.parse(SCRIPT.read_text())
    imports = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert [name for name in imports if name.partition(".")[0] == "audit"] == ["audit.capture", "audit.dp.record"]
    assert sum(isinstance(node, ast.Name) and node.id == "record_model" for node in ast.walk(tree)) == 1


def test_what_was_declared_is_what_was_done(tmp_path: Path, script: ModuleType) -> None:
    epsilon, accuracy = script.train(tmp_path / "released")
    assert epsilon < script.DECLARED["epsilon"]
    assert accuracy > 0.85  # a real training, not a mock of one
    found = audited(tmp_path / "released")
    assert {name: found[name].status for name in ANSWERED} == dict.fromkeys(ANSWERED, Status.PASS)
    assert not [one.check for one in found.values() if one.status in (Status.FAIL, Status.ERROR)]


def test_half_of_the_noise_is_told_from_the_record(tmp_path: Path, script: ModuleType) -> None:
    script.train(tmp_path / "half", noise=0.5)
    found = audited(tmp_path / "half", "dp.*")
    assert found["dp.opacus-configuration"].status is Status.FAIL
    assert "noise multiplier 0.5; 1 is declared" in found["dp.opacus-configuration"].summary
