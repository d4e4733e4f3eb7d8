"""Recorded rounds, verified: two from an independent implementation, forged ones, and several together."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secagg.draft import Draft
from secagg.keys import Identity
from secagg.messages import signed_bytes
from secagg.server import SecAggServer
from secagg.source import MemorySource, Source
from secagg.transcript import TranscriptWriter
from secagg.verify import Verification, verify_sources, verify_transcripts
from secagg.violations import NOT_AUTHENTIC
from secagg.wire import canonical, encode_bytes

VECTORS = Path(__file__).parents[1] / "vectors/secagg"
"""Made by an independent implementation of the format; see README.md there."""
Recorded = Callable[[str], MemorySource]


def codes(found: Verification) -> set[str]:
    return {violation.code for violation in found.violations}


def edited(source: Source, change: Callable[[Draft], None]) -> Verification:
    """What verification says after a change, chained anew."""
    draft = Draft.of(source)
    change(draft)
    return verify_sources([draft.edited()])


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_round_of_another_implementation_gives_its_expected_sum(name: str) -> None:
    expected = json.loads((VECTORS / f"transcript-{name}/expected.json").read_text())
    found = verify_transcripts([VECTORS / f"transcript-{name}"])
    [one] = found.transcripts
    assert (found.status, found.complete, found.violations) == ("pass", True, ())
    assert (one.session, list(one.survivors)) == (expected["session"], expected["survivors"])
    assert (one.aggregate, one.aggregate_sha256) == ("equal", expected["sum_sha256"])
    kind = {"a": "<u8", "b": "<u4"}[name]
    kept = np.frombuffer((VECTORS / f"transcript-{name}/blobs" / expected["sum_sha256"]).read_bytes(), kind)
    assert [str(word) for word in kept] == expected["sum"]
    assert found.authenticity == {"a": "signed", "b": "unsigned"}[name]


def test_the_announced_sum_is_that_of_plain_integers(drive: type[Any], tmp_path: Path) -> None:
    one = drive()
    with TranscriptWriter(tmp_path) as writer:
        one.server = SecAggServer(one.header, writer)
        one.unmask(lost=("c2",))
    [verified] = verify_transcripts([tmp_path]).transcripts
    blob = (tmp_path / "blobs" / str(verified.aggregate_sha256)).read_bytes()
    words = [int.from_bytes(blob[at : at + 4], "little") for at in range(0, len(blob), 4)]
    for place, word in enumerate(words):
        exact = [(float(one.updates[client][place]) + 8) * 2**16 for client in verified.survivors]
        assert sum(int(value // 1) for value in exact) <= word <= sum(-int(-value // 1) for value in exact)
    assert (verified.aggregate, len(verified.survivors)) == ("equal", len(one.clients) - 1)


def test_another_order_of_the_survivors_words_is_another_sum(vector_transcript: Recorded) -> None:
    """The control of the two tests above: the sum of other inputs is not the announced one."""
    source = vector_transcript("b")
    first = next(record for record in Draft.of(source).records if record["type"] == "masked_input")["body"]["blob"]
    swapped = source.blobs[first][4:] + source.blobs[first][:4]
    digest = hashlib.sha256(swapped).hexdigest()

    def change(draft: Draft) -> None:
        draft.having("masked_input")[0]["body"]["blob"] = digest
        draft.blobs[digest] = swapped

    assert codes(edited(source, change)) == {"aggregate-mismatch"}


def test_the_document_has_the_documented_keys() -> None:
    document = verify_transcripts([VECTORS / "transcript-a", VECTORS / "transcript-b"]).as_fields()
    assert json.loads(json.dumps(document)) == document
    assert document.keys() == {
        "status", "authenticity", "complete", "transcripts", "cross_round", "min_honest_survivors",
    }  # fmt: skip
    one = document["transcripts"][0]
    assert one.keys() >= {
        "path", "run", "round", "session", "clients", "degree", "threshold", "phases", "survivors", "aggregate",
        "aggregate_sha256", "violations", "parameters",
    }  # fmt: skip
    assert one["phases"] == {"advertised": 5, "shared": 5, "masked": 4, "unmasked": 4}
    assert one["parameters"].keys() >= {"sigma_bits", "eta_bits", "sufficient"}
    assert document["cross_round"].keys() == {"violations", "isolated_clients", "smallest_difference"}
    assert document["cross_round"]["smallest_difference"] == 4  # c00001 on one side, 5, 6 and 8 on the other
    assert document["min_honest_survivors"] == 3  # 4 survivors of a, one of them counted as corrupt


def test_a_secret_of_a_survivor_stands_in_no_text() -> None:
    found = verify_transcripts([VECTORS / "transcript-a", VECTORS / "transcript-b"])
    text = repr(found) + json.dumps(found.as_fields())
    for one in found.transcripts:
        assert one.fingerprints
        for fingerprint in one.fingerprints:
            assert fingerprint.hex() not in text
            assert repr(fingerprint) not in text
            assert encode_bytes(fingerprint) not in text


def re_sign(draft: Draft, identities: dict[str, Identity]) -> None:
    """Sign every client's record anew, over the session as it now is."""
    session = hashlib.sha256(next(draft.edited().lines())).digest()
    for record in draft.records:
        if record["sender"] != "server":
            tail = (record["type"], record["sender"], canonical(record["body"]), session)
            record["signature"] = encode_bytes(identities[record["sender"]].sign(signed_bytes(*tail)))


