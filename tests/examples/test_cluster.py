"""The page on clusters: its commands are run on a cluster of this machine, and print what it says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_readme import matches, parse

pytestmark = [pytest.mark.ray, pytest.mark.slow]
PAGE = Path(__file__).parents[2] / "examples" / "cluster.md"


def test_what_the_page_shows_is_what_happens(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    [block] = PAGE.read_text(encoding="utf-8").split("```console\n")[1:]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "NO_COLOR": "1"}
    asked = 0
    try:
        for step in parse(block.split("```")[0]):
            if step.command.startswith("export "):
                name, _, value = step.command.removeprefix("export ").strip().partition("=")
                environment[name] = value
                continue
            done = subprocess.run(
                ["bash", "-c", step.command], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
            )
            assert matches(step.expected, done.stdout), f"$ {step.command}\n{done.stdout}\n{done.stderr}"
            asked += 1
    finally:
        subprocess.run(["bash", "-c", "ray stop --force"], env=environment, capture_output=True, check=False)
    assert asked == 5
