"""The exports as CI meets them: by `render` of any bundle, by `gate` of one that was judged; never where they hurt."""

import json
import subprocess
import sys
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest

from audit.cli.main import run
from reports.bundle import read_bundle
from reports.bundle_writer import BundleWriter
from reports.evidence import evidence_faults
from reports.export_junit import export_junit
from reports.export_oscal import export_oscal
from reports.export_sarif import export_sarif
from reports.statement import declared_subjects, make_statement
from tests.reports.export_cases import SAMPLE

POLICY = 'version = 1\nname = "house"\nfail_on = "medium"\n'
PASSED_BY = 'version = 1\nname = "mild"\non_error = "warn"\n[[require]]\ncheck = "integrity.artifacts"\n'
REPORT = SAMPLE.report.model_copy(
    update={"provenance": SAMPLE.report.provenance.model_copy(update={"seed_source": "chosen"})}
)
EXPORTERS = {"sarif": export_sarif, "junit": export_junit, "oscal": export_oscal}
NOT_LOADED = {
    "torch",
    "opacus",
    "sklearn",
    "scipy",
    "numpy",
    "joblib",
    "jinja2",
    "rich",
    "httpx",
    "ray",
    "transformers",
}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    with BundleWriter(tmp_path / "bundle") as writer:
        for piece in SAMPLE.report.evidence:
            writer.put_evidence(SAMPLE.contents[piece.sha256], piece.media_type, piece.confidentiality, piece.name)
        return writer.finish(make_statement(REPORT, declared_subjects(REPORT.system)).body)


@pytest.fixture
def gate(bundle: Path, tmp_path: Path) -> list[str]:
    (tmp_path / "policy.toml").write_text(POLICY)
    return [
        "gate",
        str(bundle),
        "--policy",
        str(tmp_path / "policy.toml"),
        "--unsigned",
        "--now",
        "2026-11-22T12:00:00Z",
    ]


@pytest.mark.parametrize("kind", EXPORTERS)
def test_render_writes_what_the_exporter_says(bundle: Path, tmp_path: Path, kind: str) -> None:
    target = tmp_path / "out"
    assert run(["render", str(bundle), "--format", kind, "-o", str(target)]) == 0
    assert target.read_bytes() == EXPORTERS[kind](REPORT)
    (tmp_path / "policy.toml").write_text(POLICY)
    more = ["--policy", str(tmp_path / "policy.toml"), "--today", "2026-11-22"]
    assert run(["render", str(bundle), "--format", kind, "-o", str(target), *more]) == 0
    assert target.read_bytes() != EXPORTERS[kind](REPORT)


@pytest.mark.parametrize("kind", EXPORTERS)
def test_an_export_holds_no_evidence_to_include(bundle: Path, tmp_path: Path, kind: str) -> None:
    target = tmp_path / "out"
    assert run(["render", str(bundle), "--format", kind, "-o", str(target), "--include", "restricted"]) == 2
    assert not target.exists()


def test_the_gate_writes_for_machines_and_keeps_its_exit_code(gate: list[str], tmp_path: Path) -> None:
    sarif, junit, summary = (tmp_path / name for name in ("out.sarif", "out.xml", "summary.md"))
    summary.write_text("before\n")
    wanted = ["--sarif", str(sarif), "--junit", str(junit), "--summary", str(summary)]
    assert run([*gate, *wanted]) == 1
    assert json.loads(sarif.read_bytes())["runs"][0]["properties"]["verdict"] == "failed"
    assert fromstring(junit.read_bytes()).get("failures") == "4"
    assert summary.read_text(encoding="utf-8").startswith("before\n## ✕ FAILED: `ward-triage 2.3.1`\n")
    first = (sarif.read_bytes(), junit.read_bytes())
    assert run([*gate, *wanted]) == 1
    assert first == (sarif.read_bytes(), junit.read_bytes())
    assert summary.read_text(encoding="utf-8").count("## ✕ FAILED") == 2


def test_a_bundle_that_is_not_judged_leaves_no_page(gate: list[str], bundle: Path, tmp_path: Path) -> None:
    (bundle / "evidence" / "stray").write_text("x")
    target = tmp_path / "out.sarif"
    assert run([*gate, "--sarif", str(target)]) == 3
    assert not target.exists()