def test_an_outsider_who_edits_and_signs_anew_is_caught_by_the_vouched_identities(vector_transcript: Recorded) -> None:
    source = vector_transcript("a")
    forged = {client: Identity.generate() for client in Draft.of(source).included("roster")}
    draft = Draft.of(source)
    draft.having("masked_input")[0]["body"]["model_sha256"] = "0" * 64
    re_sign(draft, forged)
    assert "bad-signature" in codes(verify_sources([draft.edited()]))
    for client in draft.header["clients"]:
        client["identity_key"] = encode_bytes(forged[client["id"]].public_key)
    re_sign(draft, forged)
    found = codes(verify_sources([draft.edited()]))
    assert {"unknown-identity", "bad-signature"} <= found
    unvouched = MemorySource(tuple(draft.edited().lines()), source.blobs)
    assert not codes(verify_sources([unvouched])) & NOT_AUTHENTIC  # by themselves the signatures hold


def test_a_whole_round_that_an_outsider_invents_passes_only_where_nobody_vouches(
    drive: type[Any], tmp_path: Path
) -> None:
    genuine, invented = drive(), drive()
    with TranscriptWriter(tmp_path) as writer:
        invented.server = SecAggServer(invented.header, writer)
        invented.unmask()
    found = verify_transcripts([tmp_path])
    assert (found.status, found.authenticity) == ("pass", "unsigned")
    assert not found.transcripts[0].identities_vouched
    vouched = {client: identity.public_key for client, identity in genuine.identities.items()}
    found = verify_transcripts([tmp_path], vouched)
    assert (found.status, found.authenticity) == ("fail", "broken")
    assert codes(found) == {"unknown-identity", "bad-signature"}
    own = {client: identity.public_key for client, identity in invented.identities.items()}
    found = verify_transcripts([tmp_path], own)
    assert (found.status, found.authenticity, found.transcripts[0].identities) == ("pass", "signed", "given")


def test_one_unsigned_record_leaves_a_round_unsigned(drive: type[Any], vector_transcript: Recorded) -> None:
    def change(draft: Draft) -> None:
        draft.header["signatures"] = False  # nobody promises any
        re_sign(draft, identities)
        draft.having("unmask")[-1]["signature"] = None

    source = vector_transcript("a")
    identities = {client: Identity.generate() for client in Draft.of(source).included("roster")}
    vouched = {client: identity.public_key for client, identity in identities.items()}
    draft = Draft.of(replace(source, vouched=vouched))
    draft.header["server_trust"] = "honest-but-curious"
    for client in draft.header["clients"]:
        client["identity_key"] = encode_bytes(vouched[client["id"]])
    change(draft)
    [one] = verify_sources([draft.edited()]).transcripts
    assert not {violation.code for violation in one.violations} & NOT_AUTHENTIC
    assert one.authenticity == "unsigned"
    re_sign(draft, identities)
    assert verify_sources([draft.edited()]).authenticity == "signed"


def test_against_a_malicious_server_signatures_and_consistency_are_asked_for(vector_transcript: Recorded) -> None:
    assert codes(verify_sources([vector_transcript("b")], server_trust="malicious")) == {
        "bad-signature",
        "missing-consistency",
    }
    assert codes(verify_sources([vector_transcript("b")], server_trust="honest-but-curious")) == set()
    assert verify_sources([vector_transcript("b")], server_trust="malicious").transcripts[0].server_trust == "malicious"
    with pytest.raises(ValueError, match="server_trust"):
        verify_sources([vector_transcript("b")], server_trust="trusted")


def test_what_the_header_promises_binds_whatever_trust_is_asked_for(vector_transcript: Recorded) -> None:
    def change(draft: Draft) -> None:
        draft.having("unmask")[0]["signature"] = None

    draft = Draft.of(vector_transcript("a"))
    change(draft)
    assert codes(verify_sources([draft.edited()], server_trust="honest-but-curious")) == {"bad-signature"}


def test_keys_used_in_two_rounds_are_named_and_the_rounds_alone_are_sound(vector_transcript: Recorded) -> None:
    first = vector_transcript("b")

    def again(draft: Draft) -> None:
        draft.header["round"] = 2

    draft = Draft.of(first)
    again(draft)
    found = verify_sources([first, draft.edited()])
    kinds = {violation.detail.split(" of ")[0] for violation in found.cross_round.violations}
    assert {violation.code for violation in found.cross_round.violations} == {"key-reuse"}
    assert kinds == {"mask_key", "share_key", "commitment"}
    assert {violation.client for violation in found.cross_round.violations} == set(Draft.of(first).included("roster"))
    assert not verify_sources([first, vector_transcript("a")]).cross_round.violations


def test_a_session_recorded_twice_is_named_once(vector_transcript: Recorded) -> None:
    [violation] = verify_sources([vector_transcript("b"), vector_transcript("b")]).cross_round.violations
    assert (violation.code, "once more" in violation.detail) == ("key-reuse", True)
