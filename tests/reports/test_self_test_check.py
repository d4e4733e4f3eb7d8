"""`report.self-test`: passes for a self-test that shows this auditor to work, and blames nobody where it does not."""

import json
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from audit.cli.main import run
from audit.store_binding import code_sha256
from reports.canonical import canonical_json
from reports.check import Context, Options
from reports.checks import self_test
from reports.model import Basis, Effort, Finding, Severity, Status, Strength
from reports.version import VERSION
from tests.reports.conformance.world import NOW
from tests.reports.test_checks import system
from tests.reports.test_context import Shelf

CODE = "c" * 64
PACKAGES = {name: version(name) for name in ("cryptography", "numpy", "opacus", "torch")}
Write = Callable[..., Path]


def tried(name: str, flaw: str = "fail", twin: str = "pass", errors: tuple[str, ...] = ()) -> dict[str, Any]:
    """One planted flaw as the file tells it, the rule written out once more."""
    return {
        "id": name, "title": "No noise is added", "caught_by": ["dp.mechanism"], "expects": "fail", "seed": 2026,
        "flaw": {"dp.mechanism": flaw}, "twin": {"dp.mechanism": twin}, "errors": list(errors), "spared": [],
        "detected": flaw == "fail" and not errors, "false_alarm": twin == "fail",
        "undecided": ["dp.mechanism"] if twin == "inconclusive" else [],
    }  # fmt: skip


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(*flaws: Mapping[str, Any], **more: Any) -> Path:
        summary = {
            "flaws": len(flaws),
            "detected": sum(one["detected"] for one in flaws),
            "false_alarms": sum(one["false_alarm"] for one in flaws),
            "undecided": sum(bool(one["undecided"]) for one in flaws),
            "errors": sum(bool(one["errors"]) for one in flaws),
        }
        told = {
            "schema": "fedaudit.selftest/1", "fedaudit": VERSION, "code_sha256": CODE, "python": "3.11.9",
            "packages": PACKAGES, "effort": "smoke", "seeds": [2026], "date": "2026-11-22", "flaws": flaws,
            "left_out": [], "is_whole": True, "power": [], "summary": summary,
        } | more  # fmt: skip
        file = tmp_path / "selftest.json"
        file.write_bytes(canonical_json(json.loads(json.dumps(told))))
        return file

    return written


def ask(file: Path | None, findings: tuple[Finding, ...] = ()) -> Finding:
    of = system()
    context = Context(
        check=self_test, system=of, seed=1, effort=Effort.SMOKE, folder=Path(), now=NOW, store=Shelf(),
        options=Options(selftest=file, code_sha256=CODE), findings=findings,
    )  # fmt: skip
    [finding] = self_test.ask(of, context)
    return finding


def test_a_clean_self_test_of_this_very_installation_passes_as_a_document(write: Write) -> None:
    finding = ask(write(tried("a"), tried("b")))
    assert (finding.status, finding.strength, finding.basis) == (Status.PASS, Strength.DOCUMENT, Basis.RECORDED)
    assert len(finding.evidence) == 1
    [limitation] = finding.limitations
    assert "nobody signed it" in limitation


def test_a_flaw_under_two_seeds_is_one_flaw(write: Write) -> None:
    said = ask(write(tried("a"), tried("a") | {"seed": 2027}, seeds=[2026, 2027]))
    assert "all 1 planted flaw detected" in said.summary and "2 seeds" in said.summary


def test_the_numbers_are_shares_with_exact_bounds(write: Write) -> None:
    found = {one.name: one for one in ask(write(*(tried(f"f{i}") for i in range(59)))).measurements}
    assert (found["flaws"].value, found["detected"].value, found["false_alarms"].value) == (59, 1, 0)
    detected, alarms = found["detected"].interval, found["false_alarms"].interval
    assert detected is not None and alarms is not None
    assert detected.low == pytest.approx(0.05 ** (1 / 59))
    assert alarms.high == pytest.approx(1 - 0.05 ** (1 / 59))


