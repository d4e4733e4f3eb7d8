"""The Merkle tree: published roots and paths, and a recursion written from RFC 6962 as the oracle."""

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.merkle import inclusion_proof, root, verify_inclusion

VECTOR = json.loads((Path(__file__).parents[1] / "vectors/reports/known-answers.json").read_text())["rfc6962"]
LEAVES = [bytes.fromhex(leaf) for leaf in VECTOR["leaves"]]


def naive_root(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962 section 2.1, as it stands there."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = max(2**i for i in range(10) if 2**i < len(leaves))
    return hashlib.sha256(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


def naive_path(m: int, leaves: list[bytes]) -> list[bytes]:
    """PATH of RFC 6962 section 2.1.1, as it stands there."""
    if len(leaves) == 1:
        return []
    k = max(2**i for i in range(10) if 2**i < len(leaves))
    if m < k:
        return [*naive_path(m, leaves[:k]), naive_root(leaves[k:])]
    return [*naive_path(m - k, leaves[k:]), naive_root(leaves[:k])]


def numbered(size: int) -> list[bytes]:
    return [b"leaf %d" % i for i in range(size)]


def test_the_published_roots_are_met() -> None:
    assert root([]).hex() == VECTOR["empty_root"]
    assert [root(LEAVES[: n + 1]).hex() for n in range(8)] == VECTOR["roots"]


@pytest.mark.parametrize("known", VECTOR["paths"])
def test_the_published_paths_are_met(known: dict[str, object]) -> None:
    leaf, size, path = int(str(known["leaf"])), int(str(known["size"])), known["path"]
    assert [step.hex() for step in inclusion_proof(LEAVES[:size], leaf)] == path


@pytest.mark.parametrize("size", range(65))
def test_roots_and_proofs_are_those_of_the_definition(size: int) -> None:
    leaves = numbered(size)
    top = root(leaves)
    assert top == naive_root(leaves)
    for index, leaf in enumerate(leaves):
        proof = inclusion_proof(leaves, index)
        assert list(proof) == naive_path(index, leaves)
        assert verify_inclusion(leaf, index, size, proof, top)
        assert not verify_inclusion(leaf + b"!", index, size, proof, top)
        assert not verify_inclusion(leaf, index, size, (*proof, bytes(32)), top)
        assert not verify_inclusion(leaf, index, size, proof, bytes(32))
        assert not proof or not verify_inclusion(leaf, index, size, proof[:-1], top)


@given(size=st.integers(2, 64), data=st.data())
def test_a_proof_shows_nothing_of_another_place(size: int, data: st.DataObject) -> None:
    leaves = numbered(size)
    index, other = (data.draw(st.integers(0, size - 1)) for _ in range(2))
    proof = inclusion_proof(leaves, index)
    assert verify_inclusion(leaves[index], other, size, proof, root(leaves)) == (index == other)
    assert not verify_inclusion(leaves[other], index, size, proof, root(leaves)) or index == other


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0)])
def test_there_is_no_proof_of_a_leaf_that_is_not_there(index: int, size: int) -> None:
    assert not verify_inclusion(b"leaf 0", index, size, (), root(numbered(size)))
    with pytest.raises(IndexError):
        inclusion_proof(numbered(size), index)


def test_a_leaf_cannot_pose_as_a_node() -> None:
    left, right = (hashlib.sha256(b"\x00" + leaf).digest() for leaf in (b"a", b"b"))
    assert root([left + right]) != root([b"a", b"b"])
