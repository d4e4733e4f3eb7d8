"""Checks on recorded rounds: the sound twin passes, each planted fault fails the check that answers for it alone."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import secagg.checks
from reports.check import Check, checks_in, missing
from reports.model import Basis, Effort, Finding, Severity, Status, System
from secagg.checks.transcript_answer import Judged, told
from secagg.checks.transcript_codes import OWNERS, owned_codes
from secagg.checks.transcript_control import plant_faults
from secagg.checks.transcript_question import Question
from secagg.checks.transcript_rounds import Recorded, recorded
from secagg.drops import DropPlan
from secagg.faults import with_fault
from secagg.plants import PLANTS
from secagg.source import Source
from secagg.transcript import read_transcript
from secagg.verification import Verification
from secagg.violations import NOT_AUTHENTIC, VIOLATIONS

Ward = Callable[..., Any]
MODEL = {"model_sha256": "1" * 64}
CHECKS = {check.id: check for check in checks_in(secagg.checks)}
ASKED = (
    "secagg.transcript", "secagg.graph", "secagg.double-reveal", "secagg.consistency", "secagg.key-authenticity",
    "secagg.key-reuse", "secagg.mask-uniformity", "secagg.model-consistency", "secagg.metadata",
)  # fmt: skip
MALICIOUS_ALONE = ("secagg.consistency", "secagg.key-authenticity")


def owner_of(code: str) -> Check:
    return CHECKS[OWNERS.get(code, "secagg.transcript")]


@pytest.fixture(scope="module")
def sound(ward: Ward, tmp_path_factory: pytest.TempPathFactory) -> Any:
    dropped = MODEL | {"drop": DropPlan({"masked-input": ("c00003",)})}
    return ward(tmp_path_factory.mktemp("sound"), MODEL, dropped, server_trust="malicious")


@pytest.fixture(scope="module")
def curious(ward: Ward, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return ward(tmp_path_factory.mktemp("curious"), {})


@pytest.mark.parametrize("name", ASKED)
def test_sound_rounds_pass_on_the_strength_of_a_control(sound: Any, shelf: Any, name: str) -> None:
    finding = sound.asked(CHECKS[name], shelf=shelf)
    assert (finding.status, finding.reason, finding.remedy) == (Status.PASS, "", None)
    assert finding.basis is Basis.RECORDED
    assert "Control: " in finding.detail
    measured = {one.name: one for one in finding.measurements}
    assert measured["violations"].value == 0
    assert measured["planted_faults_noticed"].value == measured["planted_faults_noticed"].n > 0
    [digest] = finding.evidence
    document = json.loads(shelf.kept[digest])
    assert [one["path"] for one in document["transcripts"]] == ["round-0001", "round-0002"]  # no path of this machine
    assert str(sound.folder) not in shelf.kept[digest].decode()


def test_all_checks_of_a_run_cite_one_piece_of_evidence(sound: Any, shelf: Any) -> None:
    for name in ASKED:
        sound.asked(CHECKS[name], shelf=shelf)
    assert len(shelf.kept) == 1


@pytest.mark.parametrize("code", PLANTS)
def test_a_planted_fault_fails_the_check_that_answers_for_it_with_place_and_mend(
    ward: Ward, tmp_path: Path, code: str
) -> None:
    trust = "malicious" if owner_of(code).id in MALICIOUS_ALONE else "honest-but-curious"
    rounds = (
        (MODEL | {"plant": code}, MODEL | {"plant": code}) if code == "key-reuse" else (MODEL, MODEL | {"plant": code})
    )
    flawed = ward(tmp_path, *rounds, server_trust=trust)
    finding = flawed.asked(owner_of(code))
    assert finding.status is Status.FAIL
    assert finding.severity.at_least(Severity.MEDIUM)
    assert finding.remedy is not None
    assert finding.remedy.text.endswith(".")
    assert finding.remedy.parameter.startswith("federation.")
    first = finding.detail.splitlines()[0]
    assert "round-0002" in first
    assert code in ("chain-broken", "aggregate-mismatch") or "c0000" in first  # whose message it was


def test_the_gravest_of_several_is_told_first(ward: Ward, tmp_path: Path) -> None:
    finding = ward(tmp_path, {"plant": "double-reveal"}).asked(CHECKS["secagg.double-reveal"])
    assert "secrets of c00002 were disclosed" in finding.summary  # a share that nobody asked for comes along
    assert finding.severity is Severity.CRITICAL
    assert finding.remedy is not None
    assert "one kind of share" in finding.remedy.text


def rewritten(folder: Path, code: str) -> None:
    """Plant a fault of `secagg.faults` into the files of the last round."""
    path = max(folder.glob("round-*"))
    edited = with_fault(read_transcript(path), code)
    (path / "transcript.jsonl").write_bytes(b"".join(line + b"\n" for line in edited.lines()))
    for digest, data in edited.blobs.items():
        (path / "blobs" / digest).write_bytes(data)


OTHERS = sorted((VIOLATIONS | NOT_AUTHENTIC) - {*PLANTS, "plaintext-metadata", "overflow", "malformed-record"})


@pytest.mark.parametrize("code", OTHERS)
def test_every_other_code_fails_its_check_as_well(ward: Ward, tmp_path: Path, code: str) -> None:
    trust = "malicious" if owner_of(code).id in MALICIOUS_ALONE else "honest-but-curious"
    flawed = ward(tmp_path, {}, {}, server_trust=trust, spoil=lambda folder: rewritten(folder, code))
    finding = flawed.asked(owner_of(code))
    assert finding.status is Status.FAIL
    assert any(one.startswith("round-0002: ") for one in finding.detail.splitlines())


@pytest.mark.parametrize("code", ["bad-signature", "split-view"])
def test_against_a_curious_server_no_violation_goes_unjudged(ward: Ward, tmp_path: Path, code: str) -> None:
    flawed = ward(tmp_path, {"server_trust": "malicious"}, spoil=lambda folder: rewritten(folder, code))
    finding = flawed.asked(CHECKS["secagg.transcript"])
    assert (finding.status, owner_of(code).id in MALICIOUS_ALONE) == (Status.FAIL, True)


def test_each_code_has_one_check_that_answers_for_it(sound: Any) -> None:
    for system in (sound.system, without_trust(sound.system)):
        malicious = system is sound.system
        names = [name for name in {*ASKED, "secagg.overflow"} if malicious or name not in MALICIOUS_ALONE]
        owned = [code for name in names for code in owned_codes(name, system)]
        assert sorted(owned) == sorted(VIOLATIONS | NOT_AUTHENTIC)


def without_trust(system: System) -> System:
    assert system.federation is not None
    return system.model_copy(update={"federation": system.federation.model_copy(update={"server_trust": None})})


@pytest.fixture(scope="module")
def short(ward: Ward, tmp_path_factory: pytest.TempPathFactory) -> Any:
    def cut(folder: Path) -> None:
        path = folder / "round-0002" / "transcript.jsonl"
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))

    return ward(tmp_path_factory.mktemp("short"), MODEL, MODEL, server_trust="malicious", spoil=cut)


@pytest.mark.parametrize("name", ASKED)
def test_an_early_end_passes_nothing(short: Any, name: str) -> None:
    finding = short.asked(CHECKS[name])
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "incomplete-transcript")
    assert "round-0002" in finding.summary
    assert finding.remedy is not None


def test_withheld_vectors_matter_where_vectors_are_looked_at(ward: Ward, tmp_path: Path) -> None:
    digests = ward(tmp_path, {"keep_blobs": False}, {"keep_blobs": False})
    for name in ("secagg.transcript", "secagg.mask-uniformity"):
        finding = digests.asked(CHECKS[name])
        assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "withheld-vectors")
    for name in ("secagg.double-reveal", "secagg.graph", "secagg.key-reuse"):
        assert digests.asked(CHECKS[name]).status is Status.PASS


def test_one_transcript_shows_no_reuse_but_a_key_that_stands_twice_in_it(
    curious: Any, ward: Ward, tmp_path: Path
) -> None:
    alone = curious.asked(CHECKS["secagg.key-reuse"])
    assert (alone.status, alone.reason) == (
        Status.SKIPPED,
        "missing:federation.secure_aggregation.transcripts[1]",
    )
    twice = ward(tmp_path / "twice", {"plant": "duplicate-key"}).asked(CHECKS["secagg.key-reuse"])
    assert twice.status is Status.FAIL


def test_one_round_declared_twice_is_a_session_used_twice(ward: Ward, tmp_path: Path) -> None:
    copied = ward(tmp_path, {}, {}, spoil=lambda folder: copy_over(folder / "round-0001", folder / "round-0002"))
    assert copied.asked(CHECKS["secagg.key-reuse"]).status is Status.FAIL


def copy_over(source: Path, target: Path) -> None:
    (target / "transcript.jsonl").write_bytes((source / "transcript.jsonl").read_bytes())


@pytest.mark.parametrize(
    ("key", "declared", "recorded"),
    [
        ("threshold", 6, "5"),
        ("degree", 4, "6"),
        ("clients", 8, "7"),
        ("prg", "mt19937", "aes256-ctr"),
        ("protocol", "flower-secaggplus", "fedaudit-secagg"),
        ("modulus_bits", 64, "32"),
        ("clipping_range", 4.0, "8"),
        ("quantization_levels", 1024, "4194304"),
        ("consistency_check", True, "false"),
        ("signed_keys", True, "false"),
        ("beacon_source", "public:drand", "simulation"),
        ("corrupt_fraction", 0.1, "0.05"),
    ],
)
def test_a_round_run_otherwise_than_declared_fails(curious: Any, key: str, declared: Any, recorded: str) -> None:
    finding = curious.declaring(**{key: declared}).asked(CHECKS["secagg.transcript"])
    assert (finding.status, finding.severity) == (Status.FAIL, Severity.MEDIUM)
    assert finding.summary.startswith(f"In round-0001, {key} is declared ")
    assert finding.remedy is not None
    assert (finding.remedy.parameter, finding.remedy.value) == (f"federation.secure_aggregation.{key}", recorded)


def test_what_is_declared_as_it_was_run_passes(curious: Any) -> None:
    same = {"threshold": 5, "degree": 6, "clients": 7, "prg": "aes256-ctr", "protocol": "fedaudit-secagg"}
    assert curious.declaring(**same).asked(CHECKS["secagg.transcript"]).status is Status.PASS


def test_another_word_for_the_server_is_told(ward: Ward, tmp_path: Path) -> None:
    finding = ward(tmp_path, {"server_trust": "honest-but-curious"}, server_trust="malicious").asked(
        CHECKS["secagg.transcript"]
    )
    assert finding.status is Status.FAIL
    assert "server_trust is declared malicious" in finding.detail
    trusted = ward(tmp_path / "trusted", {"server_trust": "honest-but-curious"}, server_trust="trusted")
    assert trusted.asked(CHECKS["secagg.transcript"]).status is Status.PASS


def test_keys_that_nobody_vouches_for_are_inconclusive(ward: Ward, tmp_path: Path) -> None:
    finding = ward(tmp_path, {}, server_trust="malicious", vouched=False).asked(CHECKS["secagg.key-authenticity"])
    assert finding.status is Status.INCONCLUSIVE
    assert finding.reason == "missing:federation.secure_aggregation.identities"


def test_keys_vouched_for_beside_the_record_pass_and_say_so(ward: Ward, tmp_path: Path) -> None:
    given = ward(tmp_path / "given", {}, server_trust="malicious")
    keys = (given.folder / "identities.json").read_bytes()
    (given.folder / "round-0001" / "identities.json").write_bytes(keys)
    found = given.declaring(identities=None)
    finding = found.asked(CHECKS["secagg.key-authenticity"])
    assert finding.status is Status.PASS
    assert any("beside the transcript" in text for text in finding.limitations)


def test_a_round_without_a_model_digest_is_inconclusive(curious: Any) -> None:
    finding = curious.asked(CHECKS["secagg.model-consistency"])
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "missing:model_sha256")


def test_a_folder_without_a_transcript_is_inconclusive_and_named(ward: Ward, tmp_path: Path) -> None:
    def emptied(folder: Path) -> None:
        (folder / "round-0001" / "transcript.jsonl").write_text("{}\n")

    broken = ward(tmp_path, {}, spoil=emptied)
    for name in ASKED:
        if name not in MALICIOUS_ALONE:
            finding = broken.asked(CHECKS[name])
            assert finding.status is Status.INCONCLUSIVE
            assert finding.reason == "invalid:federation.secure_aggregation.transcripts"
            assert "round-0001" in finding.detail
            assert str(tmp_path) not in finding.detail


class Deaf(Recorded):
    """A verifier that finds nothing wrong with anything."""

    def verify(self, *sources: Source) -> Verification:
        return self.verification


@pytest.mark.parametrize("effort", Effort)
def test_a_verifier_that_finds_nothing_earns_no_pass(sound: Any, effort: Effort) -> None:
    context = sound.context(CHECKS["secagg.double-reveal"], effort)
    records = recorded(sound.system, context)
    codes = ("double-reveal", "unrequested-share")
    heard, deaf = (plant_faults(one, codes, context) for one in (records, Deaf(**vars(records))))
    assert heard.held
    assert (deaf.noticed, deaf.planted) == (0, heard.planted)
    assert heard.planted == (2 if effort is Effort.SMOKE else 4)
    judged = Judged(records.verification.transcripts, (), (), deaf)
    finding: Finding = told(Question("All well in {rounds}."), judged, context, evidence="0" * 64)
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "control-failed")


def test_they_are_found_by_the_common_door_and_need_what_they_say(sound: Any) -> None:
    assert set(ASKED) <= CHECKS.keys()
    for name in ASKED:
        assert missing(CHECKS[name], sound.system) == ()
    curious = without_trust(sound.system)
    needy = {name for name in ASKED if missing(CHECKS[name], curious)}
    assert needy == set(MALICIOUS_ALONE)
