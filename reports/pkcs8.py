"""Encrypted private keys: PKCS #8 `EncryptedPrivateKeyInfo` under PBES2 (RFC 5958 section 3, RFC 8018 section 6.2).

Written here because `cryptography` fixes its own at 2048 iterations of PBKDF2; reading stays the library's work.
"""

import hashlib
from collections.abc import Callable

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7

ITERATIONS = 600_000
"""Of PBKDF2-HMAC-SHA256: about a tenth of a second for the owner, and for each guess of a thief."""
SALT_BYTES = 16
BLOCK_BYTES = 16

_SEQUENCE, _INTEGER, _OCTETS, _NULL, _OBJECT = 0x30, 0x02, 0x04, 0x05, 0x06
_PBES2 = "1.2.840.113549.1.5.13"
_PBKDF2 = "1.2.840.113549.1.5.12"
_HMAC_SHA256 = "1.2.840.113549.2.9"
_AES256_CBC = "2.16.840.1.101.3.4.1.42"


def encrypt_pkcs8(der: bytes, passphrase: bytes, entropy: Callable[[int], bytes]) -> bytes:
    """Return the DER of `EncryptedPrivateKeyInfo` for a private key.

    Args:
        der: DER of the `PrivateKeyInfo`.
        passphrase: what opens it again; its strength is the caller's affair.
        entropy: returns that many unpredictable bytes.
    """
    salt, start = entropy(SALT_BYTES), entropy(BLOCK_BYTES)
    secret = hashlib.pbkdf2_hmac("sha256", passphrase, salt, ITERATIONS, dklen=32)
    padder = PKCS7(8 * BLOCK_BYTES).padder()
    encryptor = Cipher(AES(secret), CBC(start)).encryptor()
    sealed = encryptor.update(padder.update(der) + padder.finalize()) + encryptor.finalize()
    hashing = _sequence(_object(_HMAC_SHA256), _element(_NULL, b""))
    derivation = _sequence(
        _object(_PBKDF2), _sequence(_element(_OCTETS, salt), _element(_INTEGER, _number(ITERATIONS)), hashing)
    )
    cipher = _sequence(_object(_AES256_CBC), _element(_OCTETS, start))
    return _sequence(_sequence(_object(_PBES2), _sequence(derivation, cipher)), _element(_OCTETS, sealed))


def _element(tag: int, content: bytes) -> bytes:
    """Return tag, length and content in DER (X.690 section 8.1)."""
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    width = (size.bit_length() + 7) // 8
    return bytes([tag, 0x80 | width]) + size.to_bytes(width, "big") + content


def _sequence(*elements: bytes) -> bytes:
    return _element(_SEQUENCE, b"".join(elements))


def _number(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1, "big")  # a leading zero bit keeps it positive


def _object(dotted: str) -> bytes:
    """Return an object identifier: the first two arcs share a byte, the others are base 128 (X.690 section 8.19)."""
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    body = bytes([40 * first + second])
    for arc in rest:
        sevens = [arc >> shift & 0x7F for shift in range(0, max(arc.bit_length(), 1), 7)]
        body += bytes([0x80 | seven for seven in reversed(sevens[1:])] + sevens[:1])
    return _element(_OBJECT, body)
