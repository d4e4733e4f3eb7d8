"""`compliance.citations`: does every paragraph that is cited exist in the law of the day."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from compliance.catalogue import Catalogue, load_catalogue
from compliance.citation import CitationStatus, find_citations
from compliance.documents import Document, documents_of
from reports.canonical import canonical_json
from reports.check import Check, Context, check, discover
from reports.model import Basis, Finding, Remedy, Severity, Status, Strength, System
from reports.wording import counted, visible

CHECKS_KEY = "compliance.citations checks"
_MOST_TOLD = 20
_NOT_TABULATED = "Places whose numbering is not tabulated (status unchecked) were taken to exist."
_SPELLINGS = "A citation in a spelling that the grammar does not know was not seen."


@dataclass(frozen=True)
class Cited:
    """One citation and what became of it."""

    source: str
    """Path of the document, or id of the check."""
    text: str
    """As it was written."""
    start: int | None
    """Offset in the document; None in a check."""
    end: int | None
    """Offset after it."""
    status: CitationStatus
    """What the law of the day says; the worst member of a range."""


@check(
    "compliance.citations",
    "Every paragraph that the documents and checks cite exists in the law of the day",
    strength=Strength.EXACT,
    severity=Severity.LOW,
)
def citations(system: System, ctx: Context) -> Iterator[Finding]:
    """Look up every citation in the numbering of the law version in force; one finding each for documents and checks.

    Passes where every place exists, or its numbering is not tabulated; fails where one was deleted, does not exist yet
    or never did, and names what took its place. Skipped where the documents cite nothing.
    """
    catalogue = load_catalogue(system.law_version, ctx.now.date())
    documents = documents_of(system, ctx.folder)
    if documents:
        yield _finding(list(in_documents(documents, catalogue)), "documents", documents, catalogue, ctx)
    checks = ctx.once(CHECKS_KEY, discover)
    yield _finding(list(in_checks(checks, catalogue)), "checks", (), catalogue, ctx)


def in_documents(documents: Iterable[Document], catalogue: Catalogue) -> Iterator[Cited]:
    """Yield every citation in documents, in order."""
    for document in documents:
        for found in find_citations(document.text):
            worst = _worst([status for one in found.citation for status in catalogue.check(str(one))])
            yield Cited(document.path, found.text, found.start, found.end, worst)


def in_checks(checks: Iterable[Check], catalogue: Catalogue) -> Iterator[Cited]:
    """Yield every control that checks name."""
    for one in checks:
        for control in one.controls:
            yield Cited(one.id, control, None, None, _worst(catalogue.check(control)))


def _worst(statuses: Sequence[CitationStatus]) -> CitationStatus:
    return next((status for status in statuses if not status.stands), statuses[0])


def _finding(
    found: Sequence[Cited], key: str, documents: Sequence[Document], catalogue: Catalogue, ctx: Context
) -> Finding:
    limits = [limit for document in documents for limit in document.limitations]
    if not found:
        told = f"The {key} cite no paragraph."
        return ctx.finding(
            Status.SKIPPED,
            told,
            key=key,
            severity=Severity.INFO,
            limitations=limits,
            reason="not-applicable:no-citation",
        )
    wrong = [one for one in found if not one.status.stands]
    unchecked = sum(one.status.status == "unchecked" for one in found)
    law = f"the version {catalogue.version} of the AI Act and in the GDPR"
    summary = f"All of {counted(len(found), 'citation')} in the {key} exist in {law}."
    if wrong:
        summary = f"{len(wrong)} of {counted(len(found), 'citation')} in the {key} do not exist in {law}."
    return ctx.finding(
        Status.FAIL if wrong else Status.PASS,
        summary,
        key=key,
        basis=Basis.RECORDED if documents else Basis.MEASURED,
        detail="\n".join(_line(one) for one in wrong[:_MOST_TOLD]),
        evidence=(_kept(found, key, documents, ctx),),
        remedy=_remedy(wrong[0], key) if wrong else None,
        limitations=[_SPELLINGS, *([_NOT_TABULATED] if unchecked else []), *limits] if documents else (),
    )


def _line(one: Cited) -> str:
    place = f", characters {one.start} to {one.end}" if one.start is not None else ""
    return f"{visible(one.source)}{place}: {one.status.message}"


def _remedy(one: Cited, key: str) -> Remedy:
    parameter = "documents" if key == "documents" else "controls"
    wanted = one.status.successor
    told = (
        f"Cite {wanted} instead of {one.status.citation}." if wanted else f"Correct the citation: {one.status.message}"
    )
    return Remedy(parameter=parameter, direction="set", value=wanted, text=f"In {visible(one.source)}: {told}")


def _kept(found: Sequence[Cited], key: str, documents: Sequence[Document], ctx: Context) -> str:
    rows = [
        {
            "source": one.source,
            "input": visible(one.text),
            "canonical": str(one.status.citation) if one.status.citation else None,
            "status": one.status.status,
            "successor": one.status.successor,
            "start": one.start,
            "end": one.end,
        }
        for one in found
    ]
    levels = ("public", "internal", "confidential")
    level = max((document.classification for document in documents), key=levels.index, default="public")
    return ctx.evidence(f"citations in the {key}", canonical_json(rows), "application/json", level)
