"""One call from Python writes what the command line writes."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from audit.api import audit_system
from audit.cli.main import run
from reports.errors import FedauditError, KeyFileError
from reports.keyfile import write_key_pair
from reports.keys import generate

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SYSTEM = '[system]\nname = "ward"\nversion = "1"\n'


@pytest.fixture
def system(tmp_path: Path) -> Path:
    file = tmp_path / "system.toml"
    file.write_text(SYSTEM)
    return file


def test_it_writes_the_bytes_of_the_command_line(tmp_path: Path, system: Path) -> None:
    audited = audit_system(str(system), str(tmp_path / "one"), effort="smoke", now=NOW)
    words = ["run", str(system), "-o", str(tmp_path / "other"), "--effort", "smoke", "--now", NOW.isoformat()]
    assert run(words) == 0
    files = sorted(file.relative_to(tmp_path / "one") for file in (tmp_path / "one").rglob("*") if file.is_file())
    assert Path("render/report.html") in files
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "other" / file).read_bytes(), file
    assert audited.report.system.name == "ward"
    assert audited.keyid is None


def test_it_signs_with_a_key_or_with_the_file_of_one(tmp_path: Path, system: Path) -> None:
    key = generate("ed25519")
    write_key_pair(tmp_path / "plain.key", key, None)
    write_key_pair(tmp_path / "locked.key", key, b"a long passphrase")
    asked = {"effort": "smoke", "now": NOW, "only": ("integrity.*",)}
    signed = [
        audit_system(system, tmp_path / "a", key=key, **asked),
        audit_system(system, tmp_path / "b", key=str(tmp_path / "plain.key"), **asked),
        audit_system(
            system, tmp_path / "c", key=tmp_path / "locked.key", passphrase=lambda: b"a long passphrase", **asked
        ),
    ]
    assert {one.keyid for one in signed} == {signed[0].keyid}
    assert signed[0].keyid is not None
    with pytest.raises(KeyFileError, match="passphrase"):
        audit_system(system, tmp_path / "d", key=tmp_path / "locked.key", **asked)
    assert not (tmp_path / "d").exists()


def test_what_cannot_be_asked_is_told_and_nothing_is_written(tmp_path: Path, system: Path) -> None:
    with pytest.raises(ValueError, match="thorough"):
        audit_system(system, tmp_path / "a", effort="thorough")
    with pytest.raises(FedauditError, match=r"nothing\.toml"):
        audit_system(tmp_path / "nothing.toml", tmp_path / "a")
    with pytest.raises(TypeError, match="thoroughness"):
        audit_system(system, tmp_path / "a", thoroughness=3)
    assert not (tmp_path / "a").exists()


def test_a_report_is_read_verified_and_judged_without_torch() -> None:
    line = (
        "import reports.judge, reports.policy, reports.trust, reports.verify, sys; "
        "print([name for name in ('torch', 'numpy', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
