"""`compliance.annex-iv`: whether every point of Annex IV has a statement or a measurement, and what is missing."""

from collections.abc import Iterator

from compliance.annex_iv import AnnexIV, ToldClaim, annex_iv_bytes, annex_iv_of
from compliance.annex_iv_nouns import Section
from compliance.catalogue import load_catalogue
from compliance.claims_compared import SYSTEM_FILE, compared_claims
from compliance.documents import Document
from compliance.errors import ComplianceError
from compliance.reading import Reading, reading_of
from reports.check import Context, check
from reports.model import Basis, Confidentiality, Finding, Measurement, Remedy, Severity, Status, Strength, System

_NOT_SIGNED_YET = "Whether a responsible person signs the report is seen in the bundle, not in the run that writes it."
_WORST_FIRST = ("contradicted", "stale", "insufficient", "unread", "no_evidence", "document_only", "unsigned")
_MOST_NAMED = 6


@check(
    "compliance.annex-iv",
    "Every point of Annex IV that applies has a statement or a measurement",
    needs=("findings",),
    controls=("EU-AIA:11(1)",),
    kinds=("document",),
    strength=Strength.DOCUMENT,
    severity=Severity.MEDIUM,
)
def annex_iv(system: System, ctx: Context) -> Iterator[Finding]:
    """Gather what is stated and what was found on each of the 23 points, and keep it as `annex-iv.json`.

    Regulation (EU) 2024/1689, Art. 11(1) and Annex IV. Fails where what is stated on a point is contradicted by a
    measurement. Passes where no point lacks anything but what a person alone can bring. Inconclusive at any other gap.
    Skipped where the owner does not class the system as high-risk, since the annex is owed for such systems only.
    """
    if system.risk_class != "high-risk":
        told = "Annex IV is owed for high-risk systems, and [system] risk_class does not say that this is one."
        reason = "missing:system.risk_class" if system.risk_class is None else "not-applicable:risk_class"
        yield ctx.finding(Status.SKIPPED, told, severity=Severity.INFO, reason=reason)
        return
    reading, limitations = _reading(system, ctx)
    day = ctx.now.date()
    file = annex_iv_of(
        system,
        ctx.findings,
        reading.assessment,
        load_catalogue(system.law_version, day),
        claims=_claims(reading.documents, system, ctx),
        on=day,
    )
    held = ctx.evidence("annex-iv.json", annex_iv_bytes(file), "application/json", _confidentiality(reading.documents))
    yield _finding(file, held, (*limitations, _NOT_SIGNED_YET), ctx)


def _finding(file: AnnexIV, held: str, limitations: tuple[str, ...], ctx: Context) -> Finding:
    open_points = [section for section in file.sections if any(gap.code != "person_needed" for gap in section.gaps)]
    codes = {gap.code for section in open_points for gap in section.gaps}
    worst = next((code for code in _WORST_FIRST if code in codes), "")
    status = Status.FAIL if worst == "contradicted" else Status.INCONCLUSIVE if worst else Status.PASS
    closed = Measurement(
        name="annex_iv_points_without_gap",
        value=float(file.points - len(open_points)),
        n=file.points,
        method="points of Annex IV with nothing missing that a file or a test could bring, counted",
    )
    return ctx.finding(
        status,
        _summary(file, open_points, worst),
        basis=Basis.DECLARED,
        detail="\n".join(f"{section.point}: {', '.join(gap.code for gap in section.gaps)}" for section in open_points),
        measurements=(closed,),
        evidence=(held,),
        remedy=_remedy(open_points, worst),
        limitations=limitations,
        reason=worst.replace("_", "-") if status is Status.INCONCLUSIVE else "",
    )


def _summary(file: AnnexIV, open_points: list[Section], worst: str) -> str:
    if not worst:
        return (
            f"Each of the {file.points} points of Annex IV is stated or measured, but for what a person has to bring."
        )
    if worst == "contradicted":
        named = [section.point for section in open_points if any(gap.code == worst for gap in section.gaps)]
        return f"What is stated on Annex IV {_named(named)} is contradicted by a measurement."
    named = [section.point for section in open_points]
    return f"{len(named)} of {file.points} points of Annex IV lack something: {_named(named)}."


def _named(points: list[str]) -> str:
    more = f" and {len(points) - _MOST_NAMED} more" if len(points) > _MOST_NAMED else ""
    return ", ".join(points[:_MOST_NAMED]) + more


def _remedy(open_points: list[Section], worst: str) -> Remedy | None:
    if not worst:
        return None
    if worst == "contradicted":
        told = "Correct the statement, or the system until the measurement agrees; annex-iv.json names both."
        return Remedy(parameter="documents", direction="set", text=told)
    told = f"Describe or measure what Annex IV {_named([section.point for section in open_points])} asks for."
    return Remedy(parameter="documents", direction="add", text=told)


def _reading(system: System, ctx: Context) -> tuple[Reading, tuple[str, ...]]:
    """Return what the run read; where that broke, no documents and a limitation that says so."""
    try:
        return reading_of(system, ctx), ()
    except ComplianceError as error:  # its own check reports it as an error; here it is one source less
        return Reading(()), (f"The documents could not be read ({error.code}), so nothing of them is told here.",)


def _claims(documents: tuple[Document, ...], system: System, ctx: Context) -> tuple[ToldClaim, ...]:
    """Return the claims of the documents and of the system file beside the findings."""
    told = []
    for one in compared_claims(documents, system, ctx.findings):
        claim, placed = one.claim, one.document != SYSTEM_FILE
        start, end = (claim.start, claim.end) if placed else (None, None)
        told.append(ToldClaim(claim.kind, one.document, claim.quote, start, end, one.state))
    return tuple(told)


def _confidentiality(documents: tuple[Document, ...]) -> Confidentiality:
    """Return who may read the file: it quotes the documents, so it is kept as close as the assessment of them."""
    if not documents:
        return Confidentiality.INTERNAL
    secret = any(document.classification == "confidential" for document in documents)
    return Confidentiality.RESTRICTED if secret else Confidentiality.CONFIDENTIAL
