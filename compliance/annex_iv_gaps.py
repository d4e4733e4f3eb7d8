"""Why a point of Annex IV is not closed, in the order of its gravity."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from compliance.annex_iv_nouns import Gap, Statement
from compliance.annex_iv_points import MEASURED, kind_of
from compliance.annex_iv_sources import CLAIMS_CHECK, claim_of
from compliance.catalogue import Control
from reports.model import Basis, Finding, Status, Strength

TEST_REPORTS = "2(g)"
"""The point that asks for reports "dated and signed by the responsible persons"."""
_NOT_MEASURED = ("document", "attestation")
_DECIDED = (Status.PASS, Status.FAIL)


@dataclass(frozen=True)
class Told:
    """What is known of one point."""

    point: str
    """As the law counts it."""
    control: Control
    """Its duty."""
    state: str
    """Of the row of its duty: what the findings that name it say."""
    statements: tuple[Statement, ...]
    """What is said."""
    bearing: tuple[Finding, ...]
    """What was found; nothing that was not asked."""
    signed: bool | None
    """Whether somebody signed the report; None where nobody could have yet."""
    unread: bool
    """Whether there are documents and nobody was asked about this point."""
    stale: tuple[str, ...]
    """What the evidence is about instead."""


def gaps_of(told: Told) -> tuple[Gap, ...]:
    """Return the gaps of one point, gravest first; none where something is stated or measured and nothing missing."""
    return tuple(_gaps(told))


def _gaps(told: Told) -> Iterator[Gap]:
    against = tuple(dict.fromkeys(_against(told)))
    if against:
        yield Gap(code="contradicted", text=f"Something stands against what is stated: {', '.join(against)}.")
    if told.stale:
        yield Gap(code="stale", text=f"Evidence about something else: {'; '.join(told.stale)}.")
    if told.point == TEST_REPORTS and told.signed is False and told.bearing:
        yield Gap(code="unsigned", text="The test report is not signed: a responsible person signs the bundle.")
    if told.control.ceiling == "attestation":
        yield Gap(code="person_needed", text="A person has to bring this; no file and no test can.")
        return
    decided = [finding for finding in told.bearing if finding.status in _DECIDED]
    if told.bearing and not decided:
        checks = ", ".join(dict.fromkeys(finding.check for finding in told.bearing))
        yield Gap(code="insufficient", text=f"What was asked decides nothing: {checks}.")
    elif told.state == "insufficient":
        yield Gap(code="insufficient", text="Of what was asked about this point, something stayed undecided.")
    elif told.statements and not decided and all(statement.believed is False for statement in told.statements):
        yield Gap(code="insufficient", text="Words were found by a reader whose answers here may not decide anything.")
    if told.unread:
        yield Gap(code="unread", text="There are documents, and no reader was asked whether they describe this.")
    elif not told.statements and not told.bearing:
        yield Gap(code="no_evidence", text="Nothing that was declared, read or measured bears on this point.")
    if (told.statements or decided) and (lacking := _only_words(told.control, decided)):
        if measurable := [kind for kind in lacking if kind in MEASURED]:
            yield Gap(code="document_only", text=f"Words alone; no measurement of kind {' or '.join(measurable)}.")
        else:
            kinds = " or ".join(lacking)
            yield Gap(
                code="person_needed", text=f"A person has to look at the {kinds} behind the words; no check does."
            )


def _against(told: Told) -> Iterator[str]:
    """Yield what contradicts a statement: failed findings that name the point, and claims that are refuted."""
    if told.state == "contradicted":
        yield from dict.fromkeys(
            finding.check for finding in told.bearing if finding.status is Status.FAIL and _names(finding, told.control)
        )
    for finding in told.bearing:
        if finding.check == CLAIMS_CHECK and finding.status is Status.FAIL:
            claim = claim_of(finding)
            yield f"the claim of {_words(claim.kind)} in {claim.source}"
    for statement in told.statements:
        if statement.state == "contradicted":
            yield f"the claim of {_words(statement.claim or '')} in {statement.source}"
        elif statement.answer == "contradicts" and statement.believed:
            yield f"words of {statement.source}"


def _words(kind: str) -> str:
    return kind.replace("_", " ")


def _names(finding: Finding, control: Control) -> bool:
    return control.id in finding.controls


def _only_words(control: Control, decided: Sequence[Finding]) -> tuple[str, ...]:
    """Return the kinds beside words where none is there; nothing where documents are all that is asked for."""
    kinds = tuple(kind for kind in control.evidence_kinds if kind not in _NOT_MEASURED)
    measured = any(
        kind_of(finding.check) in kinds
        for finding in decided
        if finding.strength is not Strength.DOCUMENT and finding.basis is not Basis.DECLARED
    )
    return () if measured or control.ceiling == "document" else kinds
