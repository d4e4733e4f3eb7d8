"""Messages and records: each comes back as it was, another implementation's lines too, and nothing else is taken."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from secagg.keys import Identity, is_signed_by
from secagg.messages import (
    FIRST_PREVIOUS,
    Message,
    Refusal,
    RoundAborted,
    header_line,
    read,
    record_line,
    session_of,
    signed_bytes,
    unsigned,
    write,
)
from secagg.records import (
    BODIES,
    TYPES,
    Advertise,
    Aggregate,
    Body,
    Consistency,
    Header,
    HeaderQuantization,
    MaskedInput,
    Roster,
    ShareRoster,
    Shares,
    Survivors,
    Unmask,
)
from secagg.wire import MalformedRecord, decode_bytes, parse

FOLDER = Path(__file__).parents[1] / "vectors" / "secagg"
TRANSCRIPTS = ("transcript-a", "transcript-b")
HEX = "0123456789abcdef" * 4
ids = st.text("abcXYZ019_.:-", min_size=1, max_size=64)
digests = st.binary(min_size=32, max_size=32).map(bytes.hex)
small = st.integers(0, 2**53 - 1)


def owned(size: int) -> st.SearchStrategy[dict[str, bytes]]:
    return st.dictionaries(ids, st.binary(min_size=size, max_size=size), max_size=3)


headers = st.builds(
    Header,
    run=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    round=small,
    clients=st.dictionaries(ids, st.none() | st.binary(min_size=32, max_size=32), max_size=3).map(
        lambda clients: dict(sorted(clients.items()))
    ),
    degree=small,
    threshold=small,
    beacon=st.binary(min_size=32, max_size=32),
    beacon_source=st.sampled_from(["server", "simulation", "public:drand 1"]),
    server_trust=st.sampled_from(["honest-but-curious", "malicious"]),
    signatures=st.booleans(),
    consistency_check=st.booleans(),
    modulus_bits=st.sampled_from([32, 64]),
    length=st.integers(1, 2**53 - 1),
    quantization=st.builds(
        HeaderQuantization,
        st.floats(allow_nan=False, allow_infinity=False),
        st.integers(1, 2**53 - 1),
        st.sampled_from(["uniform", "integer"]),
        st.integers(1, 2**53 - 1),
    ),
    model_sha256=st.none() | digests,
    corrupt_fraction=st.floats(0, 1),
    dropout_fraction=st.floats(0, 1),
    software=st.just("fedaudit 0.1"),
)
lists = st.lists(ids, unique=True, max_size=4).map(sorted).map(tuple)
bodies: st.SearchStrategy[Body] = st.one_of(
    headers,
    st.builds(Advertise, st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32)),
    st.one_of(*(st.builds(kind, lists) for kind in (Roster, ShareRoster, Survivors))),
    st.builds(Shares, digests, owned(144), st.dictionaries(ids, st.tuples(digests, digests), max_size=3)),
    st.builds(MaskedInput, digests, small, small, st.none() | digests),
    st.builds(Consistency.of, lists),
    st.builds(Unmask, owned(64), owned(64)),
    st.builds(Aggregate, digests, small, small),
)


def lines(name: str) -> list[bytes]:
    return (FOLDER / name / "transcript.jsonl").read_bytes().splitlines()


def message_of(line: bytes) -> Message[Any]:
    """Build the message of a transcript line from nothing but its fields."""
    fields = json.loads(line)
    kind = dict(zip(TYPES, BODIES, strict=True))[fields["type"]]
    message = unsigned(kind.parse(fields["body"]), fields["sender"])
    if fields["signature"] is None:
        return message
    return Message(message.sender, message.body, message.raw, decode_bytes(fields["signature"]))


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_another_implementations_lines_are_written_byte_for_byte(name: str) -> None:
    previous = FIRST_PREVIOUS
    for sequence, line in enumerate(lines(name)):
        assert record_line(sequence, previous, message_of(line)) == line
        previous = sha256(line).hexdigest()


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_the_session_is_the_digest_of_the_header_line(name: str) -> None:
    line = lines(name)[0]
    header = Header.parse(json.loads(line)["body"])
    assert header_line(header) == line
    assert session_of(header).hex() == json.loads((FOLDER / name / "expected.json").read_bytes())["session"]


def test_another_implementations_signatures_hold() -> None:
    first, *others = [message_of(line) for line in lines("transcript-a")]
    session, keys = session_of(first.body), first.body.clients
    signed = [message for message in others if message.sender != "server"]
    assert len(signed) == 22
    for message in signed:
        assert message.signature is not None
        assert is_signed_by(keys[message.sender], message.signature, message.signed_bytes(session))
        assert not is_signed_by(keys[message.sender], message.signature, message.signed_bytes(bytes(32)))


@given(body=bodies, sender=ids, session=st.binary(min_size=32, max_size=32))
def test_every_record_comes_back_as_it_was(body: Body, sender: str, session: bytes) -> None:
    identity = Identity.from_private_bytes(bytes(32))
    for sign in (None, identity.sign):
        message = write(body, sender, session, sign)
        assert read(message.to_bytes(), type(body)) == message
        assert type(body).parse(parse(message.raw)) == body


@given(body=bodies, sender=ids, session=st.binary(min_size=32, max_size=32))
def test_what_travels_and_what_is_signed_is_canonical_json(body: Body, sender: str, session: bytes) -> None:
    message = write(body, sender, session)
    fields = {"body": parse(message.raw), "sender": sender, "type": body.TYPE}
    assert message.to_bytes() == rfc8785.dumps({**fields, "signature": None})
    expected = b"fedaudit-secagg-v1:" + rfc8785.dumps({**fields, "session": session.hex()})
    assert message.signed_bytes(session) == signed_bytes(body.TYPE, sender, message.raw, session) == expected


ADVERTISE = write(Advertise(bytes(32), bytes([1]) * 32), "c00001", bytes(32), Identity.generate().sign).to_bytes()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"type":"advertise"', b'"type":"shares"'),
        (b'"sender":"c00001"', b'"sender":"c 1"'),
        (b'"sender":"c00001"', b'"sender":null'),
        (b'"sender":"c00001"', b'"sender":"c00001","sender":"c00001"'),
        (b'"sender":"c00001"', b'"extra":1,"sender":"c00001"'),
        (b',"sender":"c00001"', b""),
        (b'"mask_key":"AAAA', b'"mask_key":"AAA'),
        (b'"mask_key":"AAAA', b'"mask_key":1,"x":"AAAA'),
        (b"AAA=", b"AAB="),
        (b'{"body":{', b'{"body": {'),
        (b'{"body":{', b'{"body":{ '),
        (b'},"sender"', b'} ,"sender"'),
        (b'"type":"advertise"}', b'"type":"advertise"} '),
        (b'"signature":"', b'"signature":"AAAA'),
        (b'"signature":"', b'"signature":1,"x":"'),
        (b'"mask_key"', b'"mask\\u005fkey"'),
        (b'"share_key"', b'"secret_key"'),
    ],
)
def test_a_message_of_another_form_is_refused(old: bytes, new: bytes) -> None:
    assert old in ADVERTISE
    with pytest.raises(MalformedRecord):
        read(ADVERTISE.replace(old, new, 1), Advertise)


def test_a_body_in_another_order_is_refused() -> None:
    fields = json.loads(ADVERTISE)
    body = dict(reversed(fields["body"].items()))
    swapped = json.dumps({**fields, "body": body}, separators=(",", ":")).encode()
    assert len(swapped) == len(ADVERTISE)
    with pytest.raises(MalformedRecord):
        read(swapped, Advertise)


@given(data=st.binary(max_size=60), kind=st.sampled_from(BODIES))
def test_arbitrary_bytes_are_refused(data: bytes, kind: type[Body]) -> None:
    with pytest.raises(MalformedRecord):
        read(data, kind)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (Roster, {"included": ["b", "a"]}),
        (Roster, {"included": ["a"], "extra": 1}),
        (Roster, ["a"]),
        (Shares, {"self_mask_commitment": HEX, "ciphertexts": {"a": "AAAA"}, "share_digests": {}}),
        (Shares, {"self_mask_commitment": HEX, "ciphertexts": {"a b": "A" * 192}, "share_digests": {}}),
        (Shares, {"self_mask_commitment": HEX, "ciphertexts": {}, "share_digests": {"a": [HEX]}}),
        (Shares, {"self_mask_commitment": HEX, "ciphertexts": {}, "share_digests": {"a": [HEX, 1]}}),
        (Shares, {"self_mask_commitment": HEX, "ciphertexts": {}, "share_digests": [[HEX, HEX]]}),
        (Shares, {"self_mask_commitment": HEX.upper(), "ciphertexts": {}, "share_digests": {}}),
        (MaskedInput, {"blob": "../x", "length": 1, "modulus_bits": 32, "model_sha256": None}),
        (MaskedInput, {"blob": HEX, "length": -1, "modulus_bits": 32, "model_sha256": None}),
        (MaskedInput, {"blob": HEX, "length": True, "modulus_bits": 32, "model_sha256": None}),
        (MaskedInput, {"blob": HEX, "length": 1, "modulus_bits": 32, "model_sha256": ""}),
        (Consistency, {"survivors_sha256": HEX[1:]}),
        (Unmask, {"mask_key_shares": {"a": "A" * 82 + "AA=="}, "self_mask_shares": {}}),
        (Unmask, {"mask_key_shares": {}, "self_mask_shares": None}),
        (Aggregate, {"blob": HEX, "length": 1, "survivors": "1"}),
    ],
)
def test_a_body_of_another_form_is_refused(kind: type[Body], fields: Any) -> None:
    with pytest.raises(MalformedRecord):
        kind.parse(fields)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("protocol", "fedaudit-secagg-v2"),
        ("corrupt_fraction", 0.1),
        ("corrupt_fraction", "0.10"),
        ("beacon", "00"),
        ("clients", {"a": None}),
        ("clients", [{"id": "a"}]),
        ("clients", [{"id": "a", "identity_key": "AAAA"}]),
        ("clients", [{"id": "b", "identity_key": None}, {"id": "a", "identity_key": None}]),
        ("length", 0),
        ("quantization", {"clipping_range": "8.0", "levels": 0, "weighting": "uniform", "max_weight": 1}),
        ("quantization", {"clipping_range": "8.0", "levels": 1, "weighting": "real", "max_weight": 1}),
        ("signatures", 1),
        ("model_sha256", "x"),
        ("unknown", 1),
    ],
)
def test_a_header_of_another_form_is_refused(field: str, value: Any) -> None:
    fields = json.loads(lines("transcript-a")[0])["body"]
    with pytest.raises(MalformedRecord):
        Header.parse({**fields, field: value})


def test_survivors_are_agreed_on_whatever_order_they_come_in() -> None:
    assert Consistency.of(["b", "a"]).survivors_sha256 == sha256(b'["a","b"]').hexdigest()


def test_the_end_of_a_round_says_why_and_who() -> None:
    assert str(Refusal("bad-length", "too short")) == "bad-length: too short"
    assert str(RoundAborted("bad-dealing", ["c1"], "no secret")) == "bad-dealing (c1): no secret"
    assert str(RoundAborted("bad-dealing", [f"c{i}" for i in range(7)])) == "bad-dealing (c0, c1, c2, c3, c4, ..)"
    assert str(RoundAborted("too-few-clients")) == "too-few-clients"
