"""Salted evidence: a file whose digest says nothing about its content to whoever does not hold the file.

A bare SHA-256 in a signed report commits to the content, and it is an oracle as well: who guesses a small record (one
of a thousand patients, a yes or a no) hashes each guess and sees which one is there, although the file was withheld.
A salted piece of evidence is 32 random bytes followed by the content. Its digest is over both, so `sha256sum` checks
the file as it checks any other; the salt is withheld with the file, and without it a guess cannot be tried (RFC 9901
salts the claims of a token for the same reason). The leaf under the evidence root stays what it was: the digest in it
is over salt and content. What a reader still sees is the media type, the size and the name.
"""

from collections.abc import Callable

SALT_BYTES = 32
"""Bytes of a salt: as many as the digest that it blinds."""
SUFFIX = ".salted"
"""How the name of a salted file ends, so that nobody takes the salt for the beginning of a picture."""


def salted(data: bytes, entropy: Callable[[int], bytes]) -> bytes:
    """Return the file of a salted piece of evidence: a fresh salt, then the content.

    Args:
        data: the content.
        entropy: gives that many bytes of the system's entropy (`secrets.token_bytes`), or the salt that was kept.

    Raises:
        ValueError: `entropy` gave another number of bytes than it was asked for.
    """
    salt = entropy(SALT_BYTES)
    if len(salt) != SALT_BYTES:
        raise ValueError(f"a salt has {SALT_BYTES} bytes, not {len(salt)}")
    return salt + data


def unsalted(data: bytes) -> bytes:
    """Return the content of a salted file.

    Raises:
        ValueError: the file is shorter than its salt.
    """
    if len(data) < SALT_BYTES:
        raise ValueError(f"a salted file has at least {SALT_BYTES} bytes, not {len(data)}")
    return data[SALT_BYTES:]