@pytest.mark.parametrize(
    ("flaws", "more", "reason"),
    [
        ((), {}, "incomplete"),
        ((tried("a", errors=("no room",)),), {}, "incomplete"),
        ((tried("a"),), {"is_whole": False}, "incomplete"),
        ((tried("a"), tried("b", flaw="pass")), {}, "self-test-missed"),
        ((tried("a"), tried("b", twin="fail")), {}, "false-alarm"),
        ((tried("a"),), {"fedaudit": "0.0.1"}, "other-version"),
        ((tried("a"),), {"packages": PACKAGES | {"torch": "1.0"}}, "other-version"),
        ((tried("a"),), {"packages": {}}, "other-version"),
        ((tried("a"),), {"code_sha256": "d" * 64}, "other-code"),
        ((tried("a"),), {"effort": "standard"}, "lower-effort"),
    ],
)
def test_a_self_test_that_shows_nothing_is_inconclusive_and_never_a_fail(
    write: Write, flaws: Any, more: Any, reason: str
) -> None:
    finding = ask(write(*flaws, **more))
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, reason)
    assert finding.remedy is not None and len(finding.evidence) == 1


def test_why_it_is_not_whole_is_said(write: Write) -> None:
    assert "no flaw was planted" in ask(write()).summary
    assert "only chosen flaws" in ask(write(tried("a"), is_whole=False)).summary
    assert "1 flaw could not be played" in ask(write(tried("a", errors=("no room",)))).summary


def test_packages_on_which_no_answer_hangs_may_differ(write: Write) -> None:
    assert ask(write(tried("a"), packages=PACKAGES | {"rich": "0.1"}, python="3.9.1")).status is Status.PASS


def test_checks_that_pass_here_and_never_caught_a_flaw_are_named(write: Write) -> None:
    said = {"dp.mechanism": Status.PASS, "attack.linear": Status.PASS}
    said |= {"attack.text": Status.FAIL, "dp.accounting": Status.SKIPPED}
    findings = tuple(other(check, status) for check, status in said.items())
    [limitation] = [one for one in ask(write(tried("a")), findings).limitations if "never shown" in one]
    assert "attack.linear" in limitation
    assert not any(check in limitation for check in ("dp.mechanism", "attack.text", "dp.accounting"))


def test_another_effort_undecided_twins_and_flaws_left_out_are_limits(write: Write) -> None:
    left = [{"id": "leak-convnet", "title": "A network leaks", "reason": "effort:standard"}]
    flaws = (tried("a"), tried("b", twin="inconclusive"))
    limits = " ".join(ask(write(*flaws, effort="standard", left_out=left)).limitations)
    assert "at effort standard, this run is at smoke" in limits
    assert "1 flaw not planted: leak-convnet" in limits
    assert "1 sound system" in limits and "could not decide" in limits


def test_without_a_self_test_nothing_is_asked() -> None:
    assert ask(None).status is Status.SKIPPED


def other(check: str, status: Status) -> Finding:
    return Finding(
        check=check, title="It is so", status=status, severity=Severity.LOW, strength=Strength.EXACT,
        basis=Basis.MEASURED, summary="So it is.", fingerprint="0" * 32,
    )  # fmt: skip


def test_a_run_cites_it_and_a_file_that_is_none_stops_the_run(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "system.toml").write_text('[system]\nname = "ward"\nversion = "2"\n')
    line = ["run", str(tmp_path / "system.toml"), "--only", "report.*", "--json"]
    file = write(tried("a"), code_sha256=code_sha256())
    assert run([*line, "-o", str(tmp_path / "bundle"), "--selftest", str(file)]) == 0
    found = {one["check"]: one for one in json.loads(capsys.readouterr().out)["findings"]}
    assert found["report.self-test"]["status"] == "pass"
    kept = [path for path in (tmp_path / "bundle/evidence").rglob("*") if path.is_file()]
    assert file.read_bytes() in [path.read_bytes() for path in kept]
    file.write_bytes(b"{}")
    assert run([*line, "-o", str(tmp_path / "other"), "--selftest", str(file)]) == 2
    assert json.loads(capsys.readouterr().out)["code"] == "selftest.schema"
    assert not (tmp_path / "other").exists()
