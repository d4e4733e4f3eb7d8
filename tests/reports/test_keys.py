"""Keys: the RFCs' vectors, openssl as the other side, and every key that must not be loaded."""

import base64
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from reports.errors import KeyFileError
from reports.keyfile import private_pem
from reports.keys import Algorithm, generate, load_private, load_public
from tests.reports.conformance.world import RFC_6979_KEY, fixed_key

VECTORS = json.loads((Path(__file__).parents[1] / "vectors/reports/known-answers.json").read_text())
P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl on this machine")


def never_asked() -> bytes:
    raise AssertionError("nobody may be asked for the passphrase of a key that has none")


@pytest.mark.parametrize("case", VECTORS["rfc6979"]["cases"], ids=lambda case: case["message"])
def test_p256_signs_as_rfc_6979_a_2_5_says(case: dict[str, str]) -> None:
    signature = fixed_key(RFC_6979_KEY).sign(case["message"].encode())
    assert signature == encode_dss_signature(int(case["r"], 16), int(case["s"], 16))


@pytest.mark.parametrize("case", VECTORS["rfc8032"]["cases"], ids=lambda case: case["message"] or "empty")
def test_ed25519_signs_as_rfc_8032_7_1_says(case: dict[str, str]) -> None:
    key = fixed_key(case["secret"])
    message, signature = bytes.fromhex(case["message"]), bytes.fromhex(case["signature"])
    assert key.public.spki.endswith(bytes.fromhex(case["public"]))
    assert key.sign(message) == signature
    assert key.public.verify(signature, message)
    assert not key.public.verify(signature, message + b"!")


@pytest.mark.parametrize("algorithm", ["ecdsa-p256", "ed25519"])
def test_a_new_key_verifies_its_own_signatures_and_no_others(algorithm: Algorithm) -> None:
    key, other = generate(algorithm), generate(algorithm)
    signature = key.sign(b"ward")
    assert key.algorithm == algorithm
    assert key.keyid != other.keyid
    assert key.public.verify(signature, b"ward")
    assert not other.public.verify(signature, b"ward")
    assert load_public(key.public.to_pem()) == key.public
    assert load_private(private_pem(key, None), never_asked).public == key.public
    assert key.to_der().hex() not in repr(key)


@given(st.binary(max_size=100))
def test_no_bytes_make_verifying_raise(signature: bytes) -> None:
    assert not fixed_key(RFC_6979_KEY).public.verify(signature, b"ward")
    assert not fixed_key("01" * 32).public.verify(signature, b"ward")


def test_a_key_is_known_by_its_material_not_its_spelling() -> None:
    key = fixed_key(RFC_6979_KEY).public
    raw = ec.EllipticCurvePublicKey.from_encoded_point(
        ec.SECP256R1(), bytes.fromhex("02" + VECTORS["rfc6979"]["public_x"])
    ).public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    assert raw[1:].hex() == VECTORS["rfc6979"]["public_x"]
    header = bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200")
    point = b"\x03" + raw[1:]  # the y of RFC 6979 is odd
    pem = pem_of(header + point)
    assert load_public(pem).keyid == key.keyid


def pem_of(der: bytes) -> bytes:
    return b"-----BEGIN PUBLIC KEY-----\n" + base64.encodebytes(der) + b"-----END PUBLIC KEY-----\n"


# --- what must not be loaded ----------------------------------------------------------------------------------------

FOREIGN: dict[str, Callable[[], Any]] = {
    "rsa": lambda: rsa.generate_private_key(65537, 1024),
    "dsa": lambda: dsa.generate_private_key(1024),
    "secp256k1": lambda: ec.generate_private_key(ec.SECP256K1()),
    "p-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ed448": ed448.Ed448PrivateKey.generate,
}


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.filterwarnings("ignore")
def test_another_algorithm_is_refused_on_both_sides(name: str) -> None:
    key = FOREIGN[name]()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(KeyFileError) as refusal:
        load_public(public)
    assert refusal.value.code == "key.algorithm"
    with pytest.raises(KeyFileError) as refusal:
        load_private(private, never_asked)
    assert refusal.value.code == "key.algorithm"


def twice(point: tuple[int, int]) -> tuple[int, int]:
    """Double a point of the curve -x² + y² = 1 + d x² y² (RFC 8032 section 5.1)."""
    x, y = point
    product = D * x * x * y * y
    return 2 * x * y * pow(1 + product, -1, P) % P, (y * y + x * x) * pow(1 - product, -1, P) % P


