"""What there is on one point of Annex IV: words of the owner, findings, and what was left unread or is stale."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from compliance.annex_iv_nouns import Statement
from compliance.annex_iv_points import CLAIMED, declared_statements, kind_of
from compliance.assessment import Assessment
from compliance.catalogue import Control
from compliance.claims_compared import SYSTEM_FILE
from compliance.documents import RESERVED_KINDS
from compliance.evidence import about_another_model
from reports.model import Finding, System

CLAIMS_CHECK = "compliance.claims"
READING_CHECK = "compliance.documents"
_SHOWING = ("supports", "partially_supports", "contradicts")


@dataclass(frozen=True)
class ToldClaim:
    """A claim, and what the measurements say of it."""

    kind: str
    """Of claims.json."""
    document: str
    """Path, or `system.toml`."""
    quote: str
    """Its words; of the system file the line."""
    start: int | None
    """First character; None in the system file."""
    end: int | None
    """One past the last."""
    state: str
    """Such as `contradicted`."""


class TestedClaim(NamedTuple):
    """What a finding on claims is about."""

    kind: str
    """Of claims.json."""
    source: str
    """Path of the document, or `system.toml`."""


def claims_of(assessment: Assessment) -> tuple[ToldClaim, ...]:
    """Return the claims that an assessment holds; one of the system file is told by its kind and value."""
    return tuple(
        ToldClaim(
            one.kind,
            one.source.document,
            f"{one.kind} = {json.dumps(one.value)}" if one.source.quote is None else one.source.quote,
            one.source.start,
            one.source.end,
            one.state,
        )
        for one in assessment.claims
    )


def statements(
    point: str, control: Control, system: System, assessment: Assessment | None, claims: Sequence[ToldClaim]
) -> Iterator[Statement]:
    """Yield what the system file, the documents that were read, and their claims say on a point."""
    compared = {f"claims.{claim.kind} " for claim in claims if claim.document == SYSTEM_FILE}
    for declared in declared_statements(point, system):
        if not declared.text.startswith(tuple(compared)):  # told below, with what the measurements say
            yield declared
    state = "uncalibrated" if assessment is None or assessment.judge is None else assessment.judge.state
    for one in () if assessment is None else assessment.assessments:
        if one.control == control.id and one.status == "answered" and one.answer in _SHOWING:
            for quote in one.quotes:
                yield Statement(
                    text=quote.text,
                    source=one.document,
                    document_sha256=quote.document_sha256,
                    start=quote.start,
                    end=quote.end,
                    answer=one.answer,
                    believed=one.believable(state),
                )
    for claim in claims:
        if point in CLAIMED.get(claim.kind, ()):
            yield Statement(
                text=f"claims.{claim.quote}" if claim.document == SYSTEM_FILE else claim.quote,
                source=claim.document,
                start=claim.start,
                end=claim.end,
                claim=claim.kind,
                state=claim.state,
            )


def bearing(point: str, control: Control, cited: Sequence[str], findings: Iterable[Finding]) -> Iterator[Finding]:
    """Yield the findings that name the point, emit a kind of evidence that it lists, or test a claim on it."""
    for finding in findings:
        if finding.fingerprint in cited:
            yield finding
        elif finding.check == CLAIMS_CHECK:
            if point in CLAIMED.get(claim_of(finding).kind, ()):
                yield finding
        elif (kind := kind_of(finding.check)) != "document" and kind in control.evidence_kinds:
            yield finding


def claim_of(finding: Finding) -> TestedClaim:
    """Return what a finding of `compliance.claims` is about, from its key `claim=KIND source=PATH`."""
    kind, _, source = finding.key.removeprefix("claim=").partition(" source=")
    return TestedClaim(kind, source)


def unread(control: Control, system: System, assessment: Assessment | None, findings: Iterable[Finding]) -> bool:
    """Tell whether there are documents and nobody gave an answer on this point, here or in the run."""
    if not control.document_kind or all(document.kind in RESERVED_KINDS for document in system.documents):
        return False
    read = () if assessment is None else assessment.assessments
    answered = any(one.control == control.id and one.status == "answered" for one in read)
    told = any(one.check == READING_CHECK and one.key == f"control={control.id}" for one in findings)
    return not answered and not told


def stale(
    control: Control,
    system: System,
    assessment: Assessment | None,
    findings: Iterable[Finding],
    cited: Sequence[str],
) -> Iterator[str]:
    """Yield what the evidence is about instead of this system, in words."""
    for finding in findings:
        bears = finding.fingerprint in cited or kind_of(finding.check) in control.evidence_kinds
        if bears and about_another_model(finding, system):
            yield f"{finding.check} ({finding.key}) is about another model than the one under review"
    declared = {document.path.path: document.path.sha256 for document in system.documents}
    known = {} if assessment is None else {document.path: document.sha256 for document in assessment.documents}
    read = () if assessment is None else assessment.assessments
    for path in sorted({one.document for one in read if one.control == control.id and one.status == "answered"}):
        if declared.get(path) != known.get(path):
            yield f"{path} is not the document that was read"
