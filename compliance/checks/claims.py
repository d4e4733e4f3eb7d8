"""`compliance.claims`: what the documents and the system file claim, beside what was measured."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence

from compliance.claim_kinds import claim_kinds
from compliance.claims_compared import SYSTEM_FILE, ComparedClaim, compared_claims, gravest
from compliance.documents import Document, documents_of
from reports.canonical import canonical_json
from reports.check import Context, check
from reports.model import Basis, Finding, Measurement, Remedy, Severity, Status, Strength, System, Threshold
from reports.wording import number, quantity, visible

_STATUS = {"contradicted": Status.FAIL, "inconsistent": Status.FAIL, "consistent": Status.PASS}
_TOLD = {
    "contradicted": "which contradicts it",
    "inconsistent": "another statement of the same differs",
    "ambiguous": "it is not asserted plainly enough to be held against a measurement",
    "not_comparable": "what was measured is of another unit of privacy, or at another delta",
    "untested": "nothing was measured that decides it",
    "not_contradicted": "which does not contradict it and cannot confirm it",
    "consistent": "which agrees",
}
_CLAIMED = {
    "no_reconstruction": "that nothing can be rebuilt",
    "secure_aggregation": "that updates are only seen in sum",
    "unlearned": "that somebody was forgotten",
}
_ANSWERED: Mapping[Status | None, str] = {Status.PASS: "passed", Status.FAIL: "failed"}
_LIMITS = {"at-most": "<=", "at-least": ">="}
_BY_RULE = "Claims were found by English patterns; a claim in other words, or in another language, was not seen."
_NO_UNIT = "A statement of epsilon that names no unit of privacy was read as one of the declared unit."
_MOST_QUOTED = 8


@check(
    "compliance.claims",
    "No claim is contradicted by a measurement",
    needs=("findings", "documents|claims"),
    controls=(),
    kinds=("document",),
    strength=Strength.DOCUMENT,
    severity=Severity.MEDIUM,
)
def claims(system: System, ctx: Context) -> Iterator[Finding]:
    """Hold every claim of the documents and of `[claims]` against the findings; one finding a kind of claim and source.

    Fails where a decided finding shows with its whole interval that a claim is false (high), and where two sources, or
    a document and the declaration, differ and no measurement settles it (medium). Passes where every claim of the kind
    is consistent: compared with a figure that could have contradicted it, of a finding that passes. Inconclusive
    otherwise, so for hedged and ambiguous claims. Skipped where nothing is claimed. The strength is that of what
    decides.
    """
    documents = ctx.once("compliance.claims documents", lambda: documents_of(system, ctx.folder))
    compared = compared_claims(documents, system, ctx.findings)
    if not compared:
        told = "Neither the documents nor [claims] hold a claim that a measurement could answer."
        yield ctx.finding(Status.SKIPPED, told, severity=Severity.INFO, reason="not-applicable:no-claims")
        return
    grouped: dict[tuple[str, str], list[ComparedClaim]] = {}
    for one in compared:
        grouped.setdefault((one.claim.kind, one.document), []).append(one)
    by_path = {document.path: document for document in documents}
    for (kind, source), group in grouped.items():
        yield _finding(kind, source, group, by_path.get(source), system, ctx)


def _finding(
    kind: str,
    source: str,
    group: Sequence[ComparedClaim],
    document: Document | None,
    system: System,
    ctx: Context,
) -> Finding:
    state = gravest(one.state for one in group)
    telling = next(one for one in group if one.state == state)
    status = _STATUS.get(state, Status.INCONCLUSIVE)
    found = {(one.check, one.key): one for one in ctx.findings}
    deciding = [found[one.finding, one.key] for one in group if one.finding is not None and one.state == state]
    measurements = list(_measurements(telling, found, status))
    strength = _strength(deciding, measurements, status)
    classification = document.classification if document is not None else "internal"
    records = canonical_json([_record(one) for one in group])
    held = ctx.evidence(f"claims {kind}", records, "application/json", classification)
    limitations = [_BY_RULE] if document is not None else []
    if kind == "epsilon" and any(not one.claim.unit for one in group):
        limitations.append(_NO_UNIT)
    return ctx.finding(
        status,
        _summary(telling, len(group), found[telling.finding, telling.key].status if telling.finding else None),
        key=_key(kind, source),
        severity=Severity.HIGH if state == "contradicted" else None,
        strength=strength,
        basis=deciding[0].basis if deciding else Basis.DECLARED,
        detail="\n".join(_line(one, found, classification) for one in group[:_MOST_QUOTED]),
        measurements=measurements,
        evidence=(held,),
        controls=_controls(kind, source, system),
        remedy=_remedy(telling, kind, source, system) if status is Status.FAIL else None,
        limitations=(*limitations, *(document.limitations if document is not None else ())),
        reason="" if status is not Status.INCONCLUSIVE else state.replace("_", "-"),
    )


def _strength(deciding: Sequence[Finding], measurements: Sequence[Measurement], status: Status) -> Strength:
    """Return the weakest strength of what decides; a statement held against a declaration is a document's."""
    if not deciding:
        return Strength.DOCUMENT
    weakest = min((one.strength for one in deciding), key=lambda strength: strength.rank)
    could_fail = any(one.interval is not None and one.n and one.control is not None for one in measurements)
    if weakest is Strength.STATISTICAL and status is Status.PASS and not could_fail:
        return Strength.SCREENING  # no control stands behind the figure, so it is no statistical proof of a pass
    return weakest


