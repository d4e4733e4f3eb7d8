"""Signing keys: ECDSA on P-256 with SHA-256, and Ed25519. Nothing else is loaded.

A key is known by its material: `keyid` is the SHA-256 of the DER of its SubjectPublicKeyInfo, however it was written.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from reports.errors import KeyFileError
from reports.pkcs8 import encrypt_pkcs8

__all__ = ["Algorithm", "PrivateKey", "PublicKey", "encrypt_pkcs8", "generate", "load_private", "load_public"]

Algorithm = Literal["ecdsa-p256", "ed25519"]
_CURVE_25519 = 2**255 - 19
_ORDER_8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
"""The y of two of the points of order eight; that of the other two is its negative (libsodium: ed25519_ref10.c)."""
_WEAK_Y = frozenset({0, 1, _CURVE_25519 - 1, _ORDER_8, _CURVE_25519 - _ORDER_8})
_ONLY_TWO = "Make one with `fedaudit keygen`: ECDSA on P-256, or Ed25519."


@dataclass(frozen=True)
class PublicKey:
    """A key that tells whether a signature was made by its other half."""

    algorithm: Algorithm
    """How it signs."""
    spki: bytes
    """DER of the SubjectPublicKeyInfo: the key material, in its one spelling."""
    _key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey = field(repr=False, compare=False)

    @cached_property
    def keyid(self) -> str:
        """SHA-256 of `spki`, 64 hexadecimal digits."""
        return hashlib.sha256(self.spki).hexdigest()

    def verify(self, signature: bytes, message: bytes) -> bool:
        """Tell whether `signature` over `message` was made by this key; never raises on bad bytes."""
        try:
            if isinstance(self._key, ed25519.Ed25519PublicKey):
                self._key.verify(signature, message)
            else:
                self._key.verify(signature, message, ec.ECDSA(SHA256()))
        except InvalidSignature:
            return False
        return True

    def to_pem(self) -> bytes:
        """Return the key as PEM, `BEGIN PUBLIC KEY`."""
        return self._key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@dataclass(frozen=True)
class PrivateKey:
    """A key that signs. Its repr shows the public half alone."""

    public: PublicKey
    """The half that verifies."""
    _key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey = field(repr=False, compare=False)

    @property
    def algorithm(self) -> Algorithm:
        """How it signs."""
        return self.public.algorithm

    @property
    def keyid(self) -> str:
        """SHA-256 of the public half's DER."""
        return self.public.keyid

    def sign(self, message: bytes) -> bytes:
        """Return the signature of `message`: the same bytes every time (RFC 8032; RFC 6979 where OpenSSL has it)."""
        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            return self._key.sign(message)
        try:
            return self._key.sign(message, ec.ECDSA(SHA256(), deterministic_signing=True))
        except UnsupportedAlgorithm:  # OpenSSL before 3.2: as sound, but another signature each time
            return self._key.sign(message, ec.ECDSA(SHA256()))

    def to_der(self) -> bytes:
        """Return the bare key as DER of PKCS #8 `PrivateKeyInfo`. A secret."""
        return self._key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def generate(algorithm: Algorithm = "ecdsa-p256") -> PrivateKey:
    """Return a new key, drawn from the system's entropy."""
    return _private(
        ed25519.Ed25519PrivateKey.generate() if algorithm == "ed25519" else ec.generate_private_key(ec.SECP256R1())
    )


def load_public(pem: bytes) -> PublicKey:
    """Return the public key in `pem`.

    Raises:
        KeyFileError: `key.private`, a private key; `key.syntax`, no PEM of a public key; `key.algorithm`, neither
            P-256 nor Ed25519; `key.weak`, a point of small order, under which anybody can sign anything.
    """
    if b"PRIVATE KEY" in pem:
        raise KeyFileError("key.private", "this is a private key where a public one belongs", "Name the .pub file.")
    try:
        return _public(load_pem_public_key(pem))
    except ValueError as error:
        raise KeyFileError("key.syntax", "this is no PEM file of a public key", _ONLY_TWO) from error
    except UnsupportedAlgorithm as error:
        raise KeyFileError("key.algorithm", f"this key's algorithm is not accepted: {error}", _ONLY_TWO) from error


def load_private(pem: bytes, passphrase: Callable[[], bytes]) -> PrivateKey:
    """Return the private key in `pem`; `passphrase` is called only if the key is encrypted.

    Raises:
        KeyFileError: `key.not_private`, a public key or no key at all; `key.passphrase`, it does not open the key;
            `key.algorithm` and `key.weak` as for a public key.
    """
    if b"PRIVATE KEY" not in pem:
        raise KeyFileError("key.not_private", "this is no PEM file of a private key", "Name the file without .pub.")
    secret: bytes | None = None
    try:
        try:
            return _private(load_pem_private_key(pem, None))
        except TypeError:  # so the library says that the key is encrypted
            secret = passphrase()
            return _private(load_pem_private_key(pem, secret))
    except ValueError as error:
        if secret is None:
            raise KeyFileError("key.not_private", "this PEM file holds no readable private key", _ONLY_TWO) from error
        raise KeyFileError(
            "key.passphrase", "the passphrase does not open this key, or the file is damaged", "Try again."
        ) from error
    except UnsupportedAlgorithm as error:
        raise KeyFileError("key.algorithm", f"this key's algorithm is not accepted: {error}", _ONLY_TWO) from error


def _private(key: object) -> PrivateKey:
    if not isinstance(key, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
        raise KeyFileError("key.algorithm", f"{type(key).__name__} is not accepted", _ONLY_TWO)
    return PrivateKey(_public(key.public_key()), key)


def _public(key: object) -> PublicKey:
    algorithm: Algorithm
    if isinstance(key, ed25519.Ed25519PublicKey):
        if _is_weak(key.public_bytes(Encoding.Raw, PublicFormat.Raw)):
            raise KeyFileError("key.weak", "this Ed25519 key has small order: anybody can sign under it", _ONLY_TWO)
        algorithm = "ed25519"
    elif isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        algorithm = "ecdsa-p256"
    else:
        curve = f" on {key.curve.name}" if isinstance(key, ec.EllipticCurvePublicKey) else ""
        raise KeyFileError("key.algorithm", f"{type(key).__name__}{curve} is not accepted", _ONLY_TWO)
    return PublicKey(algorithm, key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo), key)


def _is_weak(encoded: bytes) -> bool:
    """Tell whether an Ed25519 point is of small order or not written in its one way (RFC 8032 section 5.1.3)."""
    y = int.from_bytes(encoded, "little") & (2**255 - 1)  # without the sign of x: both points have the same order
    return y >= _CURVE_25519 or y in _WEAK_Y
