"""Encrypted private keys: PKCS #8 `EncryptedPrivateKeyInfo` under PBES2 (RFC 5958 section 3, RFC 8018 section 6.2).

Written here because `cryptography` fixes its own at 2048 iterations of PBKDF2; reading stays the library's work.
"""

import hashlib
from collections.abc import Callable

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7

from reports import der

ITERATIONS = 600_000
"""Of PBKDF2-HMAC-SHA256: about a tenth of a second for the owner, and for each guess of a thief."""
SALT_BYTES = 16
BLOCK_BYTES = 16

_PBES2 = "1.2.840.113549.1.5.13"
_PBKDF2 = "1.2.840.113549.1.5.12"
_HMAC_SHA256 = "1.2.840.113549.2.9"
_AES256_CBC = "2.16.840.1.101.3.4.1.42"


def encrypt_pkcs8(bare: bytes, passphrase: bytes, entropy: Callable[[int], bytes]) -> bytes:
    """Return the DER of `EncryptedPrivateKeyInfo` for a private key.

    Args:
        bare: DER of the `PrivateKeyInfo`.
        passphrase: what opens it again; its strength is the caller's affair.
        entropy: returns that many unpredictable bytes.
    """
    salt, start = entropy(SALT_BYTES), entropy(BLOCK_BYTES)
    secret = hashlib.pbkdf2_hmac("sha256", passphrase, salt, ITERATIONS, dklen=32)
    padder = PKCS7(8 * BLOCK_BYTES).padder()
    encryptor = Cipher(AES(secret), CBC(start)).encryptor()
    sealed = encryptor.update(padder.update(bare) + padder.finalize()) + encryptor.finalize()
    hashing = der.sequence(der.identifier(_HMAC_SHA256), der.null())
    derivation = der.sequence(der.identifier(_PBKDF2), der.sequence(der.octets(salt), der.integer(ITERATIONS), hashing))
    cipher = der.sequence(der.identifier(_AES256_CBC), der.octets(start))
    return der.sequence(der.sequence(der.identifier(_PBES2), der.sequence(derivation, cipher)), der.octets(sealed))
