"""That a piece of evidence is in a report, shown without the rest of the list (RFC 6962 section 2.1.1).

Who knows the evidence root, because it was posted or signed, needs nothing else: not the report, and no other piece.
"""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from reports import merkle
from reports.errors import IncompleteError, ReportError
from reports.evidence import evidence_leaf
from reports.model import Evidence
from reports.nouns import Count, Noun, Sha256, Text


class InclusionProof(Noun):
    """What leads from one piece of evidence to the evidence root."""

    sha256: Sha256
    """Of the evidence."""
    leaf: Text
    """What the tree holds of it: rfc8785([sha256, size, media_type, confidentiality, name])."""
    index: Count
    """Place of the leaf, counted from 0, in the order of the digests."""
    size: Annotated[Count, Field(ge=1)]
    """Number of leaves."""
    path: tuple[Sha256, ...]
    """Hashes of the siblings, nearest first."""
    root: Sha256
    """The evidence root of the report."""

    def holds(self) -> bool:
        """Tell whether the path leads from the leaf to the root (RFC 9162 section 2.1.3.2)."""
        path = [bytes.fromhex(one) for one in self.path]
        return merkle.verify_inclusion(self.leaf.encode(), self.index, self.size, path, bytes.fromhex(self.root))


def inclusion(evidence: Sequence[Evidence], sha256: str, root: str) -> InclusionProof:
    """Return the proof that a piece is among `evidence` under the evidence root.

    Raises:
        ReportError: `proof.not_found`, no piece has this digest.
        IncompleteError: `evidence.root`, the list does not hash to the root that the report states.
    """
    listed = sorted(evidence, key=lambda piece: piece.sha256)
    place = next((at for at, piece in enumerate(listed) if piece.sha256 == sha256), None)
    if place is None:
        near = next((piece.sha256 for piece in listed if len(sha256) >= 6 and piece.sha256.startswith(sha256)), "")
        hint = f"Did you mean {near}?" if near else "'fedaudit show BUNDLE --json' lists the digests of each finding."
        raise ReportError("proof.not_found", f"the report lists no evidence with the digest {sha256[:64]!r}", hint)
    leaves = [evidence_leaf(piece) for piece in listed]
    proof = InclusionProof(
        sha256=sha256,
        leaf=leaves[place].decode(),
        index=place,
        size=len(leaves),
        path=tuple(one.hex() for one in merkle.inclusion_proof(leaves, place)),
        root=root,
    )
    if not proof.holds():
        raise IncompleteError(
            "evidence.root", "the evidence list does not hash to the report's evidence root", "Fetch the bundle again."
        )
    return proof
