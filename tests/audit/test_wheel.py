"""What an installation holds: everything that a command reads, no test; and no folder beside it gets in its way."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("audit", "compliance", "reports", "secagg", "unlearning")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel of a copy of the tree, so that no build lies in the tree itself."""
    pytest.importorskip("setuptools", minversion="77", reason="the backend that builds")
    copy = tmp_path_factory.mktemp("tree")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    line = [sys.executable, "-c", "import setuptools.build_meta as it; print(it.build_wheel('.'))"]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(line, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return zipfile.ZipFile(copy / done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_every_file_of_the_packages_is_there_and_no_other(wheel: zipfile.ZipFile) -> None:
    line = ["git", "ls-files", "--", *PACKAGES]
    listed = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("this tree is no git repository")
    there = {name for name in listed.stdout.splitlines() if (ROOT / name).is_file()}
    held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert there - held == set(), "add them to [tool.setuptools.package-data]"
    assert {name.partition("/")[0] for name in held} == set(PACKAGES)


@pytest.mark.slow
def test_types_templates_schemas_and_ci_files_are_there(wheel: zipfile.ZipFile) -> None:
    held = wheel.namelist()
    for name in ("reports/py.typed", "reports/templates/verify.sh", "audit/cli/templates/system.toml"):
        assert name in held
    for folder in ("reports/schema", "reports/ci"):
        assert {f"{folder}/{path.name}" for path in (ROOT / folder).iterdir()} <= set(held)
    assert not [name for name in held if "tests/" in name or name.endswith(".pyc")]


@pytest.mark.parametrize("name", PACKAGES)
def test_a_folder_of_the_same_name_where_one_stands_is_not_imported(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("raise SystemExit('the wrong one')\n")
    script = Path(sys.executable).with_name("fedaudit")
    if not script.is_file():
        pytest.skip("fedaudit is not installed beside this Python")
    done = subprocess.run([str(script), "--help"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
