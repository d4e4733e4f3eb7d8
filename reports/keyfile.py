"""Key files on disk: written once, readable by their owner alone, opened with a passphrase that is handed in."""

import base64
import os
import secrets
import stat
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from reports.errors import KeyFileError
from reports.keys import PrivateKey, PublicKey, load_private, load_public
from reports.pkcs8 import encrypt_pkcs8

MIN_PASSPHRASE = 12
"""Bytes of the shortest passphrase that may guard a key."""
MAX_BYTES = 1 << 16
"""Of a key file; more is no key."""


@dataclass(frozen=True)
class KeyPairFiles:
    """Where a key pair was written."""

    private: Path
    """PKCS #8 PEM, mode 0600."""
    public: Path
    """SubjectPublicKeyInfo PEM, for everybody."""


def private_pem(
    key: PrivateKey, passphrase: bytes | None, entropy: Callable[[int], bytes] = secrets.token_bytes
) -> bytes:
    """Return `key` as PKCS #8 PEM, encrypted unless `passphrase` is None.

    Raises:
        KeyFileError: `key.passphrase`, it is shorter than 12 bytes.
    """
    if passphrase is None:
        return _pem("PRIVATE KEY", key.to_der())
    if len(passphrase) < MIN_PASSPHRASE:
        raise KeyFileError(
            "key.passphrase",
            f"the passphrase has {len(passphrase)} bytes",
            f"Take at least {MIN_PASSPHRASE}; four random words are easy to keep.",
        )
    return _pem("ENCRYPTED PRIVATE KEY", encrypt_pkcs8(key.to_der(), passphrase, entropy))


def write_key_pair(
    path: Path, key: PrivateKey, passphrase: bytes | None, entropy: Callable[[int], bytes] = secrets.token_bytes
) -> KeyPairFiles:
    """Write `key` to `path` (mode 0600) and its public half to `path` with `.pub` appended; both or neither.

    Raises:
        KeyFileError: `key.exists`, one of both is there already; `key.passphrase`, too short.
        OSError: the folder cannot be written.
    """
    files = KeyPairFiles(path, path.with_name(f"{path.name}.pub"))
    pem = private_pem(key, passphrase, entropy)
    _create(files.private, pem, 0o600)
    try:
        _create(files.public, key.public.to_pem(), 0o644)
    except BaseException:
        files.private.unlink()
        raise
    return files


def read_private_key(path: Path, passphrase: Callable[[], bytes]) -> PrivateKey:
    """Return the private key in a file; errors as `reports.keys.load_private`, and `key.not_found`."""
    return load_private(_read(path), passphrase)


def read_public_key(path: Path) -> PublicKey:
    """Return the public key in a file; errors as `reports.keys.load_public`, and `key.not_found`."""
    return load_public(_read(path))


def readable_by_others(path: Path) -> bool:
    """Tell whether somebody but its owner may read a file: worth a warning for a private key."""
    return bool(path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))


def _read(path: Path) -> bytes:
    if path.exists() and not path.is_file():  # before opening: a FIFO would block for ever
        raise KeyFileError("key.not_found", f"{path} is no file", "Name the key file itself.")
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES)
    except OSError as error:
        raise KeyFileError("key.not_found", f"{path} cannot be read: {error.strerror}") from error


def _create(path: Path, data: bytes, mode: int) -> None:
    """Write a file that was not there; a link that leads nowhere counts as there, and nothing half-written stays."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError as error:
        raise KeyFileError(
            "key.exists", f"{path} exists already", "Keys are never overwritten: choose a name."
        ) from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink()
        raise


def _pem(label: str, der: bytes) -> bytes:
    lines = textwrap.wrap(base64.b64encode(der).decode("ascii"), 64)
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""]).encode("ascii")
