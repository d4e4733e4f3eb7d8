"""The examples of CONTRIBUTING.md are cut out and run, so they cannot go stale."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from audit.cli.main import run
from reports.model import Effort, Status

PAGE = Path(__file__).parents[1] / "CONTRIBUTING.md"
EXAMPLES = dict(re.findall(r"```python\n# example: ([a-z ]+)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))
SYSTEM = """
[system]
name = "contributed"
version = "1"
intended_purpose = "To sort the letters of a ward."
[federation]
clients = 4
"""


def test_there_are_four_examples() -> None:
    assert set(EXAMPLES) == {"add a check", "add an attack", "add a control", "add a flaw"}


def test_the_example_of_a_flaw_is_caught_and_its_twin_left_alone(tmp_path: Path) -> None:
    from audit.selftest.play import Case, audited, built

    shelf: dict[str, Any] = {"__name__": "example"}
    exec(compile(EXAMPLES["add a flaw"], "example.py", "exec"), shelf)
    one = shelf["example_claim_halved"]
    said = {}
    for planted in (True, False):
        case = Case(one.id, planted, 1, Effort.SMOKE, datetime(2026, 11, 22, tzinfo=UTC))
        folder = tmp_path / str(planted)
        said[planted] = audited(one, case, built(one, case, folder), folder)
    assert (said[True]["dp.accounting"], said[False]["dp.accounting"]) == (Status.FAIL, Status.PASS)
    assert Status.FAIL not in said[False].values()


@pytest.mark.parametrize(
    ("example", "check", "status"),
    [
        ("add a check", "local.enough-clients", "fail"),
        ("add an attack", "attack.example", "fail"),
        ("add a control", "local.intended-purpose", "pass"),
    ],
)
def test_an_example_is_found_and_answers(
    example: str, check: str, status: str, tmp_path: Path, demo_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.py").write_text(EXAMPLES[example], encoding="utf-8")
    system = tmp_path / "system.toml"
    system.write_text(SYSTEM, encoding="utf-8")
    if example == "add an attack":
        system = demo_folder / "careless" / "system.toml"  # updates in the clear, of batches of one
    plugin = ["--checks", str(tmp_path / "mine.py"), "--json"]
    assert run(["checks", *plugin]) == 0
    assert check in {row["id"] for row in json.loads(capsys.readouterr().out)["checks"]}
    arguments = ["run", str(system), "-o", str(tmp_path / "bundle"), "--only", check, "--no-render"]
    assert run([*arguments, *plugin]) == 0
    found = {row["check"]: row for row in json.loads(capsys.readouterr().out)["findings"]}
    assert found[check]["status"] == status
