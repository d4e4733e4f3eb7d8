"""Recorded rounds on their way through the command line: simulated, declared, audited, and found out where flawed."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from audit.cli.main import run
from audit.manifest import load_system
from audit.run import Request, run_audit
from reports.bundle import read_bundle
from reports.errors import SystemFileError
from reports.model import Effort, Finding, Status
from secagg.checks.transcript_codes import OWNERS, UNREADABLE
from secagg.plants import PLANTS

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
ON_RECORDS = (
    "secagg.transcript", "secagg.graph", "secagg.double-reveal", "secagg.consistency", "secagg.key-authenticity",
    "secagg.key-reuse", "secagg.mask-uniformity", "secagg.metadata", "secagg.model-consistency",
)  # fmt: skip
MALICIOUS = {"secagg.consistency", "secagg.key-authenticity"}
Recorded = Callable[..., Path]


@pytest.fixture
def recorded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Recorded:
    """Simulate two rounds on the command line, declare their transcripts, and return the system file."""

    def record(plant: str | None = None, trust: str = "malicious") -> Path:
        asked = ["--clients", "7", "--dim", "150", "--rounds", "2", "--server-trust", trust, "--seed", "5"]
        asked += ["--require-sigma", "0", "--require-eta", "0", "--transcript", str(tmp_path / "rounds")]
        assert run(["secagg", "simulate", *asked, *(["--plant", plant] if plant else [])]) == 0
        capsys.readouterr()
        file = tmp_path / "system.toml"
        file.write_text(
            '[system]\nname = "ward"\nversion = "1"\n[federation]\n'
            f'server_trust = "{trust}"\n[federation.secure_aggregation]\nprotocol = "fedaudit-secagg"\n'
            'transcripts = ["rounds/round-0001", "rounds/round-0002"]\n'
        )
        return file

    return record


def audited(file: Path) -> dict[str, Finding]:
    """Return the findings of the checks on records, by check, from the sealed bundle."""
    bundle = file.parent / "bundle"
    run_audit(Request(file, bundle, NOW, effort=Effort.SMOKE, only=ON_RECORDS))
    found = read_bundle(bundle).statement.report.findings
    return {finding.check: finding for finding in found if finding.check in ON_RECORDS}


def test_sound_rounds_pass_every_check_on_records(recorded: Recorded, capsys: pytest.CaptureFixture[str]) -> None:
    file = recorded()
    only = [word for name in ON_RECORDS for word in ("--only", name)]
    asked = ["run", str(file), "-o", str(file.parent / "sealed"), "--effort", "smoke", "--no-render", *only]
    assert run([*asked, "--now", "2026-11-21T12:00:00Z"]) == 0
    capsys.readouterr()
    findings = read_bundle(file.parent / "sealed").statement.report.findings
    passed = {finding.check for finding in findings if finding.status is Status.PASS}
    assert passed == {*ON_RECORDS} - {"secagg.model-consistency"}  # a simulation trains no model, so names none


@pytest.mark.parametrize("code", PLANTS)
def test_a_planted_fault_reaches_the_report_under_the_check_that_answers_for_it(recorded: Recorded, code: str) -> None:
    owner = OWNERS.get(code, "secagg.transcript")
    found = audited(recorded(code, "malicious" if owner in MALICIOUS else "honest-but-curious"))
    assert found[owner].status is Status.FAIL
    assert found[owner].remedy is not None
    for name, finding in found.items():
        assert name == owner or finding.status is not Status.FAIL
        if code in UNREADABLE and name not in {owner, *MALICIOUS}:
            assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "not-authentic")


def test_broken_lines_are_a_finding_and_no_reason_not_to_look(recorded: Recorded) -> None:
    file = recorded(trust="honest-but-curious")
    lines = file.parent / "rounds" / "round-0002" / "transcript.jsonl"
    lines.write_bytes(lines.read_bytes().replace(b'"type":"roster"}\n', b'"type":"roster"\n', 1))
    found = audited(file)["secagg.transcript"]
    assert found.status is Status.FAIL
    assert found.summary.startswith("In rounds/round-0002, line 9: ")


def test_a_record_that_was_still_being_written_is_inconclusive(recorded: Recorded) -> None:
    file = recorded(trust="honest-but-curious")
    lines = file.parent / "rounds" / "round-0002" / "transcript.jsonl"
    lines.write_bytes(lines.read_bytes()[:-40])
    assert audited(file)["secagg.transcript"].reason == "incomplete-transcript"


def test_a_vector_may_begin_like_a_pickle_where_its_name_is_its_digest(recorded: Recorded) -> None:
    file = recorded(trust="honest-but-curious")
    folder = file.parent / "rounds" / "round-0001"
    words = b"\x80\x04\x95" + bytes(61)
    (folder / "blobs" / hashlib.sha256(words).hexdigest()).write_bytes(words)
    load_system(file)
    (folder / "blobs" / "masked").write_bytes(words)
    with pytest.raises(SystemFileError, match="pickle"):
        load_system(file)


def test_every_vector_counts_in_the_digest_of_the_folder(recorded: Recorded) -> None:
    file = recorded(trust="honest-but-curious")
    before, blob = load_system(file).system, next((file.parent / "rounds" / "round-0001" / "blobs").iterdir())
    blob.write_bytes(blob.read_bytes()[::-1])
    assert load_system(file).system != before
