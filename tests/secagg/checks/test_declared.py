"""A pass is earned: the flawed system fails and its remedy mends it, the sound twin passes, no power is no pass."""

import json
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

import secagg.checks
from reports.check import GROUP, checks_in, missing
from reports.model import Artifact, Basis, Finding, Severity, Status, Strength, System
from secagg.checks.declared import parameters

Ask = Callable[..., list[Finding]]
SecureSystem = Callable[..., System]
CAPTURES = Path(__file__).parents[2] / "vectors/secagg/flower-capture"
RecordRounds = Callable[..., tuple[Artifact, ...]]


def measured(finding: Finding) -> dict[str, Any]:
    return {measurement.name: measurement for measurement in finding.measurements}


FLAWED: list[dict[str, Any]] = [
    {"threshold": 2},  # five corrupt clients rebuild secrets
    {"threshold": 12},  # a single drop-out among the neighbours stops the round
    {"degree": 4, "threshold": 3},  # no threshold serves so few neighbours
    {"clients": 10, "degree": 9, "threshold": 2, "corrupt_fraction": 0.3, "dropout_fraction": 0.2},
    {"clients": 5, "degree": 2, "threshold": 2, "corrupt_fraction": 0.2, "dropout_fraction": 0.2},
    {"corrupt_fraction": 0.5, "dropout_fraction": 0.6},  # nothing bears this
    {"server_trust": "malicious"},  # seven of twelve is enough against a curious server only
]


@pytest.mark.parametrize("flaw", FLAWED, ids=str)
def test_a_flawed_system_fails_and_its_remedies_lead_to_a_pass(
    flaw: dict[str, Any], ask: Ask, secure_system: SecureSystem
) -> None:
    [finding] = ask(parameters, secure_system(**flaw))
    changed, statuses = dict(flaw), [finding.status]
    while (remedy := finding.remedy) is not None and len(statuses) < 6:  # one key at a time
        assert remedy.value is not None
        key = remedy.parameter.removeprefix("federation.secure_aggregation.")
        value = float(remedy.value) if key.endswith("fraction") else int(remedy.value)
        declared = secure_system(**changed).federation
        assert declared is not None
        old = getattr(declared.secure_aggregation, key)
        assert remedy.direction == ("raise" if value > old else "lower")
        changed[key] = value
        [finding] = ask(parameters, secure_system(**changed))
        statuses.append(finding.status)
    assert (statuses[0], statuses[-1]) == (Status.FAIL, Status.PASS)


def test_the_sound_twin_passes_on_the_strength_of_its_declaration(ask: Ask, secure_system: SecureSystem) -> None:
    [finding] = ask(parameters, secure_system())
    assert (finding.status, finding.strength, finding.basis) == (Status.PASS, Strength.EXACT, Basis.DECLARED)
    assert finding.remedy is None
    assert finding.reason == ""
    assert "transcript" in finding.limitations[0]
    assert len(finding.limitations) == 1


@pytest.mark.parametrize("clients", [4, 10, 19])
def test_where_nothing_can_fail_nothing_is_passed(clients: int, ask: Ask, secure_system: SecureSystem) -> None:
    few = {"clients": clients, "degree": clients - 1, "threshold": clients // 2 + 1}  # 5 % of them is nobody
    [finding] = ask(parameters, secure_system(**few))
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "control-failed")
    remedy = finding.remedy
    assert remedy is not None
    assert remedy.value is not None
    assert remedy.parameter == "federation.secure_aggregation.corrupt_fraction"
    [mended] = ask(parameters, secure_system(**few, corrupt_fraction=float(remedy.value)))
    assert mended.reason != "control-failed"


def test_two_clients_fail_though_they_have_no_control(ask: Ask, secure_system: SecureSystem) -> None:
    [finding] = ask(parameters, secure_system(clients=2, degree=1, threshold=1))
    assert finding.status is Status.FAIL
    assert finding.remedy is not None
    assert finding.remedy.parameter == "federation.secure_aggregation.clients"


def test_lost_rounds_weigh_less_than_lost_privacy(ask: Ask, secure_system: SecureSystem) -> None:
    [stuck] = ask(parameters, secure_system(threshold=12))
    [exposed] = ask(parameters, secure_system(threshold=2))
    assert (stuck.severity, exposed.severity) == (Severity.MEDIUM, Severity.HIGH)


