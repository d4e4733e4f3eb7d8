"""Captures of Flower's SecAgg+: what they show fails, what Flower leaves no trace of is never a pass."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import secagg.checks
from reports.check import checks_in, missing
from reports.digests import artifact_sha256
from reports.model import Artifact, Basis, Federation, SecureAggregation, Severity, Status, System
from secagg.checks.active import FLOWER
from secagg.checks.transcript_metadata import metadata
from secagg.checks.transcript_rounds import section_of
from secagg.draft import Draft
from secagg.flower.capture_faults import with_capture_fault
from secagg.masked_vectors import masked_vectors
from secagg.transcript import read_transcript

Ward = Callable[..., Any]
RECORDED = Path(__file__).parents[2] / "vectors" / "secagg" / "flower-capture"
CHECKS = {check.id: check for check in checks_in(secagg.checks)}
KIND = "federation.secure_aggregation.transcripts"
SOURCE = Artifact(path="system.toml", sha256="0" * 64, size=1, kind="source")


@pytest.fixture
def captured(ward: Ward, tmp_path: Path) -> Callable[..., Any]:
    """Declare the two captured rounds, with a fault of a code planted in the second."""

    def declare(code: str | None = None, trust: str = "honest-but-curious", **declared: Any) -> Any:
        artifacts = []
        for place, name in enumerate(("round-0001", "round-0002")):
            source = read_transcript(RECORDED / "whole" / name)
            edited = with_capture_fault(source, code) if code and place else source
            folder = tmp_path / name
            (folder / "blobs").mkdir(parents=True, exist_ok=True)
            (folder / "transcript.jsonl").write_bytes(b"".join(line + b"\n" for line in edited.lines()))
            for blob in (RECORDED / "whole" / name / "blobs").iterdir():
                data = edited.blob(blob.name)
                assert data is not None
                (folder / "blobs" / blob.name).write_bytes(data.tobytes())
            artifacts.append(Artifact(path=name, sha256=artifact_sha256(folder), size=1, kind=KIND))
        section = SecureAggregation(transcripts=tuple(artifacts), **declared)
        federation = Federation(server_trust=trust, secure_aggregation=section)  # type: ignore[arg-type]
        system = System(name="ward", version="1", source=SOURCE, federation=federation)
        return replace(ward(tmp_path / "none"), folder=tmp_path, system=system)

    return declare


def asked(ward: Any, name: str) -> Any:
    return ward.asked(CHECKS[name])


def test_what_travels_in_the_clear_fails_and_names_the_client(captured: Any) -> None:
    finding = asked(captured(), "secagg.metadata")
    assert (finding.status, finding.severity, finding.basis) == (Status.FAIL, Severity.MEDIUM, Basis.RECORDED)
    assert finding.detail.startswith("round-0001: flwr.collect_masked_vectors: ")
    assert "num_examples, train_loss of " in finding.detail


@pytest.mark.parametrize("name", ["secagg.double-reveal", "secagg.key-reuse", "secagg.model-consistency"])
def test_what_can_be_seen_in_a_capture_passes_with_a_control(captured: Any, name: str) -> None:
    finding = asked(captured(), name)
    assert finding.status is Status.PASS
    assert "Control: " in finding.detail


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("double-reveal", "secagg.double-reveal"),
        ("unrequested-share", "secagg.double-reveal"),
        ("duplicate-key", "secagg.key-reuse"),
        ("model-mismatch", "secagg.model-consistency"),
        ("graph-mismatch", "secagg.graph"),
        ("key-mismatch", "secagg.transcript"),
        ("phase-order", "secagg.transcript"),
        ("chain-broken", "secagg.transcript"),
        ("split-view", "secagg.transcript"),  # against a curious server
    ],
)
def test_a_fault_in_a_capture_fails_the_check_that_answers_for_it(captured: Any, code: str, name: str) -> None:
    finding = asked(captured(code), name)
    assert finding.status is Status.FAIL
    assert "round-0002" in finding.detail


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("secagg.transcript", "no-aggregate"),
        ("secagg.graph", "no-beacon"),
        ("secagg.mask-uniformity", "too-short"),  # 17 elements
    ],
)
def test_what_flower_leaves_no_trace_of_is_inconclusive(captured: Any, name: str, reason: str) -> None:
    finding = asked(captured(), name)
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, reason)
    assert finding.remedy is not None


def test_floats_are_no_ring_elements(captured: Any, tmp_path: Path) -> None:
    found = captured()
    draft = Draft.of(read_transcript(tmp_path / "round-0002"))
    bodies = [one["body"] for one in draft.having("flwr.collect_masked_vectors")]
    [first, *_] = [body for body in bodies if body["direction"] == "from"]
    first["masked_params"][-1]["dtype"] = "<f4"
    lines = b"".join(line + b"\n" for line in draft.edited().lines())
    (tmp_path / "round-0002" / "transcript.jsonl").write_bytes(lines)
    floats = [one for one in masked_vectors(read_transcript(tmp_path / "round-0002")) if one.foreign]
    assert [(one.client, one.modulus_bits, one.foreign) for one in floats] == [(first["node"], 32, "<f4")]
    again = tuple(one.model_copy(update={"sha256": "1" * 64}) for one in section_of(found.system).transcripts)
    finding = asked(found.declaring(transcripts=again[1:]), "secagg.mask-uniformity")
    assert finding.status is Status.FAIL
    assert "sent <f4, which no ring can hide" in finding.summary


@pytest.mark.parametrize("name", ["secagg.consistency", "secagg.key-authenticity", "secagg.graph"])
def test_a_protocol_without_defences_fails_against_a_malicious_server(captured: Any, name: str) -> None:
    finding = asked(captured(trust="malicious"), name)
    assert (finding.status, finding.severity.at_least(Severity.HIGH)) == (Status.FAIL, True)
    assert "the protocol" in finding.detail or "the server chooses" in finding.detail


def test_captures_are_held_to_what_is_declared(captured: Any) -> None:
    declared = {"protocol": "flower-secagg", "clients": 5, "degree": 2, "threshold": 2, "prg": "mt19937"}
    assert asked(captured(**declared), "secagg.transcript").status is Status.INCONCLUSIVE  # no sum, and no difference
    for other in ({"prg": "aes256-ctr"}, {"protocol": "fedaudit-secagg"}, {"threshold": 3}):
        finding = asked(captured(**{**declared, **other}), "secagg.transcript")
        assert finding.status is Status.FAIL
        assert "is declared" in finding.summary


def system(**federation: Any) -> System:
    return System(name="ward", version="1", source=SOURCE, federation=Federation(**federation))


def found(ward: Ward, folder: Path, asked: System) -> list[Any]:
    at_hand = replace(ward(folder), system=asked)
    return list(metadata.ask(asked, at_hand.context(metadata)))


def test_without_transcripts_and_without_flower_nothing_is_asked(ward: Ward, tmp_path: Path) -> None:
    other = system(framework="own", secure_aggregation=SecureAggregation(protocol="fedaudit-secagg"))
    [finding] = found(ward, tmp_path, other)
    assert (finding.status, finding.reason) == (Status.SKIPPED, f"missing:{KIND}")
    assert missing(metadata, other, ("extra:flower",)) == (f"{KIND}|{FLOWER}",)
    flower = system(framework="flower", secure_aggregation=SecureAggregation())
    assert missing(metadata, flower) == (f"{KIND}|extra:flower",)
    assert missing(metadata, flower, ("extra:flower",)) == ()


@pytest.mark.parametrize(
    "name", ["client-conformance", "mask-entropy", "metadata", "secret-erasure", "share-integrity"]
)
def test_a_flower_app_is_not_accused_of_secure_aggregation_that_it_does_not_declare(name: str) -> None:
    check = CHECKS[f"secagg.{name}"]
    plain = system(framework="flower")
    assert "federation.secure_aggregation" in missing(check, plain, ("extra:flower",))
    declared = system(framework="flower", secure_aggregation=SecureAggregation())
    assert missing(check, declared, ("extra:flower",)) == ()
