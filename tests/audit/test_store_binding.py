"""What a run is bound to: also the code of other people's checks, wherever in their package it stands."""

import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import pytest

from audit.plan import load_plugin
from audit.provenance import provenance_of
from audit.request import Request
from audit.store_binding import binding
from reports.check import Check, Options
from reports.digests import file_sha256
from tests.reports.test_context import SYSTEM

CHECK = """
from reports.check import check
from reports.model import Severity, Strength
from strangers_of_this_test.sums import total

@check("strangers.sum", "It adds up", strength=Strength.EXACT, severity=Severity.LOW)
def sums(system, ctx):
    yield total
"""

PLUGIN = """
from reports.check import check
from reports.model import Severity, Strength

@check("local.NAME", "It is so", strength=Strength.EXACT, severity=Severity.LOW)
def ask(system, ctx):
    yield None
"""


@pytest.fixture
def strangers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of an installed package of somebody else's, with a check."""
    package = tmp_path / "strangers_of_this_test"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "checks.py").write_text(CHECK)
    (package / "sums.py").write_text("total = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield package
    for name in [name for name in sys.modules if name.startswith(package.name)]:
        del sys.modules[name]


def plugins_of(*checks: Check) -> str:
    request = Request(system_file=Path("system.toml"), bundle=None, now=datetime(2026, 11, 22, tzinfo=UTC))
    return binding(SYSTEM, provenance_of(request, "0" * 64), Options(), checks, salted=False)["plugins"]


@pytest.mark.parametrize(
    "edit",
    [
        lambda package: (package / "checks.py").write_text(CHECK + "\n"),
        lambda package: (package / "sums.py").write_text("total = 2\n"),  # which the check calls
        lambda package: (package / "limits.json").write_text("{}"),
    ],
    ids=["the check", "what it calls", "its data"],
)
def test_a_run_is_bound_to_the_whole_package_of_a_strangers_check(
    strangers: Path, edit: Callable[[Path], object]
) -> None:
    check = import_module("strangers_of_this_test.checks").sums
    before = plugins_of(check)
    assert "strangers.sum" in before
    assert plugins_of(check) == before
    edit(strangers)
    assert plugins_of(check) != before


def test_two_plugin_files_of_one_name_are_bound_each_by_its_own_content(tmp_path: Path) -> None:
    found = {}
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        file = tmp_path / place / "checks.py"
        file.write_text(PLUGIN.replace("NAME", place))
        found[place] = load_plugin(file)[0]
    told = json.loads(plugins_of(*found.values()))
    assert told == {f"local.{place}": file_sha256(tmp_path / place / "checks.py") for place in found}