def test_bits_are_measured_where_there_are_any_and_probabilities_always(ask: Ask, secure_system: SecureSystem) -> None:
    [certain] = ask(parameters, secure_system())
    names = measured(certain)
    assert names.keys() == {"sigma_failure_probability", "eta_failure_probability"}
    assert names["sigma_failure_probability"].value == 0.0
    assert names["sigma_failure_probability"].control > names["sigma_failure_probability"].threshold.limit
    [weak] = ask(parameters, secure_system(threshold=2))
    names = measured(weak)
    assert names["sigma_bits"].value < names["sigma_bits"].threshold.limit == 40
    assert names["sigma_failure_probability"].value == pytest.approx(2 ** -names["sigma_bits"].value)
    assert "sigma_bits_one_more" in names
    [example] = ask(parameters, secure_system(**FLAWED[4]))
    names = measured(example)
    assert names["sigma_bits"].value == pytest.approx(1.0)
    assert names["eta_bits"].value == 0.0
    assert names["eta_bits"].threshold.limit == 20


def test_both_rules_stand_beside_the_declaration_and_in_the_evidence(
    ask: Ask, secure_system: SecureSystem, shelf: Any
) -> None:
    [finding] = ask(parameters, secure_system(threshold=2), shelf)
    assert "guarded rule takes degree 12 and threshold 7" in finding.detail
    assert "published rule takes degree" in finding.detail
    [digest] = finding.evidence
    document = json.loads(shelf.kept[digest])
    assert document["declared"]["threshold"] == document["assessment"]["threshold"] == 2
    assert document["choices"]["guarded"]["threshold"] == 7
    assert document["control"]["degree"] == 2
    [hopeless] = ask(parameters, secure_system(corrupt_fraction=0.5, dropout_fraction=0.6), shelf)
    assert "guarded rule finds no choice" in hopeless.detail


def test_the_cliff_is_told_though_it_is_a_pass(ask: Ask, secure_system: SecureSystem) -> None:
    [finding] = ask(parameters, secure_system(threshold=6))
    assert finding.status is Status.PASS
    assert any("One corrupt client more than declared leaves 13.7 bits" in told for told in finding.limitations)


@pytest.mark.parametrize(
    ("server_trust", "told"), [(None, "not declared"), ("trusted", "trusted"), ("malicious", None)]
)
def test_who_the_server_is_taken_for_is_told(
    server_trust: str | None, told: str | None, ask: Ask, secure_system: SecureSystem
) -> None:
    [finding] = ask(parameters, secure_system(server_trust))
    assert any("judged as honest-but-curious" in text for text in finding.limitations) == (told is not None)
    assert finding.status is (Status.PASS if told else Status.FAIL)


@pytest.mark.parametrize("key", ["clients", "degree", "threshold", "corrupt_fraction", "dropout_fraction"])
def test_a_missing_key_is_named(key: str, ask: Ask, secure_system: SecureSystem) -> None:
    [finding] = ask(parameters, secure_system(**{key: None}))
    assert (finding.status, finding.reason) == (Status.SKIPPED, f"missing:federation.secure_aggregation.{key}")
    assert key in finding.summary


UNDECLARED = dict.fromkeys(("clients", "degree", "threshold", "corrupt_fraction", "dropout_fraction"))


def test_recorded_rounds_are_judged_beside_the_declaration(
    ask: Ask, secure_system: SecureSystem, record_rounds: RecordRounds, tmp_path: Path, shelf: Any
) -> None:
    weak = {"degree": 4, "threshold": 2, "required_sigma": 0, "required_eta": 0}
    artifacts = record_rounds(tmp_path, {}, weak)
    declared, weakest = ask(parameters, secure_system(transcripts=artifacts), shelf, tmp_path)
    assert (declared.status, declared.key, declared.basis) == (Status.PASS, "", Basis.DECLARED)
    assert (weakest.status, weakest.key, weakest.basis) == (Status.FAIL, "recorded", Basis.RECORDED)
    assert weakest.summary.startswith("In the weakest of 2 recorded rounds, with 2 of 14 clients corrupt")
    assert measured(weakest).keys() >= {"sigma_bits", "eta_failure_probability"}
    assert json.loads(shelf.kept[weakest.evidence[0]])["recorded"]["degree"] == 4


