"""Findings point into the very system file that was audited, and into no other."""

import hashlib
from pathlib import Path

import pytest

from reports.errors import SystemFileError
from reports.export_sarif import export_sarif
from reports.model import Finding, Remedy, Report
from reports.source_lines import source_lines
from tests.reports.export_cases import SAMPLE
from tests.reports.test_export_sarif import run_of

TEXT = """[system]
name = "ward"
version = "1"
[federation]
clients = 10
[federation.secure_aggregation]
degree = 4
[federation.differential_privacy]
noise_multiplier = 1.0
[[updates]]
path = "a.npz"
[[unlearning]]
id = "one"
method = "m"
[[unlearning]]
id = "two"
after = "b"
method = "m"
"""
SAMPLE_FINDING = next(one for one in SAMPLE.report.findings if one.check == "attack.linear")


def about(text: str) -> Report:
    source = SAMPLE.report.system.source.model_copy(update={"sha256": hashlib.sha256(text.encode()).hexdigest()})
    system = SAMPLE.report.system.model_copy(update={"source": source})
    return SAMPLE.report.model_copy(update={"system": system})


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "system.toml").write_text(TEXT)
    return Path("models/system.toml")


def finding(check: str, parameter: str | None = None, key: str = "") -> Finding:
    remedy = None if parameter is None else Remedy(parameter=parameter, direction="raise", text="Raise it.")
    return SAMPLE_FINDING.model_copy(update={"check": check, "remedy": remedy, "key": key})


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        (finding("secagg.parameters", "federation.secure_aggregation.degree"), 7),
        (finding("secagg.parameters", "federation.secure_aggregation.threshold"), 6),  # not there: its section
        (finding("secagg.parameters"), 6),
        (finding("dp.accounting"), 8),
        (finding("attack.linear"), 10),
        (finding("attack.linear", "updates.path"), 11),
        (finding("attack.membership"), 1),  # no data, no model: the system
        (finding("unlearning.federated.residual", "unlearning.method", "unlearning=two"), 18),
        (finding("unlearning.federated.residual", "unlearning.twin", "unlearning=two"), 15),
        (finding("unlearning.federated.residual", None, "unlearning=two"), 15),
        (finding("unlearning.federated.residual", None, "unlearning=three"), 12),
        (finding("integrity.artifacts", None, "file=updates[0].path"), 11),
        (finding("somebody.elses"), 1),
    ],
)
def test_a_finding_points_to_its_setting_else_to_its_section(place: Path, asked: Finding, line: int) -> None:
    assert source_lines(place, about(TEXT)).line_of(asked) == line


def test_a_path_that_leads_down_from_here_is_what_readers_look_for(place: Path) -> None:
    assert source_lines(place, about(TEXT)).uri == "models/system.toml"
    assert source_lines(place.resolve(), about(TEXT)).uri == SAMPLE.report.system.source.path
    assert source_lines(Path("models/../models/system.toml"), about(TEXT)).uri == SAMPLE.report.system.source.path


@pytest.mark.parametrize(
    ("text", "code"), [(TEXT + "\n", "source.mismatch"), (None, "source.not_found"), ("[system", "source.syntax")]
)
def test_another_file_is_refused(place: Path, text: str | None, code: str) -> None:
    if text is None:
        place.unlink()
    else:
        place.write_text(text)
    with pytest.raises(SystemFileError) as caught:
        source_lines(place, about(text if code == "source.syntax" and text else TEXT))
    assert (caught.value.code, caught.value.exit_code) == (code, 2)


def test_sarif_tells_the_lines(place: Path) -> None:
    report = about(TEXT)
    assert {r["locations"][0]["physicalLocation"]["region"]["startLine"] for r in run_of(report)["results"]} == {1}
    source = source_lines(place, report)
    log = export_sarif(report, None, source)
    assert log == export_sarif(report, None, source)
    run = run_of(report, None, source)
    by_rule = {r["ruleId"]: r["locations"][0]["physicalLocation"] for r in run["results"]}
    assert by_rule["attack.linear"]["artifactLocation"] == {"uri": "models/system.toml"}
    assert by_rule["attack.linear"]["region"]["startLine"] > 1