@pytest.mark.parametrize("flag", ["--sarif", "--junit", "--summary"])
def test_nothing_is_written_where_it_would_break_the_bundle(
    gate: list[str], bundle: Path, flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*gate, flag, str(bundle / "evidence" / "out"), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["code"] == "render.inside_bundle"
    assert run([*gate, flag, str(bundle / "no-such-folder" / "out"), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["code"] == "io.no_folder"
    read = read_bundle(bundle)
    report = read.report
    assert not list(evidence_faults(read.files, report.evidence, report.evidence_root, deny_withheld=True))


@pytest.mark.parametrize("flag", ["--sarif", "--junit", "--summary"])
def test_a_page_that_cannot_be_written_is_no_pass(gate: list[str], tmp_path: Path, flag: str) -> None:
    (tmp_path / "policy.toml").write_text(PASSED_BY)
    assert run(gate) == 0  # its twin without a page passes
    (tmp_path / "folder").mkdir()
    assert run([*gate, flag, str(tmp_path / "folder")]) in (2, 3)


def test_a_proof_leads_from_evidence_to_the_root(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    piece = SAMPLE.report.evidence[3]
    assert run(["show", str(bundle), "--proof", piece.sha256, "--json"]) == 0
    proof = json.loads(capsys.readouterr().out)["proof"]
    assert (proof["sha256"], proof["root"]) == (piece.sha256, SAMPLE.report.evidence_root)
    assert (proof["index"], proof["size"]) == (3, len(SAMPLE.report.evidence))
    assert run(["show", str(bundle), "--proof", "0" * 64]) == 2
    assert run(["show", str(bundle), "attack.linear", "--proof", piece.sha256]) == 2


@pytest.mark.parametrize("flag", ["--sarif", "--junit", "--summary"])
def test_the_gate_stays_light_when_it_writes(gate: list[str], tmp_path: Path, flag: str) -> None:
    line = [*gate, flag, str(tmp_path / "out")]
    assert loaded_by(line) & NOT_LOADED == set()
    assert (tmp_path / "out").stat().st_size


def test_comparing_and_proving_load_nothing_heavy(bundle: Path) -> None:
    assert loaded_by(["compare", str(bundle), str(bundle)]) & NOT_LOADED == set()
    proof = ["show", str(bundle), "--proof", SAMPLE.report.evidence[0].sha256]
    assert loaded_by(proof) & NOT_LOADED == set()


def loaded_by(line: list[str]) -> set[str]:
    code = (
        "import sys, json; from audit.cli.main import run;"
        f"run({line!r});"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_the_system_file_on_the_side_gives_lines_and_must_be_the_one_that_was_audited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = '[system]\nname = "ward"\nversion = "1"\n[federation.differential_privacy]\nunit = "example"\n'
    Path("system.toml").write_text(text + "noise_multiplier = 1.0\nepsilon = 1.0\ndelta = 1e-5\n")
    asked = ["--only", "dp.accounting", "--effort", "smoke", "--no-render"]
    assert run(["run", "system.toml", "-o", "bundle", *asked]) == 0
    Path("policy.toml").write_text('version = 1\nname = "house"\nfail_on = "low"\n')
    judging = ["gate", "bundle", "--policy", "policy.toml", "--unsigned"]
    told = {}
    for line in (
        [*judging, "--sarif", "gate.sarif", "--source", "system.toml"],
        ["render", "bundle", "--format", "sarif", "-o", "render.sarif", "--source", "system.toml"],
    ):
        assert run(line) in (0, 1, 3)
        [result] = json.loads(Path(f"{line[0]}.sarif").read_text())["runs"][0]["results"]
        told[line[0]] = result["locations"][0]["physicalLocation"]["region"]["startLine"]
    assert told == {"gate": 4, "render": 4}
    assert run([*judging, "--source", "system.toml"]) == 2
    assert run(["render", "bundle", "--format", "md", "-o", "a.md", "--source", "system.toml"]) == 2
    Path("system.toml").write_text(text)
    capsys.readouterr()
    assert run([*judging, "--sarif", "other.sarif", "--source", "system.toml"]) == 2
    assert "is not the system file that the report is about" in capsys.readouterr().err
    assert not Path("other.sarif").exists()
