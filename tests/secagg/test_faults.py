"""Every planted fault is reported with its code; the sound transcript that it was planted in shows nothing."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from secagg.faults import FAULTS, CannotBePlanted, with_fault
from secagg.mends import MENDS
from secagg.source import MemorySource
from secagg.verify import verify_sources
from secagg.violations import NOT_AUTHENTIC, VIOLATIONS

Recorded = Callable[[str], MemorySource]
NOT_IN_B = {"bad-signature": "signed", "split-view": "consistency", "missing-consistency": "consistency"}
"""What the unsigned transcript without a consistency check has no place for."""


def test_every_code_of_our_protocol_can_be_planted_and_mended() -> None:
    assert FAULTS.keys() == (NOT_AUTHENTIC | VIOLATIONS) - {"plaintext-metadata"}
    assert MENDS.keys() == NOT_AUTHENTIC | VIOLATIONS


@pytest.mark.parametrize("name", ["a", "b"])
@pytest.mark.parametrize("code", sorted(FAULTS))
def test_a_planted_fault_is_reported_with_its_code(vector_transcript: Recorded, name: str, code: str) -> None:
    source = vector_transcript(name)
    before = tuple(source.data)
    if name == "b" and code in NOT_IN_B:
        with pytest.raises(CannotBePlanted, match=f"cannot be planted here: .*{NOT_IN_B[code]}"):
            with_fault(source, code)
        return
    found = verify_sources([with_fault(source, code)])
    codes = {violation.code for violation in found.violations}
    assert code in codes
    assert found.status == "fail"
    assert ("chain-broken" in codes) == (code == "chain-broken")  # it is chained anew
    assert (found.authenticity == "broken") == bool(codes & NOT_AUTHENTIC)
    assert tuple(source.data) == before
    assert not verify_sources([source]).violations


def test_where_nothing_is_signed_most_faults_show_alone(vector_transcript: Recorded) -> None:
    """The negative control: one fault is not reported as another."""
    source = vector_transcript("b")
    for code in (
        "aggregate-mismatch", "bad-length", "blob-digest", "commitment-mismatch", "duplicate-key",
        "insufficient-shares", "key-mismatch", "model-mismatch", "phase-order", "share-digest", "unknown-identity",
        "unrequested-share",
    ):  # fmt: skip
        found = verify_sources([with_fault(source, code)])
        assert {violation.code for violation in found.violations} == {code}


def test_a_key_of_another_round_is_planted_where_that_round_is_given(vector_transcript: Recorded) -> None:
    first, second = vector_transcript("a"), vector_transcript("b")
    assert not verify_sources([first, second]).cross_round.violations
    found = verify_sources([first, with_fault(second, "key-reuse", reused_from=first)])
    [violation] = found.cross_round.violations
    assert (violation.code, violation.client) == ("key-reuse", "c00000")


def test_a_mask_key_of_a_client_that_dropped_out_is_compared_with_its_shares(vector_transcript: Recorded) -> None:
    found = verify_sources([with_fault(vector_transcript("a"), "key-mismatch")])
    [violation] = [one for one in found.violations if one.code == "key-mismatch"]
    assert (violation.client, violation.phase) == ("c00001", "unmask")


@pytest.mark.parametrize("code", ["blob-digest", "aggregate-mismatch"])
def test_without_vectors_only_what_digests_show_is_planted(vector_transcript: Recorded, code: str) -> None:
    source = replace(vector_transcript("b"), blobs={})
    if code == "blob-digest":
        with pytest.raises(CannotBePlanted, match="withheld"):
            with_fault(source, code)
    else:
        assert {violation.code for violation in verify_sources([with_fault(source, code)]).violations} == {code}


def test_what_is_no_transcript_of_ours_is_told(vector_transcript: Recorded) -> None:
    with pytest.raises(ValueError, match="no code of a violation"):
        with_fault(vector_transcript("b"), "nonsense")
    with pytest.raises(CannotBePlanted, match="other protocols"):
        with_fault(vector_transcript("b"), "plaintext-metadata")
    with pytest.raises(CannotBePlanted, match="is empty"):
        with_fault(MemorySource([]), "phase-order")
    with pytest.raises(CannotBePlanted, match="line 1 of memory"):
        with_fault(MemorySource([b"{"]), "phase-order")
    with pytest.raises(CannotBePlanted, match="is no fedaudit-secagg-v1 transcript"):
        with_fault(MemorySource([b'{"body":{"protocol":"flwr-secaggplus"}}']), "phase-order")


def test_in_a_transcript_that_ends_early_a_fault_is_reported_or_not_planted(vector_transcript: Recorded) -> None:
    source = vector_transcript("b")
    for kept in range(1, len(source.data), 3):
        for code in FAULTS:
            try:
                planted = with_fault(replace(source, data=source.data[:kept]), code)
            except CannotBePlanted:
                continue
            if code not in ("commitment-mismatch", "share-digest"):  # they show once the shares are there
                assert code in {violation.code for violation in verify_sources([planted]).violations}, (kept, code)


def test_faults_are_planted_in_a_flawed_transcript_as_well(vector_transcript: Recorded) -> None:
    """Controls plant in whatever was recorded: a share too many must not draw the planted key where nobody looks."""
    revealed = with_fault(vector_transcript("b"), "double-reveal")
    found = verify_sources([with_fault(revealed, "key-mismatch")])
    assert {"key-mismatch", "double-reveal"} <= {violation.code for violation in found.violations}
