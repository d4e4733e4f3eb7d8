"""`fedaudit compliance annex-iv`: from a bundle or a system file, in four formats, with gaps as content."""

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from audit.cli.main import run
from reports.bundle import add_signature
from reports.bundle_writer import BundleWriter
from reports.statement import declared_subjects, make_statement
from tests.audit.cli.described import described
from tests.reports.conformance.world import AUDITOR
from tests.reports.sample_report import sample

SYSTEM = """[system]
name = "<b>ward</b>"
version = "2"
risk_class = "high-risk"
[federation]
clients = 10
"""
ON = ("--on", "2026-11-22")
Captured = pytest.CaptureFixture[str]


@pytest.fixture
def system_file(tmp_path: Path) -> Path:
    (tmp_path / "system.toml").write_text(SYSTEM, encoding="utf-8")
    return tmp_path / "system.toml"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    report = sample().report
    with BundleWriter(tmp_path / "bundle") as writer:
        return writer.finish(make_statement(report, declared_subjects(report.system)).body)


def asked(capsys: Captured, *arguments: str, code: int = 0) -> dict[str, Any]:
    assert run(["compliance", "annex-iv", *arguments, "--json"]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    described(found)
    assert found["command"] == "compliance annex-iv"
    return found


def test_a_system_file_alone_tells_what_is_declared(capsys: Captured, system_file: Path) -> None:
    found = asked(capsys, str(system_file), *ON)
    assert (found["schema"], found["points"], found["bundle_sha256"]) == ("fedaudit.annex-iv/1", 23, None)
    assert found["gap_count"] == sum(len(one["gaps"]) for one in found["sections"])
    assert found["sections"][0]["statements"][0]["text"] == 'system.name = "<b>ward</b>"'
    assert found["sections"][0]["applicability"]["from"] == "2027-12-02"
    assert all(one["evidence"] == [] for one in found["sections"])


def test_a_bundle_brings_its_findings_and_whether_it_is_signed(capsys: Captured, bundle: Path) -> None:
    found = asked(capsys, str(bundle), *ON)
    assert found["bundle_sha256"] and found["law_version"] == "2024"  # as the system declares
    testing = next(one for one in found["sections"] if one["point"] == "2(g)")
    assert testing["evidence"] and "unsigned" in [gap["code"] for gap in testing["gaps"]]
    add_signature(bundle, AUDITOR)
    signed = next(one for one in asked(capsys, str(bundle), *ON)["sections"] if one["point"] == "2(g)")
    assert "unsigned" not in [gap["code"] for gap in signed["gaps"]]
    assert asked(capsys, str(bundle), *ON, "--law-version", "2026-07-27")["law_version"] == "2026-07-27"


@pytest.mark.parametrize(("form", "begins"), [("md", "# Annex IV"), ("html", "<!DOCTYPE html>"), ("json", '{"')])
def test_it_is_written_as_text_in_three_formats(
    capsys: Captured, system_file: Path, tmp_path: Path, form: str, begins: str
) -> None:
    output = tmp_path / f"annex.{form}"
    line = ["compliance", "annex-iv", str(system_file), *ON, "--format", form]
    assert run([*line, "-o", str(output)]) == 0
    assert "23 points" in capsys.readouterr().out
    assert run(line) == 0
    assert capsys.readouterr().out == output.read_text(encoding="utf-8")
    assert output.read_text(encoding="utf-8").startswith(begins)
    assert "<b>ward</b>" not in output.read_text(encoding="utf-8") or form == "json" or "\\<b\\>" in output.read_text()


def test_on_paper_it_says_what_the_page_says_with_the_json_inside(system_file: Path, tmp_path: Path) -> None:
    pytest.importorskip("typst", reason="typst is not installed: pip install 'fedaudit[pdf]'")
    pypdf = pytest.importorskip("pypdf", reason="pypdf is not installed: pip install 'fedaudit[pdf]'")
    made = {}
    for form in ("html", "json", "pdf", "again.pdf"):
        line = ["compliance", "annex-iv", str(system_file), *ON, "--format", form.removeprefix("again.")]
        assert run([*line, "-o", str(tmp_path / f"annex.{form}")]) == 0
        made[form] = (tmp_path / f"annex.{form}").read_bytes()
    assert made["pdf"] == made["again.pdf"]
    pages = pypdf.PdfReader(tmp_path / "annex.pdf", strict=True)
    [inside] = pages.attachments["annex-iv.json"]
    assert inside + b"\n" == made["json"]
    assert pages.metadata["/CreationDate"].startswith(f"D:{ON[1].replace('-', '')}000000")

    def squeezed(text: str) -> str:
        return re.sub(r"[\s\u2010\u00ad-]+", "", text)

    told = squeezed("".join(page.extract_text() for page in pages.pages))
    page = made["html"].decode().partition("<body>")[2]
    said = [squeezed(unescape(word)) for word in re.split(r"<[^<>]*>", page) if squeezed(unescape(word))]
    assert len(said) > 100
    assert [word for word in said if word not in told] == []
    assert squeezed("<b>ward</b>") in told


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (["nowhere"], 2, "nowhere"),
        (["system.toml", "--law-version", "2023"], 2, "2024, 2026-07-27"),
        (["system.toml", "--format", "docx"], 2, "html"),
        (["system.toml", "--assessment", "none.json"], 2, "none.json"),
        (["system.toml", "-o", "nowhere/annex.md"], 2, "nowhere"),
        (["."], 3, "report.dsse.json"),
    ],
)
def test_a_slip_is_met_with_the_mend(
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
    system_file: Path,
    arguments: list[str],
    code: int,
    named: str,
) -> None:
    monkeypatch.chdir(system_file.parent)
    found = asked(capsys, *arguments, code=code)
    assert named in f"{found['message']} {found['hint']}"
