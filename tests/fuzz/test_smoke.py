"""Each fuzz target starts, accepts its sound seed, and survives a few hundred inputs; `make fuzz` runs the rest."""

import subprocess
import sys
from pathlib import Path

import pytest

TARGETS = sorted(Path(__file__).parent.glob("fuzz_*.py"))


@pytest.mark.parametrize("target", TARGETS, ids=lambda path: path.stem)
def test_a_few_hundred_inputs_meet_documented_answers_only(target: Path) -> None:
    done = subprocess.run([sys.executable, str(target), "--runs", "200"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "200 runs" in done.stdout


def test_an_undocumented_answer_is_told(tmp_path: Path) -> None:
    """The control: a target that crashes ends the loop with exit 1 and keeps its input."""
    broken = tmp_path / "fuzz_broken.py"
    broken.write_text(
        "from mutation import fuzz, mutate_bytes\n"
        "def step(data):\n"
        "    if data != b'sound':\n"
        "        raise KeyError(data)\n"
        "    return 'accepted'\n"
        "fuzz('broken', [b'sound'], step, [mutate_bytes])\n"
    )
    done = subprocess.run(
        [sys.executable, str(broken), "--runs", "50"],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(TARGETS[0].parent), "TMPDIR": str(tmp_path), "PATH": ""},
    )
    assert done.returncode == 1
    assert "its input is" in done.stderr
    assert list(tmp_path.glob("fuzz-broken-*.bin"))
