"""The evidence file of Annex IV: statements, measurements and gaps, point by point.

    System ──▶ what is declared ┐
    Assessment ──▶ quotes ──────┼──▶ Section of a point ──▶ AnnexIV ──▶ JSON, Markdown, HTML
    findings ──▶ evidence ──────┘         └─▶ gaps

Regulation (EU) 2024/1689, Art. 11(1) and Annex IV. A gap is content: the file never says that a point is fulfilled.
"""

from collections.abc import Iterable
from datetime import date

from compliance.annex_iv_gaps import Told, gaps_of
from compliance.annex_iv_nouns import (
    AnnexIV,
    DescribedSystem,
    PointApplicability,
    PointEvidence,
    Section,
)
from compliance.annex_iv_sources import ToldClaim, bearing, claims_of, stale, statements, unread
from compliance.assessment import Assessment
from compliance.catalogue import Catalogue, applicability_of
from compliance.evidence import control_rows
from reports.canonical import canonical_json
from reports.model import Finding, Report, Status, System

__all__ = ["AnnexIV", "ToldClaim", "annex_iv_bytes", "annex_iv_of", "build_annex_iv", "claims_of"]

ANNEX = "EU-AIA:annex-IV"


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
                statements=tuple(statements(point, control, system, assessment, told)),
                bearing=tuple(bearing(point, control, row.findings, asked)),
                signed=signed,
                unread=unread(control, system, assessment, asked),
                stale=tuple(stale(control, system, assessment, asked, row.findings)),
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
