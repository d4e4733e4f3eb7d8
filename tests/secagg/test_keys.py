"""Keys against the RFCs they come from, another implementation of the format, and `cryptography`'s own HKDF."""

import base64
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from secagg.keys import (
    BadCiphertext,
    Identity,
    KeyPair,
    LowOrderKey,
    commitment,
    derive,
    hkdf,
    is_signed_by,
    mask_key,
    open_shares,
    seal_shares,
    self_mask_key,
    share_key,
)

FOLDER = Path(__file__).parents[1] / "vectors" / "secagg"
OURS = json.loads((FOLDER / "vectors.json").read_bytes())
THEIRS = json.loads((FOLDER / "primitives.json").read_bytes())
SESSION = bytes.fromhex(OURS["pair"]["session"])
SEALING = {name: bytes.fromhex(OURS["share_encryption"][name]) for name in ("key", "plaintext", "ciphertext")}
LOW_ORDER = (  # the points of order 1, 2, 4 and 8 on the curve and its twist: "cr.yp.to/ecdh.html", section "validate"
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
)


def test_key_agreement_is_x25519() -> None:
    case = {name: bytes.fromhex(text) for name, text in THEIRS["rfc7748"].items() if name != "source"}
    ours, peer = KeyPair.from_private_bytes(case["private_a"]), KeyPair.from_private_bytes(case["private_b"])
    assert (ours.public_key, peer.public_key) == (case["public_a"], case["public_b"])
    assert ours.exchange(peer.public_key) == peer.exchange(ours.public_key) == case["shared"]
    assert ours.private_bytes() == case["private_a"]


@pytest.mark.parametrize("point", LOW_ORDER)
def test_a_key_of_low_order_is_refused(point: str) -> None:
    with pytest.raises(LowOrderKey):
        KeyPair.generate().exchange(bytes.fromhex(point))


def test_a_public_key_has_32_bytes() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        KeyPair.generate().exchange(bytes(31))


@pytest.mark.parametrize("case", THEIRS["rfc5869"]["cases"])
def test_derivation_is_hkdf(case: dict[str, str]) -> None:
    secret, salt, info = (bytes.fromhex(case[name]) for name in ("secret", "salt", "info"))
    assert hkdf(secret, salt, info).hex() == case["key"]


@given(
    secret=st.binary(min_size=1, max_size=80), info=st.text(max_size=80), session=st.binary(min_size=32, max_size=32)
)
def test_derivation_agrees_with_cryptography(secret: bytes, info: str, session: bytes) -> None:
    tagged = b"fedaudit-secagg-v1|" + info.encode()
    assert derive(secret, info, session) == HKDF(SHA256(), 32, session, tagged).derive(secret)


@pytest.mark.parametrize("case", THEIRS["rfc8032"]["cases"])
def test_signatures_are_ed25519(case: dict[str, str]) -> None:
    private, public, message, signature = (
        bytes.fromhex(case[name]) for name in ("private", "public", "message", "signature")
    )
    identity = Identity.from_private_bytes(private)
    assert (identity.public_key, identity.sign(message)) == (public, signature)
    assert is_signed_by(public, signature, message)


def test_a_signature_is_over_one_message_by_one_key() -> None:
    case = OURS["signature"]
    identity = Identity.from_private_bytes(bytes.fromhex(case["private_key"]))
    message, signature = case["message"].encode(), base64.b64decode(case["signature"])
    assert identity.sign(message) == signature
    assert is_signed_by(identity.public_key, signature, message)
    assert not is_signed_by(identity.public_key, signature, message + b" ")
    assert not is_signed_by(Identity.generate().public_key, signature, message)
    assert not is_signed_by(identity.public_key, signature[:-1], message)
    assert not is_signed_by(b"short", signature, message)


