"""Keys of a round: who somebody is, what two clients share, and what is derived from that.

Identities sign with Ed25519 (RFC 8032); pairs of clients agree on secrets by X25519 (RFC 7748); every key is derived
from such a secret by HKDF-SHA256 (RFC 5869) for one purpose and one session; shares travel under AES-256-GCM.
"""

import hmac
from collections.abc import Callable
from hashlib import sha256
from secrets import token_bytes
from typing import Self

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

Entropy = Callable[[int], bytes]
"""Gives that many secret random bytes; `secrets.token_bytes` outside tests."""
KEY_BYTES = 32
SHARE_BYTES = 64
"""Bytes of one share: 16 field elements as little-endian uint32."""
TAG = b"fedaudit-secagg-v1|"
_NONCE = bytes(12)  # one key seals one message, so the nonce need not vary


class LowOrderKey(ValueError):  # noqa: N818  (the field's word)
    """A peer's X25519 key gives the all-zero secret, which everybody knows (RFC 7748, section 6.1)."""


class BadCiphertext(ValueError):  # noqa: N818  (the field's word)
    """Sealed shares that do not open: another sender, recipient or session, or altered on the way."""


class Identity:
    """A client's lasting Ed25519 key pair: what peers know it by."""

    __slots__ = ("_private", "public_key")

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public_key: bytes = private.public_key().public_bytes_raw()

    @classmethod
    def generate(cls, entropy: Entropy = token_bytes) -> Self:
        """Return a new identity."""
        return cls.from_private_bytes(entropy(KEY_BYTES))

    @classmethod
    def from_private_bytes(cls, private: bytes) -> Self:
        """Return the identity of a 32-byte private key; ValueError for another length."""
        return cls(Ed25519PrivateKey.from_private_bytes(private))

    def sign(self, data: bytes) -> bytes:
        """Return the signature over `data`, 64 bytes."""
        return self._private.sign(data)

    def __repr__(self) -> str:
        return f"Identity(public_key={self.public_key.hex()!r})"


def is_signed_by(public_key: bytes, signature: bytes, data: bytes) -> bool:
    """Tell whether `signature` is that of the Ed25519 `public_key` over `data`."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, data)
    except (InvalidSignature, ValueError):  # ValueError: not a public key, so nobody's signature
        return False
    return True


class KeyPair:
    """An X25519 key pair that lives for one round."""

    __slots__ = ("_private", "public_key")

    def __init__(self, private: X25519PrivateKey) -> None:
        self._private = private
        self.public_key: bytes = private.public_key().public_bytes_raw()

    @classmethod
    def generate(cls, entropy: Entropy = token_bytes) -> Self:
        """Return a new key pair."""
        return cls.from_private_bytes(entropy(KEY_BYTES))

    @classmethod
    def from_private_bytes(cls, private: bytes) -> Self:
        """Return the key pair of a 32-byte private key; ValueError for another length."""
        return cls(X25519PrivateKey.from_private_bytes(private))

    def private_bytes(self) -> bytes:
        """Return the private key, 32 bytes; what is shared among the neighbours."""
        return self._private.private_bytes_raw()

    def exchange(self, peer: bytes) -> bytes:
        """Return the secret shared with the owner of the public key `peer`, 32 bytes.

        Raises:
            LowOrderKey: the secret would be all zeros whatever our key is.
            ValueError: `peer` is not 32 bytes.
        """
        public = X25519PublicKey.from_public_bytes(peer)
        try:
            return self._private.exchange(public)
        except ValueError as error:
            raise LowOrderKey("a key of low order") from error

    def __repr__(self) -> str:
        return f"KeyPair(public_key={self.public_key.hex()!r})"


def derive(secret: bytes, info: str, session: bytes) -> bytes:
    """Return the key for the purpose `info` and this session: HKDF(secret, salt=session, info=tag + info)."""
    return hkdf(secret, session, TAG + info.encode())


def hkdf(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """Return the first 32 bytes of HKDF-SHA256 (RFC 5869, sections 2.2 and 2.3).

    They are one block of output, so extract and expand are one HMAC each: several times faster than a general HKDF.
    """
    return hmac.digest(hmac.digest(salt, secret, "sha256"), info + b"\x01", "sha256")


def mask_key(secret: bytes, one: str, other: str, session: bytes) -> bytes:
    """Return the key of the mask two clients share; `secret` is the X25519 result of their mask keys."""
    low, high = sorted((one, other))
    return derive(secret, f"mask|{low}|{high}", session)


def share_key(secret: bytes, sender: str, recipient: str, session: bytes) -> bytes:
    """Return the key that seals `sender`'s shares for `recipient`; `secret` is their share keys' X25519 result."""
    return derive(secret, f"share|{sender}>{recipient}", session)


def self_mask_key(seed: bytes, client: str, session: bytes) -> bytes:
    """Return the key of the mask that `client` adds for itself, from its 32-byte `seed`."""
    return derive(seed, f"self|{client}", session)


def commitment(seed: bytes, client: str, session: bytes) -> str:
    """Return the hexadecimal SHA-256 that binds `client` to its self-mask `seed`."""
    return sha256(TAG + f"commit|{session.hex()}|{client}|".encode() + seed).hexdigest()


def seal_shares(key: bytes, mask_share: bytes, seed_share: bytes, sender: str, recipient: str, session: bytes) -> bytes:
    """Return two shares of 64 bytes under AES-256-GCM, 144 bytes; `key` must never seal anything else."""
    return AESGCM(key).encrypt(_NONCE, mask_share + seed_share, session + f"{sender}>{recipient}".encode())


def open_shares(key: bytes, sealed: bytes, sender: str, recipient: str, session: bytes) -> tuple[bytes, bytes]:
    """Return the share of the sender's mask key and that of its self-mask seed.

    Raises:
        BadCiphertext: `sealed` is not what `sender` sealed for `recipient` in this session.
    """
    try:
        opened = AESGCM(key).decrypt(_NONCE, sealed, session + f"{sender}>{recipient}".encode())
    except (InvalidTag, ValueError) as error:  # ValueError: shorter than a tag
        raise BadCiphertext(f"what {sender} sealed for {recipient} does not open") from error
    if len(opened) != 2 * SHARE_BYTES:
        raise BadCiphertext(f"{sender} sealed {len(opened)} bytes where {2 * SHARE_BYTES} belong")
    return opened[:SHARE_BYTES], opened[SHARE_BYTES:]
