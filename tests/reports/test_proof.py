"""Proofs of inclusion: rebuilt by hand from the RFC, and unsound as soon as one bit of them is changed."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.errors import IncompleteError, ReportError
from reports.evidence import evidence_leaf, evidence_root
from reports.model import Confidentiality, Evidence, evidence_path
from reports.proof import InclusionProof, inclusion


def pieces(count: int) -> tuple[Evidence, ...]:
    found = []
    for number in range(count):
        sha256 = hashlib.sha256(str(number).encode()).hexdigest()
        found.append(
            Evidence(
                sha256=sha256, path=evidence_path(sha256), size=number, media_type="text/plain", name=f"piece {number}",
                confidentiality=Confidentiality.PUBLIC,
            )
        )  # fmt: skip
    return tuple(found)


def rebuilt(proof: InclusionProof) -> str:
    """Return the root that a proof leads to, by the recursion of RFC 6962 section 2.1 turned round."""

    def up(index: int, size: int, path: list[str]) -> bytes:
        if size == 1:
            assert not path
            return hashlib.sha256(b"\0" + proof.leaf.encode()).digest()
        half = 1
        while half * 2 < size:
            half *= 2
        sibling = bytes.fromhex(path[-1])
        if index < half:
            return hashlib.sha256(b"\1" + up(index, half, path[:-1]) + sibling).digest()
        return hashlib.sha256(b"\1" + sibling + up(index - half, size - half, path[:-1])).digest()

    return up(proof.index, proof.size, list(proof.path)).hex()


@given(st.integers(1, 64), st.data())
def test_every_piece_is_proved_and_the_definition_agrees(count: int, data: st.DataObject) -> None:
    evidence = pieces(count)
    piece = data.draw(st.sampled_from(evidence))
    proof = inclusion(evidence, piece.sha256, evidence_root(evidence))
    assert proof.holds()
    assert rebuilt(proof) == evidence_root(evidence)
    assert proof.leaf.encode() == evidence_leaf(piece)


@given(st.integers(2, 64), st.data())
def test_a_changed_proof_does_not_hold(count: int, data: st.DataObject) -> None:
    evidence = pieces(count)
    proof = inclusion(evidence, data.draw(st.sampled_from(evidence)).sha256, evidence_root(evidence))
    place = data.draw(st.integers(0, len(proof.path) - 1))
    other = hashlib.sha256(b"other").hexdigest()
    path = (*proof.path[:place], other, *proof.path[place + 1 :])
    for changed in ({"leaf": proof.leaf + " "}, {"path": path}, {"path": proof.path[:-1]}, {"root": other}):
        assert not proof.model_copy(update=changed).holds()


def test_evidence_that_is_not_listed_is_refused_with_the_nearest() -> None:
    evidence = pieces(5)
    root = evidence_root(evidence)
    with pytest.raises(ReportError) as refused:
        inclusion(evidence, evidence[2].sha256[:10], root)
    assert (refused.value.code, evidence[2].sha256 in refused.value.hint) == ("proof.not_found", True)
    with pytest.raises(ReportError):
        inclusion((), evidence[0].sha256, root)


def test_a_list_that_is_not_under_the_stated_root_proves_nothing() -> None:
    evidence = pieces(5)
    with pytest.raises(IncompleteError) as refused:
        inclusion(evidence[:4], evidence[0].sha256, evidence_root(evidence))
    assert refused.value.code == "evidence.root"
