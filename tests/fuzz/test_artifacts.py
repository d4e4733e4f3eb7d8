"""Ten thousand mutated files, each where a check would read it: loaded or refused, and none of them runs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

TARGET = Path(__file__).with_name("fuzz_artifacts.py")
CODE = re.compile(r"^ +([0-9]+)  (\S+)$", re.MULTILINE)


@pytest.mark.slow
def test_ten_thousand_files_are_loaded_or_refused_in_documented_words() -> None:
    done = subprocess.run([sys.executable, str(TARGET), "--runs", "10000"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    counts = {code: int(count) for count, code in CODE.findall(done.stdout)}
    assert sum(counts.values()) == 10_000
    for code in ("accepted", "file.refused", "file.broken", "system.records"):  # the fuzz reaches every kind of answer
        assert sum(count for known, count in counts.items() if code in known) > 50, done.stdout


def test_the_sentinel_would_be_seen(tmp_path: Path) -> None:
    """The control: with the directory there, the first input already ends the loop."""
    script = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1])\n"
        "import fuzz_artifacts as target\n"
        "root = Path(sys.argv[2]); (root / 'system').mkdir(); target.write(root / 'system')\n"
        "sentinel = root / 'code-was-run'; letter, (_, sound) = next(iter(target.FILES.items()))\n"
        "assert target.step(letter + sound, root / 'system', sentinel) == 'accepted'\n"
        "import pickle; pickle.loads(pickle.dumps(target.Trap(sentinel)))\n"
        "target.step(letter + sound, root / 'system', sentinel)\n"
    )
    line = [sys.executable, "-c", script, str(TARGET.parent), str(tmp_path)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "AssertionError: code of a file was run" in done.stderr
