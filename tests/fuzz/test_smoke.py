"""Each fuzz target starts, accepts its sound seed, and survives a few hundred inputs; `make fuzz` runs the rest."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
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


DEEP = (
    "from mutation import fuzz, mutate_bytes\n"
    "def step(data):\n"
    "    if data[:1] == b'd':\n"
    "        if data[1:2] == b'e':\n"
    "            if data[2:3] == b'e':\n"
    "                if data[3:4] == b'p':\n"
    "                    raise KeyError(data)\n"
    "    return 'accepted'\n"
    "def flip(data, rng):\n"
    "    place = rng.randrange(4)\n"
    "    return data[:place] + bytes([rng.randrange(97, 123)]) + data[place + 1:]\n"
    "fuzz('deep', [b'none'], step, [flip])\n"
)


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed")
@pytest.mark.parametrize(("code", "found"), [(DEEP, True), (DEEP.replace("raise KeyError(data)", "pass"), False)])
def test_coverage_leads_to_what_lies_behind_four_doors(tmp_path: Path, code: str, found: bool) -> None:
    target = tmp_path / "fuzz_deep.py"
    target.write_text(code)
    command = [sys.executable, str(target), "--runs", "20000", "--guided"]
    paths = {"PYTHONPATH": f"{TARGETS[0].parent}:{ROOT}", "TMPDIR": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **paths})
    assert ("KeyError" in done.stderr + done.stdout) == found, done.stderr
    assert (done.returncode == 0) == (not found)
    assert found or "20000 runs, guided" in done.stdout
