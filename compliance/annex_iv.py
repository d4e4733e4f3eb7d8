"""The evidence file of Annex IV: statements, measurements and gaps, point by point.

    System ──▶ what is declared ┐
    Assessment ──▶ quotes ──────┼──▶ Section of a point ──▶ AnnexIV ──▶ JSON, Markdown, HTML
    findings ──▶ evidence ──────┘         └─▶ gaps

Regulation (EU) 2024/1689, Art. 11(1) and Annex IV. A gap is content: the file never says that a point is fulfilled.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from compliance.annex_iv_gaps import Told, gaps_of
from compliance.annex_iv_nouns import (
    AnnexIV,
    DescribedSystem,
    PointApplicability,
    PointEvidence,
    Section,
    Statement,
)
from compliance.annex_iv_points import CLAIMED, declared_statements, kind_of
from compliance.assessment import Assessment
from compliance.catalogue import Catalogue, Control, applicability_of
from compliance.claims_compared import SYSTEM_FILE
from compliance.documents import RESERVED_KINDS
from compliance.evidence import about_another_model, control_rows
from reports.canonical import canonical_json
from reports.model import Finding, Report, Status, System

__all__ = ["AnnexIV", "ToldClaim", "annex_iv_bytes", "annex_iv_of", "build_annex_iv", "claims_of"]

ANNEX = "EU-AIA:annex-IV"
_CLAIMS_CHECK = "compliance.claims"
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


def build_annex_iv(
    system: System,
    report: Report | None,
    assessment: Assessment | None,
    catalogue: Catalogue,
    *,
    on: date,
    bundle_sha256: str | None = None,
    signed: bool | None = None,
) -> AnnexIV:
    """Return the file of a system.

    Args:
        system: As declared.
        report: Where the findings come from; None where nothing was asked yet.
        assessment: What a reader said of the documents; None where nobody read.
        catalogue: The law of one version.
        on: The day that the applicability is told for.
        bundle_sha256: Id of the report.
        signed: Whether somebody signed it; None where nobody could have yet.
    """
    return annex_iv_of(
        system,
        () if report is None else report.findings,
        assessment,
        catalogue,
        claims=() if assessment is None else claims_of(assessment),
        on=on,
        bundle_sha256=bundle_sha256,
        signed=signed,
    )


def annex_iv_of(
    system: System,
    findings: Iterable[Finding],
    assessment: Assessment | None,
    catalogue: Catalogue,
    *,
    claims: Iterable[ToldClaim],
    on: date,
    bundle_sha256: str | None = None,
    signed: bool | None = None,
) -> AnnexIV:
    """Return the file of a system from findings that are in no report yet; else as `build_annex_iv`."""
    asked = tuple(finding for finding in findings if finding.status is not Status.SKIPPED)
    told = tuple(claims)
    rows = {row.control: row for row in control_rows(asked, {}, catalogue, on, system=system)}
    sections = []
    for control in catalogue.controls:
        if control.id.startswith(f"{ANNEX}("):
            point = control.id.removeprefix(ANNEX).replace("(", "", 1).replace(")", "", 1)
            row = rows[control.id]
            known = Told(
                point=point,
                control=control,
                state=row.state,
                statements=tuple(_statements(point, control, system, assessment, told)),
                bearing=tuple(_bearing(point, control, row.findings, asked)),
                signed=signed,
                unread=_unread(control, system, assessment),
                stale=tuple(_stale(control, system, assessment, asked, row.findings)),
            )
            sections.append(_section(known, catalogue, system, on))
    return AnnexIV(
        law_version=catalogue.version,
        on=on,
        system=DescribedSystem(
            name=system.name, version=system.version, provider=system.provider, risk_class=system.risk_class
        ),
        bundle_sha256=bundle_sha256,
        sections=tuple(sections),
        points=len(sections),
        gap_count=sum(len(section.gaps) for section in sections),
    )


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


def annex_iv_bytes(file: AnnexIV) -> bytes:
    """Return `annex-iv.json`: RFC 8785, every member present."""
    return canonical_json(file.model_dump(mode="json", by_alias=True))


def _section(known: Told, catalogue: Catalogue, system: System, on: date) -> Section:
    applies = applicability_of(known.control, on, catalogue, system)
    owed = applies.state not in ("not_addressed", "repealed")
    return Section(
        point=known.point,
        title=known.control.text,
        applicability=PointApplicability.model_validate(
            {"state": applies.state, "from": applies.from_, "reason": applies.reason}
        ),
        note=_note(known.point, catalogue),
        statements=known.statements,
        evidence=tuple(_evidence(finding) for finding in known.bearing),
        gaps=gaps_of(known) if owed else (),
    )


def _note(point: str, catalogue: Catalogue) -> str:
    """Return which branch of point 7 is taken: no standard is cited, so the solutions adopted are described."""
    if point != "7":
        return ""
    cited, day = catalogue.timeline["harmonised_standards_cited"], catalogue.timeline["harmonised_standards_as_of"]
    if cited:
        return f"Harmonised standards cited in the Official Journal as of {day}: {', '.join(cited)}."
    return f"No harmonised standard is cited in the Official Journal as of {day}: the solutions adopted are described."


def _statements(
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


def _bearing(point: str, control: Control, cited: Sequence[str], findings: Iterable[Finding]) -> Iterator[Finding]:
    """Yield the findings that name the point, emit a kind of evidence that it lists, or test a claim on it."""
    for finding in findings:
        if finding.fingerprint in cited:
            yield finding
        elif finding.check == _CLAIMS_CHECK:
            kind = finding.key.partition(" ")[0].removeprefix("claim=")
            if point in CLAIMED.get(kind, ()):
                yield finding
        elif (kind := kind_of(finding.check)) != "document" and kind in control.evidence_kinds:
            yield finding


def _evidence(finding: Finding) -> PointEvidence:
    return PointEvidence(
        finding=finding.fingerprint,
        check=finding.check,
        key=finding.key,
        status=finding.status,
        strength=finding.strength,
        basis=finding.basis,
        summary=finding.summary,
        measurements=finding.measurements,
    )


def _unread(control: Control, system: System, assessment: Assessment | None) -> bool:
    """Tell whether there are documents and nobody gave an answer on this point."""
    if not control.document_kind or all(document.kind in RESERVED_KINDS for document in system.documents):
        return False
    read = () if assessment is None else assessment.assessments
    return not any(one.control == control.id and one.status == "answered" for one in read)


def _stale(
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