def test_recorded_rounds_alone_are_enough(
    ask: Ask, secure_system: SecureSystem, record_rounds: RecordRounds, tmp_path: Path
) -> None:
    system = secure_system(**UNDECLARED, transcripts=record_rounds(tmp_path, {}))
    [finding] = ask(parameters, system, None, tmp_path)
    assert (finding.status, finding.key, finding.strength) == (Status.PASS, "recorded", Strength.EXACT)
    assert measured(finding).keys() == measured(ask(parameters, secure_system())[0]).keys()


def test_a_capture_states_no_fractions_so_the_declared_ones_count(ask: Ask, secure_system: SecureSystem) -> None:
    artifact = {"path": "whole/round-0001", "sha256": "1" * 64, "size": 1, "kind": "capture"}
    fractions = {"corrupt_fraction": 0.2, "dropout_fraction": 0.2}
    [usual] = ask(parameters, secure_system(**UNDECLARED, transcripts=(artifact,)), None, CAPTURES)
    [given] = ask(parameters, secure_system(**UNDECLARED | fractions, transcripts=(artifact,)), None, CAPTURES)
    assert (usual.status, usual.reason) == (Status.INCONCLUSIVE, "control-failed")
    assert given.status is Status.FAIL
    assert measured(given)["sigma_bits"].value == pytest.approx(1.0)  # as of the same numbers declared, above
    assert measured(given)["eta_bits"].value == pytest.approx(0.0)
    assert any("states no fractions" in text for text in given.limitations)


def test_a_server_that_the_record_distrusts_more_is_told(ask: Ask, secure_system: SecureSystem) -> None:
    artifact = {"path": "transcript-a", "sha256": "1" * 64, "size": 1, "kind": "transcript"}
    [finding] = ask(parameters, secure_system(**UNDECLARED, transcripts=(artifact,)), None, CAPTURES.parent)
    told = "server_trust is declared honest-but-curious; the server is judged as malicious."
    assert told in finding.limitations


def test_a_record_that_is_not_authentic_earns_no_pass(
    ask: Ask, secure_system: SecureSystem, record_rounds: RecordRounds, tmp_path: Path
) -> None:
    artifacts = record_rounds(tmp_path, {})
    lines = tmp_path / artifacts[0].path / "transcript.jsonl"
    lines.write_bytes(lines.read_bytes().replace(b'"type":"roster"', b'"type":"Roster"'))
    [finding] = ask(parameters, secure_system(**UNDECLARED, transcripts=artifacts), None, tmp_path)
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "not-authentic")


def test_what_is_no_transcript_leaves_the_declaration_judged(
    ask: Ask, secure_system: SecureSystem, record_rounds: RecordRounds, tmp_path: Path
) -> None:
    artifacts = record_rounds(tmp_path, {})
    (tmp_path / artifacts[0].path / "transcript.jsonl").write_text("{}\n")
    declared, unread = ask(parameters, secure_system(transcripts=artifacts), None, tmp_path)
    assert declared.status is Status.PASS
    assert (unread.status, unread.key) == (Status.INCONCLUSIVE, "recorded")
    assert unread.reason == "invalid:federation.secure_aggregation.transcripts"
    assert unread.fingerprint != declared.fingerprint


@pytest.mark.parametrize(
    ("change", "key"),
    [({"degree": 3}, "degree"), ({"threshold": 13}, "threshold"), ({"clients": 2_000_000}, "clients")],
)
def test_numbers_that_no_round_can_have_are_inconclusive_with_a_mend(
    change: dict[str, int], key: str, ask: Ask, secure_system: SecureSystem
) -> None:
    [finding] = ask(parameters, secure_system(**change))
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, f"invalid:federation.secure_aggregation.{key}")
    assert str(change[key]) in finding.summary
    assert finding.remedy is not None
    assert finding.remedy.parameter == f"federation.secure_aggregation.{key}"


def test_it_is_found_by_the_common_door_and_needs_what_it_says(secure_system: SecureSystem) -> None:
    assert "secagg.checks" in {entry.value for entry in entry_points(group=GROUP)}
    assert parameters in checks_in(secagg.checks)
    assert missing(parameters, secure_system()) == ()
    bare = secure_system().model_copy(update={"federation": None})
    assert len(missing(parameters, bare)) == 1
