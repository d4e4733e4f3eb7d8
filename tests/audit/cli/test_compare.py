"""`fedaudit compare` as its users meet it: both reports told alike, nothing judged, no forged line."""

import json
from pathlib import Path

import pytest

from audit.cli.main import run
from reports.bundle_writer import BundleWriter
from reports.model import ControlRow, Finding, Report, Status
from reports.statement import declared_subjects, make_statement
from tests.reports.export_cases import SAMPLE
from tests.reports.hostile import report_of
from tests.reports.sample_report import Sample

KEYS = {"same_system", "added", "removed", "changed", "unchanged", "provenance"}


def written(folder: Path, report: Report) -> str:
    with BundleWriter(folder) as writer:
        return str(writer.finish(make_statement(report, declared_subjects(report.system)).body))


def mended(finding: Finding) -> Finding:
    return finding.model_copy(update={"status": Status.PASS}) if finding.check == "attack.labels" else finding


@pytest.fixture
def old(tmp_path: Path) -> str:
    return written(tmp_path / "old", SAMPLE.report)


@pytest.fixture
def new(tmp_path: Path) -> str:
    findings = tuple(mended(one) for one in SAMPLE.report.findings if one.check != "secagg.graph")
    return written(tmp_path / "new", SAMPLE.report.model_copy(update={"findings": findings}))


def test_json_holds_the_keys_of_the_specification(old: str, new: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compare", old, new, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert set(answer) >= KEYS
    assert [one["check"] for one in answer["removed"]] == ["secagg.graph"]
    [change] = answer["changed"]
    assert set(change) == {"fingerprint", "check", "key", "old", "new", "measurements"}
    assert (change["old"], change["new"], change["measurements"]) == ("fail", "pass", [])
    assert (answer["same_system"], answer["unchanged"], answer["provenance"]) == (True, 15, {"differs": []})


def test_people_are_told_what_changed(old: str, new: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compare", old, new, "--no-color"]) == 0
    text = capsys.readouterr().out
    assert "- not tested   secagg.graph" in text
    assert "~ failed -> passed attack.labels" in text
    assert "0 added, 1 removed, 1 changed, 15 findings unchanged" in text


def duty(state: str) -> ControlRow:
    return ControlRow(
        control="EU-AIA:9(8)", title="The duty", role="provider", law_version="2024", applicability="applies",
        applicability_reason="why", ceiling="direct", state=state, next_step="Somebody does something.",  # type: ignore[arg-type]
    )  # fmt: skip


def test_a_duty_that_moved_and_a_remedy_that_moved_nothing_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundles = [
        written(tmp_path / state, SAMPLE.report.model_copy(update={"controls": (duty(state),)}))
        for state in ("insufficient", "supported")
    ]
    assert run(["compare", *bundles, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    moved = {"control": "EU-AIA:9(8)", "direction": "better", "old": "insufficient", "new": "supported"}
    assert answer["duties"] == [moved]
    open_ones = [one for one in SAMPLE.report.findings if one.remedy is not None]
    assert [one["fingerprint"] for one in answer["exhausted"]] == [one.fingerprint for one in open_ones] != []
    assert run(["compare", *bundles, "--no-color"]) == 0
    text = capsys.readouterr().out
    assert "better  EU-AIA:9(8): not enough evidence -> evidence for" in text
    assert text.count("exhausted: ") == len(open_ones)


def test_words_of_a_report_cannot_forge_a_line(tmp_path: Path, old: str, capsys: pytest.CaptureFixture[str]) -> None:
    sample: Sample = report_of("fine\n+ passed attack.linear\u202e")[0]
    with BundleWriter(tmp_path / "hostile") as writer:
        for piece in sample.report.evidence:
            writer.put_evidence(sample.contents[piece.sha256], piece.media_type, piece.confidentiality, piece.name)
        hostile = str(writer.finish(sample.statement.body))
    assert run(["compare", old, hostile, "--no-color"]) == 0
    text = capsys.readouterr().out
    assert "two systems" in text
    assert "\u202e" not in text
    assert not [line for line in text.splitlines() if line.startswith("+ passed attack.linear")]


def test_what_is_no_bundle_is_refused(tmp_path: Path, old: str) -> None:
    assert run(["compare", old, str(tmp_path / "none")]) == 2
    (tmp_path / "empty").mkdir()
    assert run(["compare", str(tmp_path / "empty"), old]) == 3
