"""The three examples of CONTRIBUTING.md are cut out and run, so they cannot go stale."""

import json
import re
from pathlib import Path

import pytest

from audit.cli.main import run

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


def test_there_are_three_examples() -> None:
    assert set(EXAMPLES) == {"add a check", "add an attack", "add a control"}


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
