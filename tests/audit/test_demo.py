import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pytest

from audit.cli.attack import Unkept
from audit.cli.demo import side_by_side
from audit.cli.main import run
from audit.demo import EXPECTED, Tour, Toured, deviations, gravest, run_demo
from audit.run import Request, ask_system
from audit.system_folder import FolderError
from reports.bundle import read_bundle
from reports.judge import judge
from reports.model import Effort, Finding, Severity, Status, Strength
from reports.policy import load_policy
from tests.audit.cli.described import described

MUST_END_IN = {  # the rows of the design's table for this issue, written again by hand
    "careless": {
        "secagg.parameters": "fail",
        "attack.labels": "fail",
        "attack.linear": "fail",
        "dp.accounting": "fail",
        "dp.mechanism": "fail",
        "integrity.accuracy": "fail",
        "secagg.double-reveal": "fail",
        "unlearning.federated.transcript": "fail",
        "compliance.claims": "fail",
        "compliance.citations": "fail",
        "compliance.judge": "inconclusive",
        "compliance.documents": "inconclusive",
    },
    "careful": {
        "integrity.artifacts": "pass",
        "secagg.parameters": "pass",
        "secagg.transcript": "pass",
        "secagg.double-reveal": "pass",
        "secagg.cohort": "pass",
        "dp.accounting": "pass",
        "dp.mechanism": "pass",
        "attack.aggregate": "pass",
        "unlearning.federated.request": "pass",
        "unlearning.federated.transcript": "pass",
        "compliance.citations": "pass",
        "compliance.judge": "inconclusive",
        "compliance.documents": "inconclusive",
        "attack.labels": "skipped",
        "attack.linear": "skipped",
        "attack.inversion": "skipped",
    },
}


def findings(folder: Path, name: str) -> dict[str, Finding]:
    """What each check says; where it says two things, the graver one."""
    return gravest(read_bundle(folder / f"{name}.bundle").report.findings)


def toured(folder: Path, name: Any, **changed: Finding) -> Toured:
    """One system at the end of the tour, some of its findings replaced, judged anew."""
    report = read_bundle(folder / f"{name}.bundle").report
    replaced = tuple(changed.get(f.check.replace(".", "_").replace("-", "_"), f) for f in report.findings)
    report = report.model_copy(update={"findings": replaced})
    verdict = judge(report, load_policy(folder / "policy.toml"), datetime(2026, 11, 21).date())
    return Toured(name, folder / name, folder / f"{name}.bundle", folder / f"{name}.html", report, verdict)


@pytest.mark.parametrize("name", MUST_END_IN)
def test_every_check_ends_as_the_design_says(demo_folder: Path, name: str) -> None:
    said = findings(demo_folder, name)
    assert {check: said[check].status for check in MUST_END_IN[name]} == MUST_END_IN[name]


@pytest.mark.parametrize(
    ("kind", "measured"),
    [("epsilon", "epsilon_accounted"), ("unlearned", "unlearning.federated."), ("accuracy", "accuracy")],
)
def test_a_false_claim_of_the_careless_system_stands_beside_its_measurement(
    demo_folder: Path, kind: str, measured: str
) -> None:
    report = read_bundle(demo_folder / "careless.bundle").report
    told = [one for one in report.findings if one.key.startswith(f"claim={kind} ") and "system.toml" not in one.key]
    [found] = [one for one in told if one.status is Status.FAIL]
    quote, contradicted = found.detail.split("\n")[0].split("”", 1)
    assert "“" in quote and "contradicted" in contradicted
    assert measured in found.detail


SMOKE_CANNOT_TELL = {
    "compliance.annex-iv",  # a page of documentation leaves most points open
    "compliance.claims",  # that somebody was forgotten, no smoke proves
    "compliance.documents",  # the reader is a script, and is not admitted
    "compliance.judge",
    "attack.unlearning-difference",  # the digits alone are too few candidates for its control
    "unlearning.federated.over-forgetting",
    "unlearning.federated.residual",
    "unlearning.federated.screening",  # nearness is no proof of forgetting at any effort
}
"""What the four models of smoke leave open about the honoured request."""


