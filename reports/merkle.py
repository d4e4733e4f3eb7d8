"""The Merkle tree hash of RFC 6962 section 2.1, and proofs that a leaf is in it.

One 32-byte value stands for a list of evidence: printed, posted or compared, it fixes every entry and their order.
"""

import hashlib
from collections.abc import Sequence


def root(leaves: Sequence[bytes]) -> bytes:
    """Return the Merkle tree hash of `leaves` (RFC 6962 section 2.1), 32 bytes; of none, the hash of nothing."""
    if not leaves:
        return hashlib.sha256().digest()
    return _fold([_leaf(leaf) for leaf in leaves])


def inclusion_proof(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """Return the audit path of leaf `index`, nearest sibling first (RFC 6962 section 2.1.1).

    Raises:
        IndexError: there is no such leaf.
    """
    if not 0 <= index < len(leaves):
        raise IndexError(f"there is no leaf {index} among {len(leaves)}")
    path: list[bytes] = []
    hashes = [_leaf(leaf) for leaf in leaves]
    while len(hashes) > 1:
        half = _split(len(hashes))
        if index < half:
            path.append(_fold(hashes[half:]))
            hashes = hashes[:half]
        else:
            path.append(_fold(hashes[:half]))
            hashes, index = hashes[half:], index - half
    return tuple(reversed(path))


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Tell whether `proof` shows that `leaf` is number `index` of the `size` leaves under `root`.

    The letters are those of RFC 9162 section 2.1.3.2, which spells out the verification for the same tree.
    """
    if not 0 <= index < size:
        return False
    fn, sn, r = index, size - 1, _leaf(leaf)
    for p in proof:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            r = _node(p, r)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = _node(r, p)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and r == root


def _leaf(data: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + data).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _split(size: int) -> int:
    return 1 << (size - 1).bit_length() - 1  # the largest power of two below `size`


def _fold(hashes: Sequence[bytes]) -> bytes:
    """Pair neighbours level by level; one left over moves up, which gives the RFC's split at a power of two."""
    level = list(hashes)
    while len(level) > 1:
        pairs = [_node(*level[at : at + 2]) for at in range(0, len(level) - 1, 2)]
        level = [*pairs, level[-1]] if len(level) % 2 else pairs
    return level[0]
