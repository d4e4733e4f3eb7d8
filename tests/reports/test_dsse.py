"""The envelope: the protocol's own vector, securesystemslib as the other side, and properties of its base64."""

import base64
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st
from securesystemslib import dsse as theirs
from securesystemslib.exceptions import VerificationError as TheirVerificationError
from securesystemslib.signer import CryptoSigner, SSlibKey

from reports.dsse import PAYLOAD_TYPE, Envelope, Signature, pae, parse_envelope, sign
from reports.errors import BundleError, ReportError
from reports.keys import PrivateKey, load_public
from tests.reports.conformance.world import AUDITOR, PROVIDER, STRANGER, fixed_key, sound_world

VECTOR = json.loads((Path(__file__).parents[1] / "vectors/reports/known-answers.json").read_text())["dsse"]
BODIES = st.binary(max_size=200)


def test_the_encoding_is_that_of_the_protocol() -> None:
    assert pae(VECTOR["payload_type"], VECTOR["body"].encode()).decode() == VECTOR["pae"]
    assert pae("é", b"\x00 ") == b"DSSEv1 2 \xc3\xa9 2 \x00 "  # lengths count bytes


def test_the_signature_of_the_protocol_s_vector_is_over_our_encoding() -> None:
    raw = base64.b64decode(VECTOR["signature_r_then_s"])
    signature = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    numbers = ec.EllipticCurvePublicNumbers(int(VECTOR["public_x"]), int(VECTOR["public_y"]), ec.SECP256R1())
    message = pae(VECTOR["payload_type"], VECTOR["body"].encode())
    numbers.public_key().verify(signature, message, ec.ECDSA(SHA256()))


def their_key(key: PrivateKey) -> SSlibKey:
    scheme = {"ecdsa-p256": ("ecdsa", "ecdsa-sha2-nistp256"), "ed25519": ("ed25519", "ed25519")}[key.algorithm]
    public = key.public.to_pem().decode() if scheme[0] == "ecdsa" else key.public.spki[-32:].hex()
    return SSlibKey(key.keyid, *scheme, {"public": public})


@pytest.mark.parametrize("key", [AUDITOR, PROVIDER], ids=["ecdsa-p256", "ed25519"])
@given(body=BODIES)
def test_securesystemslib_verifies_what_we_signed(key: PrivateKey, body: bytes) -> None:
    ours = Envelope(PAYLOAD_TYPE, body, (sign(body, key),))
    envelope = theirs.Envelope.from_dict(json.loads(ours.to_bytes()))
    assert envelope.pae() == pae(PAYLOAD_TYPE, body)
    assert envelope.verify([their_key(key)], 1)
    with pytest.raises(TheirVerificationError):
        envelope.verify([their_key(STRANGER)], 1)


def test_securesystemslib_verifies_a_whole_bundle_by_both_signers(tmp_path: Path) -> None:
    world = sound_world(tmp_path / "world")
    envelope = theirs.Envelope.from_dict(world.members())
    known = [their_key(AUDITOR), their_key(PROVIDER)]
    assert {key.keyid for key in envelope.verify(known, 2).values()} == {AUDITOR.keyid, PROVIDER.keyid}
    for member in ("payload", "sig"):
        members = world.members()
        holder = members if member == "payload" else members["signatures"][0]
        data = bytearray(base64.b64decode(holder[member]))
        data[-3] ^= 1
        holder[member] = base64.b64encode(data).decode()
        with pytest.raises(TheirVerificationError):
            theirs.Envelope.from_dict(members).verify(known, 2)


@given(body=BODIES)
def test_we_verify_what_securesystemslib_signed(body: bytes) -> None:
    signer = CryptoSigner.generate_ecdsa()
    envelope = theirs.Envelope(body, PAYLOAD_TYPE, {})
    envelope.sign(signer)
    parsed = parse_envelope(json.dumps(envelope.to_dict()).encode())
    assert parsed.body == body
    assert not parsed.signed_by(AUDITOR.public)
    with pytest.raises(TheirVerificationError):
        envelope.verify([their_key(AUDITOR)], 1)
    assert parsed.signed_by(load_public(signer.public_key.keyval["public"].encode()))


@given(
    body=BODIES, keyids=st.lists(st.text(max_size=9), max_size=3), token=st.none() | st.binary(min_size=1, max_size=9)
)
def test_an_envelope_comes_back_from_its_bytes(body: bytes, keyids: list[str], token: bytes | None) -> None:
    keyids = [keyid.encode("utf-8", "replace").decode() for keyid in keyids]
    envelope = Envelope(PAYLOAD_TYPE, body, tuple(Signature(keyid, b"sig", token) for keyid in keyids))
    assert parse_envelope(envelope.to_bytes()) == envelope


@given(BODIES, st.integers(0, 400), st.sampled_from("AZaz09+/-_= \n!é"))
def test_base64_has_one_spelling_in_each_alphabet(body: bytes, place: int, letter: str) -> None:
    text = base64.b64encode(body).decode()
    changed = text[:place] + letter + text[place + 1 :]
    members = {"payload": changed, "payloadType": PAYLOAD_TYPE, "signatures": []}
    try:
        decoded = parse_envelope(json.dumps(members).encode()).body
    except BundleError:
        return
    assert changed in (base64.b64encode(decoded).decode(), base64.urlsafe_b64encode(decoded).decode())


@given(st.binary(max_size=99) | st.text('{}[]:,"payloadTypesig=e30 ', max_size=99).map(str.encode))
def test_any_bytes_are_an_envelope_or_refused(data: bytes) -> None:
    with pytest.raises(ReportError):
        parse_envelope(data)


def test_a_key_that_signs_again_replaces_its_own_signature_and_no_other() -> None:
    once = Envelope(PAYLOAD_TYPE, b"ward").with_signature(AUDITOR).with_signature(PROVIDER)
    again = once.with_signature(AUDITOR)
    assert len(again.signatures) == 2
    assert again.signed_by(AUDITOR.public)
    assert again.signed_by(PROVIDER.public)


def test_a_signature_is_known_by_its_key_not_by_its_hint() -> None:
    own = Signature("another keyid", sign(b"ward", AUDITOR).sig)
    foreign = Signature(AUDITOR.keyid, sign(b"ward", PROVIDER).sig)
    signed = Envelope(PAYLOAD_TYPE, b"ward", (own, foreign)).with_signature(AUDITOR)
    assert own not in signed.signatures
    assert foreign in signed.signatures


def test_the_seventeenth_signature_is_not_added() -> None:
    envelope = Envelope(PAYLOAD_TYPE, b"ward")
    for scalar in range(1, 17):
        envelope = envelope.with_signature(fixed_key(scalar))
    assert envelope.with_signature(fixed_key(3)).signatures  # one that signed before may sign again
    with pytest.raises(BundleError) as refusal:
        envelope.with_signature(fixed_key(17))
    assert refusal.value.code == "dsse.too_many_signatures"
