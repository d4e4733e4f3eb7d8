"""`fedaudit render` as its users meet it: nothing shown that may be withheld, nothing written where it hurts."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from audit.cli.main import run
from reports.bundle import read_bundle
from reports.bundle_writer import BundleWriter
from reports.evidence import evidence_faults
from tests.reports.sample_report import sample

SAMPLE = sample()
POLICY = 'version = 1\nname = "house"\nfail_on = "medium"\n'


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    with BundleWriter(tmp_path / "bundle") as writer:
        for piece in SAMPLE.report.evidence:
            writer.put_evidence(SAMPLE.contents[piece.sha256], piece.media_type, piece.confidentiality, piece.name)
        return writer.finish(SAMPLE.statement.body)


def document(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(("kind", "start"), [("html", b"<!DOCTYPE html>"), ("md", b"# ward-triage 2.3.1")])
def test_a_report_is_written_for_people(bundle: Path, tmp_path: Path, kind: str, start: bytes) -> None:
    target = tmp_path / f"report.{kind}"
    assert run(["render", str(bundle), "--format", kind, "-o", str(target)]) == 0
    assert target.read_bytes().startswith(start)
    assert not list(tmp_path.glob(".*partial"))


def test_json_is_the_very_bytes_that_are_signed(bundle: Path, tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    assert run(["render", str(bundle), "--format", "json", "-o", str(target)]) == 0
    assert hashlib.sha256(target.read_bytes()).hexdigest() == SAMPLE.statement.sha256


def test_stdout_gets_the_report_and_nothing_else(bundle: Path, tmp_path: Path, capfdbinary: object) -> None:
    target = tmp_path / "report.html"
    assert run(["render", str(bundle), "--format", "html", "-o", str(target)]) == 0
    capfdbinary.readouterr()  # type: ignore[attr-defined]
    assert run(["render", str(bundle), "--format", "html", "-o", "-"]) == 0
    shown = capfdbinary.readouterr()  # type: ignore[attr-defined]
    assert shown.out == target.read_bytes()
    assert shown.err == b""


def test_the_json_answer_says_where_and_how_much(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "report.html"
    assert run(["render", str(bundle), "--format", "html", "-o", str(target), "--json"]) == 0
    answer = document(capsys)
    assert (answer["code"], answer["output"], answer["bytes"]) == ("ok", str(target), target.stat().st_size)


def test_a_policy_adds_its_verdict_of_that_day(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text(POLICY)
    target = tmp_path / "report.html"
    command = ["render", str(bundle), "--format", "html", "-o", str(target)]
    assert run([*command, "--policy", str(tmp_path / "policy.toml"), "--today", "2026-11-22"]) == 0
    assert "by the policy “house” on 2026-11-22" in target.read_text(encoding="utf-8")
    assert run(command) == 0
    assert "Verdict" not in target.read_text(encoding="utf-8")


def test_restricted_images_are_shown_only_when_said_and_only_outside(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "report.html"
    command = ["render", str(bundle), "--format", "html", "-o", str(target)]
    assert run(command) == 0
    assert b"data:image/png" not in target.read_bytes()
    assert run([*command, "--include", "restricted"]) == 0
    assert target.read_bytes().count(b"data:image/png") == 29
    inside = bundle / "render" / "report.html"
    capsys.readouterr()
    command = ["render", str(bundle), "--format", "html", "-o", str(inside), "--include", "restricted", "--json"]
    assert run(command) == 2
    assert document(capsys)["code"] == "render.inside_bundle"
    assert not inside.exists()


@pytest.mark.parametrize("place", ["report.html", "evidence/report.html", "report.dsse.json", "render/../report.html"])
def test_nothing_is_written_where_it_would_break_the_bundle(
    bundle: Path, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (bundle / "report.dsse.json").read_bytes()
    assert run(["render", str(bundle), "--format", "html", "-o", str(bundle / place), "--json"]) == 2
    assert document(capsys)["code"] == "render.inside_bundle"
    assert (bundle / "report.dsse.json").read_bytes() == before


def test_a_link_into_the_bundle_is_seen_through(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(bundle)
    assert run(["render", str(bundle), "--format", "html", "-o", str(tmp_path / "link" / "report.html")]) == 2


def test_the_rendering_of_a_bundle_may_be_renewed_in_place(bundle: Path) -> None:
    assert run(["render", str(bundle), "--format", "html", "-o", str(bundle / "render" / "report.html")]) == 0
    read = read_bundle(bundle)
    report = read.report
    assert not list(evidence_faults(read.files, report.evidence, report.evidence_root, deny_withheld=True))


@pytest.mark.parametrize(
    ("arguments", "exit_code"),
    [
        (["--format", "pdf", "-o", "x"], 2),
        (["-o", "x"], 2),
        (["--format", "html"], 2),
        (["--format", "json", "-o", "x", "--include", "restricted"], 2),
        (["--format", "html", "-o", "x", "--today", "2026-11-22"], 2),
        (["--format", "html", "-o", "-", "--json"], 2),
        (["--format", "html", "-o", "no/such/folder/x"], 2),
        (["--format", "html", "-o", "x", "--policy", "no-such-policy.toml"], 2),
    ],
)
def test_a_wrong_call_is_refused_and_writes_nothing(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], exit_code: int
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["render", str(bundle), *arguments]) == exit_code
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle"]


@pytest.mark.parametrize(("make", "exit_code"), [("missing", 2), ("empty", 3), ("garbage", 3)])
def test_what_is_no_bundle_is_refused(tmp_path: Path, make: str, exit_code: int) -> None:
    folder = tmp_path / "b"
    if make != "missing":
        folder.mkdir()
    if make == "garbage":
        (folder / "report.dsse.json").write_text("{")
    assert run(["render", str(folder), "--format", "html", "-o", str(tmp_path / "x.html")]) == exit_code
    assert not (tmp_path / "x.html").exists()


def test_rendering_loads_no_numerical_library(bundle: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from audit.cli.main import run;"
        f"run(['render', {str(bundle)!r}, '--format', 'html', '-o', {str(tmp_path / 'x.html')!r}]);"
        "print({'torch', 'numpy', 'scipy', 'opacus', 'sklearn', 'rich', 'httpx'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "set()"
