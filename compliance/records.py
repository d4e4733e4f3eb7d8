"""Documents, citations and claims as an assessment keeps them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from compliance.assessment_records import CitationRecord, ClaimRecord, ClaimSource, DocumentRecord, FlagRecord
from compliance.catalogue import Catalogue
from compliance.citation import check_citation, find_citations
from compliance.documents import Document

if TYPE_CHECKING:
    from compliance.claims_compared import ComparedClaim

__all__ = ["citation_records", "claim_records", "document_records"]

SYSTEM_FILE = "system.toml"


def document_records(documents: Iterable[Document], uncovered: Mapping[str, int]) -> tuple[DocumentRecord, ...]:
    """Return the documents by path, with what the scan found and what was never put to a reader."""
    return tuple(
        DocumentRecord(
            path=one.path,
            sha256=one.sha256,
            text_sha256=one.text_sha256,
            media_type=one.media_type,
            characters=len(one.text),
            uncovered_characters=uncovered.get(one.path, 0),
            not_read=one.not_read,
            classification=one.classification,
            sections=len(one.sections),
            flags=tuple(
                FlagRecord(kind=flag.kind, start=flag.start, end=flag.end, excerpt=flag.excerpt, where=flag.where)
                for flag in one.flags()
            ),
        )
        for one in sorted(documents, key=lambda one: one.path)
    )


def citation_records(documents: Iterable[Document], catalogue: Catalogue) -> tuple[CitationRecord, ...]:
    """Return every citation of the documents, in order, with what became of it in the catalogue's version."""
    return tuple(
        record for one in sorted(documents, key=lambda one: one.path) for record in _citations_of(one, catalogue)
    )


def _citations_of(document: Document, catalogue: Catalogue) -> Iterator[CitationRecord]:
    for span in find_citations(document.text):
        for place in span.citation:
            status = check_citation(place, catalogue.structure, catalogue.version)
            yield CitationRecord(
                input=span.text,
                canonical=str(place),
                status=status.status,
                successor=status.successor,
                document=document.path,
                start=span.start,
                end=span.end,
            )


def claim_records(compared: Sequence["ComparedClaim"], *, by_model: bool = False) -> tuple[ClaimRecord, ...]:
    """Return claims of documents and of the system file beside their measurements; `by_model`: a model found them."""
    return tuple(_claim(one, "llm" if by_model else "rule") for one in compared)


def _claim(one: "ComparedClaim", extractor: Literal["rule", "llm"]) -> ClaimRecord:
    claim = one.claim
    declared = one.document == SYSTEM_FILE
    return ClaimRecord(
        kind=claim.kind,
        value=claim.value,
        unit=claim.unit or None,
        hedged=claim.hedged,
        source=ClaimSource(document=SYSTEM_FILE)
        if declared
        else ClaimSource(document=one.document, start=claim.start, end=claim.end, quote=claim.quote),
        extractor="declaration" if declared else extractor,
        state=one.state,
        measurement=one.measurement or None,
        measured=one.measured,
        finding=one.finding or None,
    )
