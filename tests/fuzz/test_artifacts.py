"""Ten thousand mutated files, each where a check would read it: loaded or refused, and none of them runs."""

import importlib
import pickle
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


def test_the_sentinel_would_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: once a trap has sprung, the next input ends the loop."""
    monkeypatch.syspath_prepend(str(TARGET.parent))
    target = importlib.import_module(TARGET.stem)
    folder, sentinel = tmp_path / "system", tmp_path / "code-was-run"
    folder.mkdir()
    target.write(folder)
    for letter, (_, sound) in target.FILES.items():
        assert target.step(letter + sound, folder, sentinel) == "accepted"
    pickle.loads(pickle.dumps(target.Trap(sentinel)))
    with pytest.raises(AssertionError, match="code of a file was run"):
        target.step(letter + sound, folder, sentinel)
