"""A training of a language model that knows two lines of fedaudit ends in a report on what its updates give away."""

import ast
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from audit.api import audit_system
from reports.model import Finding, Status
from tests.audit.attacks.text_federation import transformers

SCRIPT = Path(__file__).parents[2] / "examples" / "huggingface_training.py"

pytestmark = [pytest.mark.llm, pytest.mark.slow]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    transformers()  # skips where it cannot be used
    spec = importlib.util.spec_from_file_location("huggingface_training", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory, script: ModuleType) -> Path:
    folder = tmp_path_factory.mktemp("pretrained")
    script.small_model(folder)
    return folder


def test_the_script_names_fedaudit_on_two_lines() -> None:
    tree = ast.parse(SCRIPT.read_text())
    imports = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert [name for name in imports if name.partition(".")[0] == "audit"] == ["audit.capture"]
    assert sum(isinstance(node, ast.Name) and node.id == "record_gradient" for node in ast.walk(tree)) == 1


def test_its_letters_come_back_in_the_clear(tmp_path: Path, script: ModuleType, pretrained: Path) -> None:
    before, after = script.train(tmp_path / "clear", pretrained)
    assert after < before  # a real training, not a mock of one
    found = finding(tmp_path / "clear", "smoke")
    assert found.status is Status.FAIL
    assert next(one.value for one in found.measurements if one.name == "identifiability") == 1.0


def test_they_do_not_where_clients_clip_and_add_noise(tmp_path: Path, script: ModuleType, pretrained: Path) -> None:
    script.train(tmp_path / "noised", pretrained, noise=1.0)
    assert finding(tmp_path / "noised", "standard").status is Status.PASS


def finding(folder: Path, effort: str) -> Finding:
    asked = {"effort": effort, "only": ("attack.text",)}
    report = audit_system(folder / "system.toml", folder.parent / "bundle", **asked).report
    return next(one for one in report.findings if one.check == "attack.text")