def test_pairwise_keys_are_those_of_the_format() -> None:
    case = OURS["pair"]
    one, other = (KeyPair.from_private_bytes(bytes.fromhex(case[f"x25519_private_{side}"])) for side in "ab")
    secret = one.exchange(other.public_key)
    sender, recipient = case["sender"], case["recipient"]
    assert mask_key(secret, sender, recipient, SESSION).hex() == case["mask_key"]
    assert mask_key(secret, recipient, sender, SESSION).hex() == case["mask_key"]
    assert share_key(secret, sender, recipient, SESSION).hex() == case["share_key"]


def test_self_masks_are_those_of_the_format() -> None:
    case = OURS["self_mask"]
    seed, session = bytes.fromhex(case["seed"]), bytes.fromhex(case["session"])
    assert self_mask_key(seed, case["client"], session).hex() == case["key"]
    assert commitment(seed, case["client"], session) == case["commitment"]


def test_every_purpose_and_session_has_a_key_of_its_own() -> None:
    secret = bytes(32)
    keys = {
        key
        for session in (SESSION, bytes(32))
        for key in (
            mask_key(secret, "a", "b", session),
            mask_key(secret, "a", "c", session),
            share_key(secret, "a", "b", session),
            share_key(secret, "b", "a", session),
            self_mask_key(secret, "a", session),
            self_mask_key(secret, "b", session),
        )
    }
    assert len(keys) == 12


def test_sealing_is_that_of_the_format() -> None:
    key, plain, sealed = SEALING["key"], SEALING["plaintext"], SEALING["ciphertext"]
    assert seal_shares(key, plain[:64], plain[64:], "c00001", "c00002", SESSION) == sealed
    assert open_shares(key, sealed, "c00001", "c00002", SESSION) == (plain[:64], plain[64:])


@pytest.mark.parametrize(
    ("sender", "recipient", "session"),
    [
        ("c00003", "c00002", SESSION),  # ciphertext-swap
        ("c00002", "c00001", SESSION),
        ("c00001", "c00002", bytes(32)),  # ciphertext-replay
    ],
)
def test_shares_open_for_nobody_else(sender: str, recipient: str, session: bytes) -> None:
    with pytest.raises(BadCiphertext, match="does not open"):
        open_shares(SEALING["key"], SEALING["ciphertext"], sender, recipient, session)


@given(place=st.integers(0, 144 * 8 - 1))
def test_one_flipped_bit_keeps_shares_shut(place: int) -> None:
    flipped = bytearray(SEALING["ciphertext"])
    flipped[place // 8] ^= 1 << place % 8
    with pytest.raises(BadCiphertext):
        open_shares(SEALING["key"], bytes(flipped), "c00001", "c00002", SESSION)


@pytest.mark.parametrize("size", [0, 15, 143])
def test_cut_off_shares_stay_shut(size: int) -> None:
    with pytest.raises(BadCiphertext):
        open_shares(SEALING["key"], SEALING["ciphertext"][:size], "c00001", "c00002", SESSION)


def test_shares_of_another_length_are_refused() -> None:
    sealed = seal_shares(SEALING["key"], b"short", b"", "c00001", "c00002", SESSION)
    with pytest.raises(BadCiphertext, match="5 bytes where 128 belong"):
        open_shares(SEALING["key"], sealed, "c00001", "c00002", SESSION)


@pytest.mark.parametrize("kind", [Identity, KeyPair])
def test_a_private_key_is_never_shown(kind: type[Identity] | type[KeyPair]) -> None:
    private = bytes(range(32))
    shown = repr(kind.from_private_bytes(private)) + str(kind.from_private_bytes(private))
    assert private.hex() not in shown
    assert repr(private) not in shown


@pytest.mark.parametrize("kind", [Identity, KeyPair])
def test_keys_come_from_the_entropy_that_was_handed_in(kind: type[Identity] | type[KeyPair]) -> None:
    asked: list[int] = []

    def entropy(size: int) -> bytes:
        asked.append(size)
        return bytes(range(size))

    assert kind.generate(entropy).public_key == kind.from_private_bytes(bytes(range(32))).public_key
    assert asked == [32]
    assert kind.generate().public_key != kind.generate().public_key