def test_the_careful_system_has_no_failure_and_no_error(demo_folder: Path) -> None:
    said = findings(demo_folder, "careful")
    assert {finding.status for finding in said.values()} <= {Status.PASS, Status.SKIPPED, Status.INCONCLUSIVE}
    assert {check for check, finding in said.items() if finding.status is Status.INCONCLUSIVE} == SMOKE_CANNOT_TELL


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("careless", {"transcript": "fail", "residual": "fail"}),
        ("careful", {"request": "pass", "transcript": "pass", "replay": "pass", "residual": "pass"}),
    ],
)
def test_at_standard_the_erasures_end_as_the_design_says(
    demo_folder: Path, name: str, expected: dict[str, str]
) -> None:
    request = Request(
        system_file=demo_folder / name / "system.toml",
        bundle=None,
        now=datetime(2026, 11, 21, tzinfo=UTC),
        effort=Effort.STANDARD,
        only=tuple(f"unlearning.federated.{check}" for check in expected),
    )
    said = gravest(ask_system(request, Unkept()).findings)
    assert {check: said[f"unlearning.federated.{check}"].status for check in expected} == expected


def test_a_check_with_two_answers_is_known_by_the_graver_one(demo_folder: Path) -> None:
    report = read_bundle(demo_folder / "careful.bundle").report
    one, *_ = (finding for finding in report.findings if finding.status is Status.PASS)
    failed = one.model_copy(update={"status": Status.FAIL, "severity": Severity.LOW})
    worse = failed.model_copy(update={"severity": Severity.HIGH})
    for order in ((one, failed, worse), (worse, one, failed), (failed, worse, one)):
        assert gravest(order) == {one.check: worse}


def test_the_command_says_so_and_returns_0(demo_run: Any) -> None:
    assert demo_run.exit_code == 0
    assert demo_run.document["exit_code"] == 0
    described(demo_run.document)
    assert demo_run.document["deviations"] == []
    systems = demo_run.document["systems"]
    assert {name: systems[name]["result"] for name in systems} == {"careless": "failed", "careful": "passed"}
    assert {name: systems[name]["gate_exit_code"] for name in systems} == {"careless": 1, "careful": 0}
    assert systems["careless"]["findings"]["attack.linear"] == "fail"
    assert "training the careful federation" in demo_run.progress


def test_the_pass_on_sums_states_its_views_and_its_power(demo_folder: Path) -> None:
    finding = findings(demo_folder, "careful")["attack.aggregate"]
    assert finding.strength is Strength.SCREENING
    assert "4 views" in finding.summary
    by_name = {measurement.name: measurement for measurement in finding.measurements}
    assert by_name["identifiability"].control == 1.0  # every unprotected twin was identified
    assert by_name["chance"].value <= 0.02
    interval = by_name["identifiability"].interval
    assert interval is not None
    assert interval.high <= by_name["chance"].value + 0.05
    assert by_name["control_identifiability"].n == 88  # 24 clients less 2 corrupt, in four rounds


def test_the_careless_server_reads_every_record_exactly(demo_folder: Path) -> None:
    finding = findings(demo_folder, "careless")["attack.linear"]
    by_name = {measurement.name: measurement.value for measurement in finding.measurements}
    assert (by_name["identifiability"], by_name["exact_records"], by_name["null_identifiability"]) == (1.0, 80.0, 0.0)
    assert finding.strength is Strength.EXACT
    assert finding.severity is Severity.CRITICAL