def points_of_small_order() -> list[tuple[int, int]]:
    """The eight points that three doublings take to the identity, found from the curve's equation."""
    root_of_minus_one = pow(2, (P - 1) // 4, P)
    found = [(0, 1), (0, P - 1), (root_of_minus_one, 0), (P - root_of_minus_one, 0)]
    for y in (int.from_bytes(bytes.fromhex(e), "little") % 2**255 for e in VECTORS["ed25519_small_order"]["encodings"]):
        square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
        x = pow(square, (P + 3) // 8, P)
        x = x if x * x % P == square else x * root_of_minus_one % P
        found += [(x, y % P), (-x % P, y % P)]
    return sorted(set(found))


def encoded(point: tuple[int, int]) -> bytes:
    x, y = point
    return (y | (x & 1) << 255).to_bytes(32, "little")


def test_there_are_eight_points_of_small_order_and_all_are_refused() -> None:
    points = points_of_small_order()
    assert len(points) == 8
    for point in points:
        assert twice(twice(twice(point))) == (0, 1)
        with pytest.raises(KeyFileError) as refusal:
            load_public(ed25519_pem(encoded(point)))
        assert refusal.value.code == "key.weak"


@pytest.mark.parametrize("sign", [0, 0x80])
@pytest.mark.parametrize("encoding", VECTORS["ed25519_small_order"]["encodings"])
def test_the_published_encodings_are_refused_with_either_sign(encoding: str, sign: int) -> None:
    raw = bytearray.fromhex(encoding)
    raw[31] |= sign
    with pytest.raises(KeyFileError):
        load_public(ed25519_pem(bytes(raw)))


@pytest.mark.parametrize("y", range(P, 2**255))
def test_a_second_encoding_of_a_point_is_refused(y: int) -> None:
    with pytest.raises(KeyFileError):
        load_public(ed25519_pem(y.to_bytes(32, "little")))


def test_under_the_identity_anybody_signs_which_is_why() -> None:
    identity = encoded((0, 1))
    forged = identity + bytes(32)
    ed25519.Ed25519PublicKey.from_public_bytes(identity).verify(forged, b"any message at all")  # raises nothing


def ed25519_pem(raw: bytes) -> bytes:
    return pem_of(bytes.fromhex("302a300506032b6570032100") + raw)


@pytest.mark.parametrize(
    ("pem", "code"),
    [
        (b"", "key.syntax"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "key.syntax"),
        (private_pem(fixed_key(7), None), "key.private"),
    ],
)
def test_what_is_no_public_key_is_named(pem: bytes, code: str) -> None:
    with pytest.raises(KeyFileError) as refusal:
        load_public(pem)
    assert refusal.value.code == code


@pytest.mark.parametrize(
    "pem",
    [b"", fixed_key(7).public.to_pem(), b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"],
    ids=["nothing", "public", "broken"],
)
def test_what_is_no_private_key_is_named(pem: bytes) -> None:
    with pytest.raises(KeyFileError) as refusal:
        load_private(pem, never_asked)
    assert refusal.value.code == "key.not_private"


@given(st.binary(max_size=80))
def test_any_bytes_are_loaded_or_refused(data: bytes) -> None:
    wrapped = [data, pem_of(data), pem_of(data).replace(b"PUBLIC", b"PRIVATE")]
    for pem in wrapped:
        with pytest.raises(KeyFileError):
            load_public(pem)
        with pytest.raises(KeyFileError):
            load_private(pem, never_asked)


# --- encrypted keys, and openssl as the other side ------------------------------------------------------------------


@pytest.mark.parametrize("written", ["pbkdf2", "scrypt"])
def test_a_key_that_openssl_encrypted_is_read(written: str) -> None:
    vector = VECTORS["encrypted_keys"]
    key = load_private(vector[written].encode(), lambda: vector["passphrase"].encode())
    assert key.public == fixed_key(RFC_6979_KEY).public


def test_a_wrong_passphrase_is_told_from_a_broken_key() -> None:
    with pytest.raises(KeyFileError) as refusal:
        load_private(VECTORS["encrypted_keys"]["pbkdf2"].encode(), lambda: b"wrong horse battery")
    assert refusal.value.code == "key.passphrase"
    assert "wrong horse" not in str(refusal.value)


@needs_openssl
@pytest.mark.parametrize("material", [RFC_6979_KEY, "01" * 32], ids=["ecdsa-p256", "ed25519"])
def test_openssl_reads_our_encrypted_key_and_verifies_our_signature(tmp_path: Path, material: int | str) -> None:
    key = fixed_key(material)
    files = {
        "key.pem": private_pem(key, b"correct horse battery"),
        "key.pub": key.public.to_pem(),
        "message": b"ward",
        "signature": key.sign(b"ward"),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    decrypt = ["openssl", "pkey", "-in", "key.pem", "-passin", "pass:correct horse battery", "-pubout"]
    public = subprocess.run(decrypt, cwd=tmp_path, capture_output=True, check=True)
    assert public.stdout == key.public.to_pem()
    verify = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key.pub", "-rawin", "-in", "message", "-sigfile"]
    subprocess.run([*verify, "signature"], cwd=tmp_path, capture_output=True, check=True)
    with pytest.raises(subprocess.CalledProcessError):  # the negative control
        subprocess.run([*verify, "message"], cwd=tmp_path, capture_output=True, check=True)
