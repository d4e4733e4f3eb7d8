"""The count of false accusations: it tells twins from flaws, and ends in 1 where sound systems are accused."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "null_systems.py"


def counted(*arguments: str) -> tuple[list[Any], int]:
    """Return the rows and the exit code."""
    command = [sys.executable, str(SCRIPT), "--json", *arguments]
    run = subprocess.run(command, capture_output=True, text=True, cwd=SCRIPT.parents[2], check=False)
    assert run.stderr == ""
    return [json.loads(line) for line in run.stdout.splitlines()], run.returncode


@pytest.mark.slow
def test_it_counts_accusations_of_twins_and_of_flaws() -> None:
    asked = ("--flaw", "dp-rounds-uncounted", "--check", "dp.accounting", "--systems", "3")
    [twin], code = counted(*asked)
    assert (twin["said"], code) == ({"pass": 3}, 0)
    assert twin["upper"] == pytest.approx(1 - 0.05 ** (1 / 3))  # none of three, one-sided 95 %
    [flaw], code = counted(*asked, "--planted")
    assert (flaw["said"], code) == ({"fail": 3}, 0)


@pytest.mark.slow
@pytest.mark.parametrize("flaw", ["dp-no-noise", "dp-canaries-exceed-claim", "accuracy-of-training-records"])
def test_at_most_one_sound_system_in_twenty_is_accused(flaw: str) -> None:
    [row], code = counted("--flaw", flaw, "--systems", "200")
    assert code == 0
    assert row["said"].get("fail", 0) <= 10
    assert row["said"]["pass"] >= 190
