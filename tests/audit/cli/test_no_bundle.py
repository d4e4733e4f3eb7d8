"""What every command that takes a bundle says where there is none: one sentence, and the code of the table."""

import json
import shlex
from pathlib import Path

import pytest

from audit.cli.main import run
from reports.keyfile import private_pem
from tests.audit.cli.gate_desk import NOW, Desk

TRUSTING = f"--trust trust.toml --subject model.bin --now {NOW}"
LINES = {
    f"verify {{}} {TRUSTING}": 4,
    f"gate {{}} --policy policy.toml {TRUSTING}": 4,
    "gate {} --policy policy.toml --unsigned": 3,
    "show {}": 3,
    "show {} attack.linear": 3,
    "compare {} bundle": 3,
    "compare bundle {}": 3,
    "render {} --format md -o page.md": 3,
    "sign {} --key key --role auditor": 3,
}
"""Each command line, and its exit code where something is there that is no bundle."""


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    made = Desk(tmp_path)
    made.bundle()
    (tmp_path / "key").write_bytes(private_pem(made.key, None))
    (tmp_path / "key").chmod(0o600)
    (tmp_path / "empty").mkdir()
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "report.dsse.json").write_text("{")
    monkeypatch.chdir(tmp_path)
    return made


@pytest.mark.parametrize("line", LINES)
@pytest.mark.usefixtures("desk")
def test_there_is_none(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(shlex.split(line.format("bundle"))) == 0, line
    Path("page.md").unlink(missing_ok=True)
    for place, words in {
        "nowhere": "no such folder",
        "empty": "no report.dsse.json",
        "trust.toml": "neither a folder nor a zip",
        "torn": "",
    }.items():
        expected = 2 if place == "nowhere" else LINES[line]
        capsys.readouterr()
        assert run(shlex.split(line.format(place))) == expected
        out, err = capsys.readouterr()
        assert (out == "") == (expected != 4)  # that it is not authentic is a result
        assert words in out + err
        assert (out + err).count("\n") <= 2  # the sentence and the mend
        assert (out + err).count(place) <= 1
        assert not Path("page.md").exists()
        assert run([*shlex.split(line.format(place)), "--json"]) == expected
        document = json.loads(capsys.readouterr().out)
        assert document["exit_code"] == expected
        if place != "torn":
            code = "bundle.not_found" if place == "nowhere" else "bundle.missing_envelope"
            assert document["code"] == code
