"""Whom a sum hides among: planted small sums and differing rounds fail, large steady ones pass."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reports.check import missing
from reports.model import Artifact, Basis, Finding, Severity, Status, System
from secagg.checks.cohort import cohort

Ask = Callable[..., list[Finding]]
SecureSystem = Callable[..., System]
RecordRounds = Callable[..., tuple[Artifact, ...]]
UNDECLARED = dict.fromkeys(("clients", "degree", "threshold", "corrupt_fraction", "dropout_fraction"))


def values(finding: Finding) -> dict[str, Any]:
    return {one.name: one.value for one in finding.measurements}


def clients(*numbers: int) -> tuple[str, ...]:
    return tuple(f"c{number:05d}" for number in numbers)


@pytest.mark.parametrize(
    ("declared", "honest", "severity"),
    [
        ({"clients": 2}, 1, Severity.CRITICAL),
        ({"clients": 3}, 2, Severity.HIGH),
        ({"clients": 4}, 3, Severity.MEDIUM),
        ({"clients": 10}, 9, Severity.MEDIUM),
        ({"clients": 20, "dropout_fraction": 0.3, "corrupt_fraction": 0.3}, 8, Severity.MEDIUM),
        ({"clients": 4, "dropout_fraction": 0.9}, 0, Severity.CRITICAL),
    ],
    ids=str,
)
def test_a_small_declared_cohort_fails_and_its_remedy_mends_it(
    declared: dict[str, Any], honest: int, severity: Severity, ask: Ask, secure_system: SecureSystem
) -> None:
    [finding] = ask(cohort, secure_system(**declared))
    assert (finding.status, finding.severity, finding.basis) == (Status.FAIL, severity, Basis.DECLARED)
    assert values(finding) == {"honest_survivors": honest}
    remedy = finding.remedy
    assert remedy is not None
    assert (remedy.parameter, remedy.direction) == ("federation.secure_aggregation.clients", "raise")
    assert remedy.value is not None
    [mended] = ask(cohort, secure_system(**{**declared, "clients": int(remedy.value)}))
    [not_enough] = ask(cohort, secure_system(**{**declared, "clients": int(remedy.value) - 1}))
    assert (mended.status, not_enough.status) == (Status.PASS, Status.FAIL)


def test_a_cohort_that_can_never_be_enough_gets_a_remedy_without_a_number(
    ask: Ask, secure_system: SecureSystem
) -> None:
    [finding] = ask(cohort, secure_system(dropout_fraction=0.6, corrupt_fraction=0.5))
    assert finding.status is Status.FAIL
    assert finding.remedy is not None
    assert finding.remedy.value is None


def test_a_large_declared_cohort_passes_and_says_what_it_rests_on(ask: Ask, secure_system: SecureSystem) -> None:
    [finding] = ask(cohort, secure_system())
    assert (finding.status, finding.reason, finding.key) == (Status.PASS, "", "")
    [measurement] = finding.measurements
    assert (measurement.value, measurement.threshold and measurement.threshold.limit) == (90, 10)
    assert measurement.control is not None
    assert measurement.control < 10
    assert any("transcript" in text for text in finding.limitations)


@pytest.mark.parametrize("key", ["clients", "corrupt_fraction", "dropout_fraction"])
def test_a_missing_key_is_named(key: str, ask: Ask, secure_system: SecureSystem) -> None:
    [finding] = ask(cohort, secure_system(**{key: None}))
    assert (finding.status, finding.reason) == (Status.SKIPPED, f"missing:federation.secure_aggregation.{key}")


ROUNDS: dict[str, tuple[list[dict[str, Any]], Status, Severity, dict[str, int]]] = {
    "one round": ([{}], Status.PASS, Severity.MEDIUM, {"honest_survivors": 12, "isolated_clients": 0}),
    "the same clients each time": (
        [{"dropped": clients(3)}, {"dropped": clients(3)}, {"dropped": clients(3)}],
        Status.PASS, Severity.MEDIUM, {"honest_survivors": 11, "isolated_clients": 0},
    ),
    "cohorts far apart": (
        [{"dropped": clients(1, 2)}, {"dropped": clients(3, 4)}],
        Status.PASS, Severity.MEDIUM, {"honest_survivors": 10, "isolated_clients": 0, "smallest_difference": 4},
    ),
    "one stays away once": (
        [{}, {"dropped": clients(7)}],
        Status.FAIL, Severity.CRITICAL, {"honest_survivors": 11, "isolated_clients": 1, "smallest_difference": 1},
    ),
    "two take turns": (
        [{"dropped": clients(7)}, {"dropped": clients(8)}],
        Status.FAIL, Severity.HIGH, {"honest_survivors": 11, "isolated_clients": 0, "smallest_difference": 2},
    ),
    "a small sum": (
        [{"clients": 11, "corrupt_fraction": 0.2}],
        Status.FAIL, Severity.MEDIUM, {"honest_survivors": 9, "isolated_clients": 0},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ROUNDS)
def test_recorded_rounds_are_judged_by_what_they_sum(
    case: str, ask: Ask, secure_system: SecureSystem, record_rounds: RecordRounds, tmp_path: Path, shelf: Any
) -> None:
    rounds, status, severity, numbers = ROUNDS[case]
    system = secure_system(**UNDECLARED, transcripts=record_rounds(tmp_path, *rounds))
    [finding] = ask(cohort, system, shelf, tmp_path)
    assert (finding.status, finding.severity, finding.key) == (status, severity, "recorded")
    assert finding.basis is Basis.RECORDED
    assert values(finding) == numbers
    assert (finding.remedy is None) == (status is Status.PASS)
    assert any("similar update" in text for text in finding.limitations)
    document = json.loads(shelf.kept[finding.evidence[0]])
    assert document["sums"]["honest_survivors"] == numbers["honest_survivors"]
    assert document["control"]["isolated_clients"]


def test_the_isolated_client_is_named(
    ask: Ask, secure_system: SecureSystem, record_rounds: RecordRounds, tmp_path: Path
) -> None:
    artifacts = record_rounds(tmp_path, {}, {"dropped": clients(7)})
    declared, recorded = ask(cohort, secure_system(transcripts=artifacts), None, tmp_path)
    assert (declared.status, recorded.status) == (Status.PASS, Status.FAIL)
    assert recorded.detail == "Isolated: c00007."


def test_a_round_without_a_sum_earns_no_pass(
    ask: Ask, secure_system: SecureSystem, record_rounds: RecordRounds, tmp_path: Path
) -> None:
    artifacts = record_rounds(tmp_path, {})
    lines = tmp_path / artifacts[0].path / "transcript.jsonl"
    lines.write_bytes(b"".join(lines.read_bytes().splitlines(keepends=True)[:-1]))
    [finding] = ask(cohort, secure_system(**UNDECLARED, transcripts=artifacts), None, tmp_path)
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "incomplete-transcript")


def test_a_record_that_is_not_authentic_earns_no_pass(
    ask: Ask, secure_system: SecureSystem, record_rounds: RecordRounds, tmp_path: Path
) -> None:
    artifacts = record_rounds(tmp_path, {}, {})
    lines = tmp_path / artifacts[1].path / "transcript.jsonl"
    lines.write_bytes(lines.read_bytes().replace(b'"run":"simulation"', b'"run":"stimulation"'))
    [finding] = ask(cohort, secure_system(**UNDECLARED, transcripts=artifacts), None, tmp_path)
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "not-authentic")


def test_either_a_declaration_or_a_record_is_needed(secure_system: SecureSystem) -> None:
    assert missing(cohort, secure_system()) == ()
    assert len(missing(cohort, secure_system().model_copy(update={"federation": None}))) == 1
