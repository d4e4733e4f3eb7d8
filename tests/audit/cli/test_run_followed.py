"""`fedaudit run` after an earlier audit: what it takes from it, what it refuses before anything is measured."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit.cli.main import run
from reports.canonical import canonical_json
from tests.reports.conformance.world import STRANGER, World, sound_world

NOW = "2026-11-21T12:00:00Z"
SYSTEM = '[system]\nname = "ward"\nversion = "2"\n'
POLICY = 'version = 1\nname = "ward"\nfail_on = "high"\n'
Ran = tuple[int, dict[str, Any], dict[str, dict[str, Any]]]


@pytest.fixture
def earlier(tmp_path: Path) -> World:
    return sound_world(tmp_path / "earlier")


@pytest.fixture
def audit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    (tmp_path / "system.toml").write_text(SYSTEM)
    (tmp_path / "policy.toml").write_text(POLICY)

    def called(*more: str | Path) -> Ran:
        line = ["run", tmp_path / "system.toml", "-o", tmp_path / "bundle", "--only", "report.*", "--now", NOW, *more]
        code = run([*map(str, line), "--json"])
        document = json.loads(capsys.readouterr().out)
        return code, document, {finding["check"]: finding for finding in document.get("findings", ())}

    return called


def test_it_follows_a_report_that_a_trusted_person_signed(tmp_path: Path, earlier: World, audit: Any) -> None:
    trust, named = earlier.folder / "trust.toml", ("--auditor", "A. Auditor", "--organisation", "Audit Office")
    code, _, found = audit("--previous", earlier.bundle, "--trust", trust, "--policy", tmp_path / "policy.toml", *named)
    assert code == 0
    answers = {check: found[check]["status"] for check in found if check.startswith("report.")}
    assert answers == {
        "report.lineage": "pass", "report.responsible-person": "pass", "report.thresholds-committed": "pass",
        "report.self-test": "skipped",
    }  # fmt: skip
    assert found["report.thresholds-committed"]["strength"] == "document"  # another version: its policy says nothing
    assert found["report.lineage"]["strength"] == "exact"


def test_without_any_of_it_nothing_is_asked_or_answered(audit: Any) -> None:
    code, _, found = audit()
    assert code == 0
    assert {found[check]["status"] for check in found if check.startswith("report.")} == {"skipped"}


@pytest.mark.parametrize(
    ("tamper", "code", "word"),
    [
        (lambda world: world.envelope.unlink(), 4, "bundle.missing_envelope"),
        (lambda world: world.sign(canonical_json(world.statement()), STRANGER), 4, "signature.untrusted"),
        (lambda world: (world.folder / "trust.toml").write_text("version = 1\n"), 2, "trust.no_requirement"),
    ],
)
def test_a_previous_report_that_cannot_be_believed_stops_the_run_before_it_measures(
    tmp_path: Path, earlier: World, audit: Any, tamper: Callable[[World], object], code: int, word: str
) -> None:
    tamper(earlier)
    got, document, _ = audit("--previous", earlier.bundle, "--trust", earlier.folder / "trust.toml")
    assert (got, document["code"]) == (code, word)
    assert not (tmp_path / "bundle").exists()


def test_a_previous_report_that_is_not_there_is_a_wrong_call(tmp_path: Path, audit: Any) -> None:
    code, document, _ = audit("--previous", tmp_path / "nowhere")
    assert (code, document["code"]) == (2, "bundle.not_found")


def test_what_a_run_keeps_is_its_owner_s_alone(tmp_path: Path, audit: Any) -> None:
    code, _, _ = audit("--keep-run")
    assert code == 0
    assert (tmp_path / "bundle.run").stat().st_mode & 0o077 == 0
