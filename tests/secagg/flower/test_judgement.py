"""The judgement of a capture: what Flower gives away by design, nothing else of a sound run, all planted faults."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secagg.draft import Draft
from secagg.flower.capture_faults import CAPTURE_FAULTS, with_capture_fault
from secagg.flower.harness import node_id
from secagg.flower.judgement import judge_capture
from secagg.params import assess_parameters
from secagg.source import MemorySource
from secagg.transcript import read_transcript
from secagg.verify import verify_sources, verify_transcripts
from secagg.violations import NOT_AUTHENTIC, VIOLATIONS

VECTORS = Path(__file__).parents[2] / "vectors/secagg/flower-capture"
WHOLE, SECOND, DROPOUT = (VECTORS / name for name in ("whole/round-0001", "whole/round-0002", "dropout/round-0001"))
NODES = tuple(sorted(str(node_id(i)) for i in range(5)))


def codes(source: Any) -> set[str]:
    return {violation.code for violation in judge_capture(source).violations}


def in_memory(folder: Path) -> MemorySource:
    source = read_transcript(folder)
    blobs = {file.name: file.read_bytes() for file in (folder / "blobs").iterdir()}
    return MemorySource(list(source.lines()), blobs)


@pytest.mark.parametrize("folder", [WHOLE, SECOND, DROPOUT])
def test_a_sound_run_of_flower_shows_its_metadata_and_nothing_else(folder: Path) -> None:
    judged = judge_capture(read_transcript(folder))
    survivors = tuple(node for node in NODES if folder != DROPOUT or node != str(node_id(2)))
    assert {violation.code for violation in judged.violations} == {"plaintext-metadata"}
    assert {violation.client for violation in judged.violations} == set(survivors)
    assert all("num_examples, train_loss" in violation.detail for violation in judged.violations)
    assert judged.survivors == survivors
    assert judged.complete
    assert judged.authenticity == "unsigned"
    assert judged.aggregate == "withheld"


def test_the_parameters_are_flowers_with_the_owner_left_out() -> None:
    for folder, degree, threshold in ((WHOLE, 2, 2), (DROPOUT, 4, 3)):  # num_shares 3 and 5
        judged = judge_capture(read_transcript(folder))
        assert (judged.clients, judged.degree, judged.threshold) == (5, degree, threshold)
        assert judged.parameters == assess_parameters(5, degree, threshold, 0.05, 0.05)
        malicious = judge_capture(read_transcript(folder), "malicious")
        assert malicious.parameters == assess_parameters(5, degree, threshold, 0.05, 0.05, "malicious")


def test_without_the_metadata_nothing_is_wrong() -> None:
    memory = in_memory(WHOLE)
    lines = [json.loads(line) for line in memory.data]
    for line in lines:
        line["body"].pop("clear", None)
    assert judge_capture(Draft(memory, lines).edited()).violations == ()
    verification = verify_sources([Draft(memory, lines).edited()])
    assert (verification.status, verification.authenticity) == ("pass", "unsigned")


@pytest.mark.parametrize("folder", [WHOLE, DROPOUT])
@pytest.mark.parametrize("code", sorted(CAPTURE_FAULTS - {"plaintext-metadata"}))
def test_every_planted_fault_is_named(folder: Path, code: str) -> None:
    source = read_transcript(folder)
    assert code not in codes(source)
    assert code in codes(with_capture_fault(source, code))
    assert code in NOT_AUTHENTIC | VIOLATIONS


def test_a_key_used_in_two_rounds_is_named() -> None:
    first, second = read_transcript(WHOLE), read_transcript(SECOND)
    assert verify_sources([first, second]).cross_round.violations == ()
    planted = with_capture_fault(second, "key-reuse", reused_from=first)
    assert [one.code for one in verify_sources([first, planted]).cross_round.violations] == ["key-reuse"]


def test_what_a_capture_cannot_show_cannot_be_planted() -> None:
    for code in ("share-digest", "bad-signature", "aggregate-mismatch", "key-reuse"):
        with pytest.raises(ValueError, match="cannot"):
            with_capture_fault(read_transcript(WHOLE), code)


def test_verification_hands_captures_here() -> None:
    verification = verify_transcripts([WHOLE, SECOND, DROPOUT])
    assert [one.protocol for one in verification.transcripts] == ["flwr-secaggplus"] * 3
    assert verification.status == "fail"
    assert verification.min_honest_survivors == 3  # four survivors, one of them counted as corrupt
    json.dumps(verification.as_fields())


@pytest.mark.parametrize("kept", [0, 1, 6, 11, 21, 31, 36])
def test_a_capture_that_ends_early_is_incomplete_and_no_worse(kept: int) -> None:
    memory = in_memory(WHOLE)
    judged = judge_capture(MemorySource(memory.data[:kept], memory.blobs))
    assert {violation.code for violation in judged.violations} <= {"plaintext-metadata"}
    assert not judged.complete
    assert judged.aggregate == "absent"


def test_withheld_vectors_make_it_incomplete() -> None:
    memory = in_memory(WHOLE)
    judged = judge_capture(MemorySource(memory.data))
    assert not judged.complete
    assert sorted(judged.withheld) == sorted(memory.blobs)
    assert {violation.code for violation in judged.violations} == {"plaintext-metadata"}


def test_a_flipped_bit_is_noticed_in_every_line_that_another_follows_and_in_every_vector() -> None:
    memory, rng = in_memory(WHOLE), np.random.default_rng(3)
    authentic = codes(memory)
    for number, line in enumerate(memory.data[:-1]):
        place, bit = rng.integers(len(line)), rng.integers(8)
        flipped = bytearray(line)
        flipped[place] ^= 1 << bit
        found = codes(MemorySource([*memory.data[:number], bytes(flipped), *memory.data[number + 1 :]], memory.blobs))
        assert (found - authentic) & NOT_AUTHENTIC, (number, place, bit)
    for name, data in memory.blobs.items():
        flipped = bytearray(data)
        flipped[rng.integers(len(data))] ^= 1 << rng.integers(8)
        assert "blob-digest" in codes(MemorySource(memory.data, memory.blobs | {name: bytes(flipped)}))


def test_no_change_of_a_value_makes_the_judgement_fail() -> None:
    odd: list[Any] = [None, True, -1, 0, 2**53 - 1, "", "x", "1e308", [], {}, [[]], ["1"], {"a": 1}]
    memory, rng = in_memory(DROPOUT), np.random.default_rng(4)
    for _ in range(300):
        lines = [json.loads(line) for line in memory.data]
        line = lines[rng.integers(1, len(lines))]
        holder = line if rng.random() < 0.1 else line["body"]
        key = sorted(holder)[rng.integers(len(holder))]
        if rng.random() < 0.2:
            del holder[key]
        elif rng.random() < 0.1:
            holder["odd"] = odd[rng.integers(len(odd))]
        else:
            holder[key] = odd[rng.integers(len(odd))]
        judged = judge_capture(Draft(memory, lines).edited())
        assert {violation.code for violation in judged.violations} <= NOT_AUTHENTIC | VIOLATIONS


def test_the_modules_are_imported_without_flower() -> None:
    names = "capture, capture_faults, conformance, harness, hostile, judgement, lies, privacy, robustness, seeds"
    code = f"from secagg.flower import {names}; import sys; assert 'flwr' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