def test_both_verdicts_stand_side_by_side(demo_folder: Path) -> None:
    tour = Tour(demo_folder, (toured(demo_folder, "careless"), toured(demo_folder, "careful")))
    lines = [click.unstyle(line) for line in side_by_side(tour)]
    words = [line.split() for line in lines]
    assert ["careless", "careful"] in words
    assert ["verdict", "FAILED", "PASSED"] in words
    assert ["dp.accounting", "fail", "(high)", "pass", "(exact)"] in words
    assert ["attack.linear", "fail", "(critical)", "skipped"] in words
    assert ["look", "at", str(demo_folder / "careless.html")] in words
    assert [line for line in lines if line != line.rstrip()] == []


@pytest.mark.parametrize(("name", "gate"), [("careless", 1), ("careful", 0)])
def test_the_commands_it_prints_work(demo_run: Any, name: str, gate: int, capsys: pytest.CaptureFixture[str]) -> None:
    system = demo_run.document["systems"][name]
    at = ["--now", "2026-11-22T12:00:00Z", "--json"]
    for words, code in ((system["verify"], 0), (system["gate"], gate)):
        assert words.startswith("fedaudit ")
        assert run([*words.split()[1:], *at]) == code
        assert json.loads(capsys.readouterr().out)["authentic"] is True


def test_the_pages_beside_the_bundles_show_what_was_recovered(demo_folder: Path) -> None:
    page = (demo_folder / "careless.html").read_text()
    inside = (demo_folder / "careless.bundle" / "render" / "report.html").read_text()
    assert page.count("data:image/png") > inside.count("data:image/png") == 0  # restricted evidence, outside alone
    assert "failed" in page
    assert "passed" in (demo_folder / "careful.html").read_text()


def test_nothing_else_is_left_and_the_key_is_the_owners_alone(demo_folder: Path) -> None:
    assert {path.name for path in demo_folder.parent.iterdir()} == {"demo"}
    assert {path.name for path in demo_folder.iterdir()} == {
        "auditor.key", "auditor.key.pub", "policy.toml", "trust.toml",
        *(f"{name}{suffix}" for name in EXPECTED for suffix in ("", ".bundle", ".html")),
    }  # fmt: skip
    assert (demo_folder / "auditor.key").stat().st_mode & 0o077 == 0


def test_a_folder_that_is_there_is_not_touched(demo_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(path.stat().st_mtime_ns for path in demo_folder.rglob("*"))
    assert run(["demo", str(demo_folder), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["code"] == "demo.exists"
    assert sorted(path.stat().st_mtime_ns for path in demo_folder.rglob("*")) == before


def test_a_tour_that_breaks_leaves_nothing(tmp_path: Path) -> None:
    def stop(_sentence: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_demo(tmp_path / "demo", datetime(2026, 11, 21, tzinfo=UTC), say=stop)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FolderError, match="exists already"):
        run_demo(tmp_path, datetime(2026, 11, 21, tzinfo=UTC))


def test_a_tour_as_described_deviates_in_nothing(demo_folder: Path) -> None:
    systems = (toured(demo_folder, "careless"), toured(demo_folder, "careful"))
    assert deviations(Tour(demo_folder, systems)) == ()


def test_a_leak_in_the_careful_system_is_noticed(demo_folder: Path) -> None:
    sound = findings(demo_folder, "careful")["attack.aggregate"]
    leak = sound.model_copy(update={"status": Status.FAIL})
    systems = (toured(demo_folder, "careless"), toured(demo_folder, "careful", attack_aggregate=leak))
    assert deviations(Tour(demo_folder, systems)) == (
        "careful: attack.aggregate ended fail, not pass.",
        "careful: the gate says failed, not passed.",
    )


def test_an_attack_that_finds_nothing_in_the_careless_system_is_noticed(demo_folder: Path) -> None:
    leak = findings(demo_folder, "careless")["attack.linear"]
    blind = leak.model_copy(update={"status": Status.INCONCLUSIVE})
    systems = (toured(demo_folder, "careless", attack_linear=blind), toured(demo_folder, "careful"))
    assert deviations(Tour(demo_folder, systems)) == ("careless: attack.linear ended inconclusive, not fail.",)
