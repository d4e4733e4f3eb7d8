"""`fedaudit render` as its users meet it: nothing shown that may be withheld, nothing written where it hurts."""

import hashlib
import json
import subprocess
import sys
from html import escape
from importlib.util import find_spec
from pathlib import Path

import pytest

from audit.cli.main import run
from reports.bundle import read_bundle
from reports.bundle_writer import BundleWriter
from reports.evidence import evidence_faults
from reports.model import Interval
from tests.audit.cli.gate_desk import RATE, Desk, finding
from tests.reports.sample_report import sample

SAMPLE = sample()
STEP = (
    '[[threshold]]\ncheck = "attack.linear"\nmeasurement = "rate"\nop = "<="\nlimit = 0.5\nmin_n = 100\n'
    "max_regression = 0.001\n"
)
WAIVER = """version = 1
[[waivers]]
id = "W-1"
check = "attack.linear"
system = "ward"
reason = "The new rounds are noisier; the next release adds clients."
owner = "O. Owner"
approved_by = "A. Approver"
created = 2026-11-01
expires = 2026-12-01
"""
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


PAPER = pytest.mark.skipif(find_spec("typst") is None, reason="typst is not installed: pip install 'fedaudit[pdf]'")


@pytest.mark.parametrize(
    ("kind", "start"),
    [("html", b"<!DOCTYPE html>"), ("md", b"# ward-triage 2.3.1"), pytest.param("pdf", b"%PDF-1.7", marks=PAPER)],
)
def test_a_report_is_written_for_people(bundle: Path, tmp_path: Path, kind: str, start: bytes) -> None:
    target = tmp_path / f"report.{kind}"
    assert run(["render", str(bundle), "--format", kind, "-o", str(target)]) == 0
    assert target.read_bytes().startswith(start)
    assert not list(tmp_path.glob(".*partial"))


def test_json_is_the_very_bytes_that_are_signed(bundle: Path, tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    assert run(["render", str(bundle), "--format", "json", "-o", str(target)]) == 0
    assert hashlib.sha256(target.read_bytes()).hexdigest() == SAMPLE.statement.sha256


@pytest.mark.parametrize("kind", ["html", pytest.param("pdf", marks=PAPER)])
def test_stdout_gets_the_report_and_nothing_else(bundle: Path, tmp_path: Path, capfdbinary: object, kind: str) -> None:
    target = tmp_path / "report"
    assert run(["render", str(bundle), "--format", kind, "-o", str(target)]) == 0
    capfdbinary.readouterr()  # type: ignore[attr-defined]
    assert run(["render", str(bundle), "--format", kind, "-o", "-"]) == 0
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


def page_of(tmp_path: Path, bundle: str, *more: str) -> str:
    target = tmp_path / "report.html"
    assert run(["render", bundle, "--format", "html", "-o", str(target), *more]) == 0
    return target.read_text(encoding="utf-8")


def test_the_verdict_on_the_page_is_that_of_the_gate_with_the_same_baseline_and_waivers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = Desk(tmp_path)
    rate = RATE.model_copy(update={"interval": Interval(low=0.0, high=0.0001, confidence=0.95), "value": 0.0})
    old = desk.bundle(finding("attack.linear", "pass", measurements=(rate,)), name="old", day=1)
    new = desk.bundle()
    desk.write_policy(POLICY + STEP)
    asked = ["--policy", str(tmp_path / "policy.toml"), "--today", "2026-11-22"]
    excuse = ["--waivers", desk.write("waivers.toml", WAIVER)]
    assert "Verdict: passed" in page_of(tmp_path, new, *asked)
    for more, result in (([], "failed"), (excuse, "passed")):
        page = page_of(tmp_path, new, *asked, "--baseline", old, *more)
        capsys.readouterr()
        run(["gate", new, "--unsigned", *asked, "--baseline", old, *more, "--json"])
        told = document(capsys)
        assert told["result"] == result
        assert f"Verdict: {result}" in page
        judgements = told["judgements"]
        assert isinstance(judgements, list)
        for judgement in judgements:
            assert (judgement["outcome"] == "ok") or escape(judgement["message"]) in page


def test_a_baseline_of_another_system_is_refused_as_by_the_gate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = Desk(tmp_path)
    new, own = desk.bundle(), desk.bundle(name="own")
    theirs = finding("attack.linear", "pass", measurements=(RATE,), system="clinic")
    other = desk.bundle(theirs, name="other", system="clinic")
    command = ["render", new, "--format", "md", "-o", str(tmp_path / "x.md"), "--policy", str(tmp_path / "policy.toml")]
    assert run([*command, "--baseline", own]) == 0
    capsys.readouterr()
    assert run([*command, "--baseline", other, "--json"]) == 2
    assert document(capsys)["code"] == "baseline.other_system"


def test_without_typst_a_sentence_says_what_to_install_and_the_other_formats_work(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "typst", None)  # what an import of an absent module meets
    command = ["render", str(bundle), "-o", str(tmp_path / "report")]
    assert run([*command, "--format", "html"]) == 0
    (tmp_path / "report").unlink()
    capsys.readouterr()
    assert run([*command, "--format", "pdf"]) == 2
    error = capsys.readouterr().err
    assert "PDF needs typst, which is not installed" in error
    assert "pip install 'fedaudit[pdf]'" in error
    assert not (tmp_path / "report").exists()


@PAPER
def test_a_pdf_holds_restricted_images_only_when_said(bundle: Path, tmp_path: Path) -> None:
    sizes = []
    for more in ([], ["--include", "restricted"]):
        target = tmp_path / "report.pdf"
        assert run(["render", str(bundle), "--format", "pdf", "-o", str(target), *more]) == 0
        sizes.append(target.read_bytes().count(b"/Subtype/Image"))
    assert sizes[0] == 0
    assert sizes[1] > 0


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
        (["--format", "docx", "-o", "x"], 2),
        (["-o", "x"], 2),
        (["--format", "html"], 2),
        (["--format", "json", "-o", "x", "--include", "restricted"], 2),
        (["--format", "html", "-o", "x", "--today", "2026-11-22"], 2),
        (["--format", "html", "-o", "x", "--baseline", "bundle"], 2),
        (["--format", "html", "-o", "x", "--waivers", "waivers.toml"], 2),
        (["--format", "json", "-o", "x", "--policy", "policy.toml"], 2),
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
