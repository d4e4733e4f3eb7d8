"""Every command of the README is run, in order, and prints what the README says.

A block marked `console` holds commands after `$ ` and what they print; `…` stands for whatever differs from run to run.
A block marked `python` is run where a block marked `text` follows, which is what it prints.
All blocks share one folder, in order. The table of checks is the one that the checks themselves give.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from reports.check import discover

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ELLIPSIS = "…"
BLOCK = re.compile(
    r"^```console\n(.*?)^```|^```python\n((?:(?!^```).)*)^```\n+```text\n(.*?)^```", re.DOTALL | re.MULTILINE
)


class Step(NamedTuple):
    """One command and what it prints."""

    command: str
    expected: str


def sections() -> dict[str, list[Step]]:
    """Return the steps of each section that has any."""
    found: dict[str, list[Step]] = {}
    for section in re.split(r"^(?=## )", README, flags=re.MULTILINE):
        title = section.splitlines()[0].strip("# ")
        steps = [step for match in BLOCK.finditer(section) for step in steps_of(match)]
        if steps:
            found[title] = steps
    return found


def steps_of(match: re.Match[str]) -> Iterator[Step]:
    """Yield the commands of a console block, or the one that runs a Python block."""
    console, code, printed = match.groups()
    if console is not None:
        yield from parse(console)
    else:
        yield Step(f"python - <<'END'\n{code}END\n", printed)


def parse(block: str) -> Iterator[Step]:
    """Yield the commands of one block; a command goes on over a backslash, and over lines that begin with `> `."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        lines = part.splitlines(keepends=True)
        end = 1
        while lines[end - 1].endswith("\\\n") or (end < len(lines) and lines[end].startswith("> ")):
            end += 1
        yield Step("".join(line.removeprefix("> ") for line in lines[:end]), "".join(lines[end:]))


def matches(expected: str, printed: str) -> bool:
    """Tell whether a text is what was expected, `…` standing for anything."""
    pattern = ".*?".join(re.escape(piece) for piece in expected.strip().split(ELLIPSIS))
    return re.fullmatch(pattern, printed.strip(), re.DOTALL) is not None


def test_the_comparison_can_fail() -> None:
    assert matches("report … in b\n", "report 1234 in b")
    assert not matches("report … in b", "report 1234 in c")
    assert not matches("passed", "failed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("readme")
    (folder / "examples").symlink_to(ROOT / "examples")
    return folder


DEMO = "fedaudit demo demo\n"


def told_by_the_tour(tour: Any, folder: Path) -> str:
    """Put the tour's folder where the README has it, and return what the command said, its folder named as there."""
    shutil.copytree(tour.folder, folder / "demo")
    return tour.text.replace(str(tour.folder), "demo")


@pytest.mark.slow
@pytest.mark.parametrize("section", sections())
def test_what_the_readme_shows_is_what_happens(section: str, folder: Path, demo_run: Any) -> None:
    if "jq " in str(sections()[section]) and shutil.which("jq") is None:
        pytest.skip("jq is not installed")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "NO_COLOR": "1"}
    for step in sections()[section]:
        if step.command == DEMO:  # half a minute that the other tests of the tour have spent
            assert matches(step.expected, told := told_by_the_tour(demo_run, folder)), told
            continue
        done = subprocess.run(
            ["bash", "-c", step.command], cwd=folder, env=environment, capture_output=True, text=True, timeout=600
        )
        assert "Traceback" not in done.stderr, done.stderr
        assert matches(step.expected, done.stdout), f"$ {step.command}\n{done.stdout}\n{done.stderr}"


def test_the_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", README, re.MULTILINE))
    assert {"demo", "test"} <= named
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in named)


def test_the_table_of_checks_is_what_the_checks_say() -> None:
    rows = []
    for check in discover():
        needs = ", ".join(f"`{need}`" for need in check.needs).replace("|", "` or `") or "–"
        rows.append(f"| `{check.id}` | {check.title} | {needs} | {check.strength} |")
    table = "\n".join(rows)
    assert table in README, f"the table should read:\n{table}"
