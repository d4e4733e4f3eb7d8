"""A package that knows fedaudit, and that fedaudit does not know, is built, installed, asked, reported and taken away.

Everything happens in a virtual environment of the test's own, which sees the packages of this one; no index is asked.
"""

import base64
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "tests" / "packages" / "outside_check"
SYSTEM = '[system]\nname = "ward"\nversion = "1"\nprovider = "Ward Systems"\n'
FEDAUDIT = "from audit.cli.main import main; main()"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("pip") is None, reason="pip is not installed here"),
    pytest.mark.skipif(importlib.util.find_spec("setuptools") is None, reason="setuptools, which builds, is not here"),
]


class Home(NamedTuple):
    """A virtual environment, and a folder to work in."""

    python: Path
    folder: Path

    def call(self, *words: object) -> subprocess.CompletedProcess[str]:
        environment = {
            name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONWARNINGS")
        }
        return subprocess.run(
            [str(self.python), *map(str, words)], cwd=self.folder, env=environment, capture_output=True, text=True,
            timeout=300,
        )  # fmt: skip

    def pip(self, *words: object) -> None:
        done = self.call("-m", "pip", "--disable-pip-version-check", *words)
        assert done.returncode == 0, done.stderr

    def install(self, source: Path) -> None:
        self.pip("install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", source)

    def fedaudit(self, *words: object) -> subprocess.CompletedProcess[str]:
        return self.call("-c", FEDAUDIT, *words)

    def ids(self) -> set[str]:
        done = self.fedaudit("checks", "--json")
        assert done.returncode == 0, done.stderr
        return {row["id"] for row in json.loads(done.stdout)["checks"]}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    folder = tmp_path_factory.mktemp("outside")
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    (packages,) = (folder / "venv" / "lib").glob("python*/site-packages")
    seen = [str(ROOT), *(path for path in sys.path if "site-packages" in path)]
    (packages / "beside.pth").write_text("".join(f"{path}\n" for path in seen))
    shutil.copytree(SOURCE, folder / "source")  # a build leaves files where it happens
    (folder / "system.toml").write_text(SYSTEM)
    return Home(folder / "venv" / "bin" / "python", folder)


def test_an_installed_package_is_asked_and_its_answer_is_signed_until_it_is_uninstalled(home: Home) -> None:
    before = home.ids()
    assert "integrity.artifacts" in before
    home.install(home.folder / "source")
    assert home.ids() - before == {"outside.provider-named"}

    assert home.fedaudit("keygen", "-o", "auditor.key", "--no-passphrase").returncode == 0
    told = home.fedaudit("run", "system.toml", "-o", "bundle", "--key", "auditor.key", "--effort", "smoke", "--json")
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["signed"]
    payload = json.loads((home.folder / "bundle" / "report.dsse.json").read_text())["payload"]
    found = {finding["check"]: finding for finding in json.loads(base64.b64decode(payload))["predicate"]["findings"]}
    mine = found["outside.provider-named"]
    assert (mine["status"], mine["summary"]) == ("pass", "Ward Systems is named as the provider.")

    home.pip("uninstall", "--quiet", "--yes", "outside-check")
    assert home.ids() == before


def test_two_packages_that_name_a_check_alike_are_told_apart_by_an_error(home: Home) -> None:
    copy = home.folder / "copy"
    shutil.copytree(SOURCE, copy)
    (copy / "outside_check.py").rename(copy / "another_check.py")
    described = (copy / "pyproject.toml").read_text()
    described = described.replace("outside_check", "another_check").replace("outside-check", "another-check")
    (copy / "pyproject.toml").write_text(described)
    shutil.rmtree(home.folder / "source" / "build", ignore_errors=True)
    home.install(home.folder / "source")
    home.install(copy)
    try:
        done = home.fedaudit("checks")
        assert done.returncode == 2
        assert "two checks are named 'outside.provider-named'" in done.stderr
        assert "outside_check" in done.stderr
        assert "another_check" in done.stderr
    finally:
        home.pip("uninstall", "--quiet", "--yes", "outside-check", "another-check")
