"""Sums that wrap fail, to the level; sums that fit pass."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.model import Artifact, Finding, Status, System
from secagg.checks.overflow import Load, overflow
from secagg.faults import with_fault
from secagg.transcript import read_transcript

Ask = Callable[..., list[Finding]]
SecureSystem = Callable[..., System]
RecordRounds = Callable[..., tuple[Artifact, ...]]
RING = {"clients": 1000, "quantization_levels": 2**22, "modulus_bits": 32, "max_weight": 1}


@given(st.integers(1, 50), st.integers(1, 40), st.integers(1, 9), st.integers(1, 12))
def test_a_ring_wraps_where_the_sum_of_largest_values_does(clients: int, levels: int, weight: int, bits: int) -> None:
    largest = np.full(clients, levels * weight, object).sum()
    load = Load(clients, levels, weight, bits)
    assert load.wraps == (largest % 2**bits != largest)
    assert (load.headroom >= 0) == (not load.wraps)
    control = load.one_level_more()
    assert control.wraps
    assert control.levels == 1 or not Load(clients, control.levels - 1, weight, bits).wraps


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, Status.PASS),
        ({"clients": 1023}, Status.PASS),  # 1023 * 2^22 < 2^32
        ({"clients": 1024}, Status.FAIL),  # equal: the sum is 0
        ({"clients": 2100}, Status.FAIL),
        ({"max_weight": 2}, Status.FAIL),
        ({"modulus_bits": 64, "max_weight": 4096}, Status.PASS),
        ({"clients": 1, "quantization_levels": 2**32 - 1}, Status.PASS),
        ({"clients": 1, "quantization_levels": 2**53 - 1, "modulus_bits": 64, "max_weight": 2048}, Status.PASS),
        ({"clients": 2, "quantization_levels": 2**53 - 1, "modulus_bits": 64, "max_weight": 2048}, Status.FAIL),
    ],
    ids=str,
)
def test_a_declared_ring_holds_or_does_not(
    change: dict[str, int], status: Status, ask: Ask, secure_system: SecureSystem, shelf: Any
) -> None:
    [finding] = ask(overflow, secure_system(**RING | change), shelf)
    assert (finding.status, finding.reason) == (status, "")
    [headroom] = finding.measurements
    assert headroom.control is not None
    assert (headroom.control < headroom.value) == (status is Status.PASS) or headroom.value == pytest.approx(0)
    document = json.loads(shelf.kept[finding.evidence[0]])
    assert document["declared"]["wraps"] == (status is Status.FAIL)
    if status is Status.FAIL:
        assert finding.remedy is not None
        assert finding.remedy.value is not None
        key = finding.remedy.parameter.rsplit(".", 1)[-1]
        [mended] = ask(overflow, secure_system(**RING | change | {key: int(finding.remedy.value)}))
        assert mended.status is Status.PASS
        [beyond] = ask(overflow, secure_system(**RING | change | {key: int(finding.remedy.value) + 1}))
        assert beyond.status is Status.FAIL


def test_a_ring_too_small_for_one_level_wants_more_bits(ask: Ask, secure_system: SecureSystem) -> None:
    [finding] = ask(overflow, secure_system(**RING | {"modulus_bits": 8}))
    assert finding.remedy is not None
    assert (finding.remedy.parameter.rsplit(".")[-1], finding.remedy.value) == ("modulus_bits", "64")


def test_a_weight_that_is_not_declared_is_one_and_that_is_said(ask: Ask, secure_system: SecureSystem) -> None:
    [finding] = ask(overflow, secure_system(**RING | {"max_weight": None}))
    assert finding.status is Status.PASS
    assert "no max_weight is declared" in finding.summary
    assert any("taken as 1" in text for text in finding.limitations)
    [declared] = ask(overflow, secure_system(**RING))
    assert "max_weight" not in declared.summary


@pytest.mark.parametrize("key", ["clients", "quantization_levels", "modulus_bits"])
def test_a_missing_key_is_named(key: str, ask: Ask, secure_system: SecureSystem) -> None:
    [finding] = ask(overflow, secure_system(**RING | {key: None}))
    assert (finding.status, finding.reason) == (Status.SKIPPED, f"missing:federation.secure_aggregation.{key}")


def test_a_ring_that_nobody_has_is_inconclusive(ask: Ask, secure_system: SecureSystem) -> None:
    [finding] = ask(overflow, secure_system(**RING | {"modulus_bits": 2**53 - 1}))
    assert (finding.status, finding.reason) == (
        Status.INCONCLUSIVE,
        "invalid:federation.secure_aggregation.modulus_bits",
    )


def test_recorded_rings_are_judged_by_their_headers(
    ask: Ask, secure_system: SecureSystem, record_rounds: RecordRounds, tmp_path: Path
) -> None:
    artifacts = record_rounds(tmp_path, {}, {"modulus_bits": 64})
    declared, recorded = ask(overflow, secure_system(**RING, transcripts=artifacts), None, tmp_path)
    assert (declared.key, recorded.key) == ("", "recorded")
    assert (declared.status, recorded.status) == (Status.PASS, Status.PASS)
    [headroom] = [one for one in recorded.measurements if one.name == "headroom_bits"]
    assert headroom.value == pytest.approx(32 - np.log2(14 * 2**22))
    assert headroom.control is not None
    assert headroom.control < 0
    assert [one for one in recorded.measurements if one.name == "planted_faults_noticed"]


def test_a_recorded_ring_that_wraps_fails_alone(
    ask: Ask, secure_system: SecureSystem, record_rounds: RecordRounds, tmp_path: Path
) -> None:
    artifacts = record_rounds(tmp_path, {})
    folder = tmp_path / artifacts[0].path
    planted = with_fault(read_transcript(folder), "overflow")
    (folder / "transcript.jsonl").write_bytes(b"".join(line + b"\n" for line in planted.lines()))
    [finding] = ask(overflow, secure_system(transcripts=artifacts), None, tmp_path)
    assert (finding.status, finding.key) == (Status.FAIL, "recorded")
    assert finding.remedy is not None
