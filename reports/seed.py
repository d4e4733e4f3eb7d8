"""The root seed that nobody chose."""

import hashlib

import rfc8785

BITS = 52
"""Of the digest; below 2^53, so that every JSON reader keeps the seed exactly."""


def derived_seed(system_sha256: str, policy_sha256: str | None, nonce: str | None) -> int:
    """Return the root seed of a run: the first 52 bits of sha256(rfc8785([system file, policy, nonce])).

    Nobody can rerun until the dice please, and a verifier who gave the nonce knows that the run came after it.

    Args:
        system_sha256: digest of the system file.
        policy_sha256: digest of the policy fixed before the run, if any.
        nonce: the verifier's word, if any.
    """
    found = hashlib.sha256(rfc8785.dumps([system_sha256, policy_sha256, nonce])).digest()
    return int.from_bytes(found[:8], "big") >> (64 - BITS)