def _measurements(
    one: ComparedClaim, found: Mapping[tuple[str, str], Finding], status: Status
) -> Iterator[Measurement]:
    """Yield the claimed figure, and what was measured with the claim as its limit."""
    kind, claim = claim_kinds()[one.claim.kind], one.claim
    if claim.value is not None and kind.says in _LIMITS:
        told = "as stated in [claims]" if one.document == SYSTEM_FILE else "as stated in the document"
        yield Measurement(name=f"{claim.kind}_claimed", value=claim.value, method=told)
    if one.finding is None:
        return
    for figure in found[one.finding, one.key].measurements:
        if one.measurement is None and figure.interval is not None and figure.control is not None:
            yield figure  # the status answers; this is what could have failed
        elif figure.name == one.measurement and figure.name != f"{claim.kind}_claimed":
            yield figure.model_copy(update={"threshold": _limit(figure.value, one, status)})


def _limit(value: float, one: ComparedClaim, status: Status) -> Threshold | None:
    """Return the claim as a limit of the measurement, unless it passes by the slack alone."""
    op = _LIMITS.get(claim_kinds()[one.claim.kind].says)
    if op is None or one.claim.value is None:
        return None
    missed = value > one.claim.value if op == "<=" else value < one.claim.value
    return None if missed and status is Status.PASS else Threshold.model_validate({"op": op, "limit": one.claim.value})


def _summary(one: ComparedClaim, of: int, status: Status | None) -> str:
    """Return what is claimed and what stands against or for it; `status` is that of the finding that decides."""
    source = one.document if len(one.document) <= 80 else f"…{one.document[-79:]}"
    name = one.claim.kind.replace("_", " ")
    claimed = _CLAIMED.get(one.claim.kind) or f"{name} {number(one.claim.value or 0.0)}"
    several = f", the gravest of {of} such claims" if of > 1 else ""
    if one.finding is not None:
        answer = f"answers {number(one.measured)}" if one.measured is not None else _ANSWERED.get(status, "answered")
        told = f"{one.finding} {answer}, {_TOLD[one.state]}"
    else:
        told = "the declaration agrees" if one.state == "consistent" else _TOLD[one.state]
    return f"{visible(source)} claims {claimed}{several}; {told}."[:300]


def _line(one: ComparedClaim, found: Mapping[tuple[str, str], Finding], classification: str) -> str:
    """Return quote and measurement side by side; the words of a confidential document stay in the evidence."""
    claim = one.claim
    place = "system.toml" if one.document == SYSTEM_FILE else f"characters {claim.start} to {claim.end}"
    words = visible(" ".join(claim.quote.split()))
    quote = f"a confidential sentence ({place})" if classification == "confidential" else f"“{words}” ({place})"
    doubt = f", {claim.doubt}" if claim.doubt else ""
    line = f"{quote}: {one.state.replace('_', ' ')}{doubt}."
    if one.finding is None:
        return line
    finding = found[one.finding, one.key]
    figure = next((figure for figure in finding.measurements if figure.name == one.measurement), None)
    told = f"{figure.name} {quantity(figure)}" if figure is not None else finding.summary
    return f"{line} Measured by {one.finding} ({finding.status}): {told}"


def _record(one: ComparedClaim) -> dict[str, object]:
    claim = one.claim
    return {
        "kind": claim.kind, "value": claim.value, "unit": claim.unit, "doubt": claim.doubt, "document": one.document,
        "quote": visible(claim.quote), "start": claim.start, "end": claim.end, "state": one.state,
        "measurement": one.measurement, "measured": one.measured, "finding": one.finding, "key": one.key,
    }  # fmt: skip


def _key(kind: str, source: str) -> str:
    whole = f"claim={kind} source={source}"
    return whole if len(whole) <= 200 else f"claim={kind} source={hashlib.sha256(source.encode()).hexdigest()[:32]}"


def _controls(kind: str, source: str, system: System) -> tuple[str, ...]:
    known = claim_kinds()[kind]
    kinds = {str(one.kind) for one in system.documents if one.path.path == source}
    return (*known.controls, *(control for name in sorted(kinds) for control in known.documents.get(name, ())))


def _remedy(one: ComparedClaim, kind: str, source: str, system: System) -> Remedy:
    declared = source == SYSTEM_FILE
    places = [index for index, given in enumerate(system.documents) if given.path.path == source]
    parameter = f"claims.{kind}" if declared else f"documents[{places[0]}].path" if places else "documents"
    settable = declared and one.measured is not None and one.claim.value and one.state == "contradicted"
    value = f"{one.measured:.4g}" if settable else None  # a document's path takes no figure
    text = "Say what was measured, or mend the system until a measurement agrees with what is said."
    if one.state == "inconsistent":
        text = "Let every document and the system file say the same."
    return Remedy(parameter=parameter, direction="set", value=value, text=text)
