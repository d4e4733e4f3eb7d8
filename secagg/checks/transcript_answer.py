"""One rule for all checks that read transcripts: which violations fail, what leaves doubt, and how a pass is earned.

A pass needs three things: no violation that the check answers for, no transcript that leaves doubt, and a control: the
same verification, given the same transcript with one fault planted, must report that fault.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from reports.canonical import canonical_json
from reports.check import Context
from reports.errors import FileError
from reports.model import (
    Basis,
    Confidentiality,
    Finding,
    Measurement,
    Remedy,
    Severity,
    Status,
    Strength,
    System,
    Threshold,
)
from secagg.checks.transcript_codes import DOUBT_REMEDIES, TRANSCRIPTS, UNREADABLE, owned_codes, remedy_of, severity_of
from secagg.checks.transcript_control import NO_CONTROL, Control, plant_faults
from secagg.checks.transcript_question import Doubt, Found, Question, fit
from secagg.checks.transcript_rounds import Recorded, recorded
from secagg.recomputation import ABSENT
from secagg.rounds import across
from secagg.verification import BESIDE, BROKEN, SIGNED, VerifiedRound
from secagg.wire import MalformedRecord

SHOWN = 20
"""Violations that are listed one by one; the rest are counted."""
UNSIGNED = (
    "Not every record is signed by a vouched identity: the chain shows that nothing changed since it was written, "
    "not who wrote it."
)


@dataclass(frozen=True)
class Judged:
    """What the transcripts say of one question, before it becomes a finding."""

    rounds: tuple[VerifiedRound, ...]
    found: tuple[Found, ...]
    doubts: tuple[Doubt, ...]
    control: Control


def ask_transcripts(question: Question, system: System, ctx: Context) -> Finding:
    """Return the finding of a check that asks `question` of the declared transcripts."""
    try:
        records = recorded(system, ctx)
    except (FileError, MalformedRecord) as error:
        return unreadable(error, ctx)
    return told(question, judge(question, records, system, ctx), ctx, evidence=verification_evidence(records, ctx))


def judge(question: Question, records: Recorded, system: System, ctx: Context) -> Judged:
    """Return what the transcripts say; the control runs only where nothing else stands against a pass."""
    codes = owned_codes(ctx.check.id, system)
    rounds = records.verification.transcripts
    found = tuple(sorted(_found(question, records, codes), key=lambda one: -_severity(one, ctx).rank))  # gravest first
    doubts = tuple(doubt for one in rounds for doubt in _doubts(question, one, codes))
    control = NO_CONTROL
    if not found and not doubts and len(rounds) >= question.least:
        control = plant_faults(records, question.planted or tuple(sorted(codes)), ctx)
    return Judged(rounds, found, doubts, control)


def told(
    question: Question,
    judged: Judged,
    ctx: Context,
    *,
    evidence: str,
    key: str = "",
    basis: Basis = Basis.RECORDED,
    strength: Strength | None = None,
    measurements: Iterable[Measurement] = (),
    remedy: Remedy | None = None,
    limitations: Iterable[str] = (),
) -> Finding:
    """Return the finding that follows from what was judged; what is given besides is added, or takes its place."""
    status, reason, summary = _decided(question, judged)
    codes = frozenset(one.violation.code for one in judged.found)
    return ctx.finding(
        status,
        summary,
        key=key,
        severity=severity_of(codes, ctx.check.severity),
        strength=strength,
        basis=basis,
        detail="\n".join(_detail(judged)),
        measurements=(*_measurements(judged), *measurements),
        evidence=(evidence,),
        remedy=remedy or _remedy(judged),
        limitations=(*_limitations(judged.rounds), *question.limitations, *limitations),
        reason=reason,
    )


def unreadable(error: Exception, ctx: Context) -> Finding:
    """Return the finding where a declared file is no transcript."""
    problem = (error.message if isinstance(error, FileError) else str(error)).replace(f"{ctx.folder}/", "")
    return ctx.finding(
        Status.INCONCLUSIVE,
        "A declared file could not be read as what it is declared to be.",
        severity=Severity.MEDIUM,
        basis=Basis.RECORDED,
        detail=fit(problem, 1000),
        remedy=Remedy(parameter=TRANSCRIPTS, direction="set", text="Declare the folders of recorded rounds."),
        reason=f"invalid:{TRANSCRIPTS}",
    )


def verification_evidence(records: Recorded, ctx: Context) -> str:
    """Keep what verification says of all transcripts, and return its digest: one piece for all checks of a run."""
    document = {"schema": "fedaudit.secagg.verification/1", **records.verification.as_fields()}
    data = canonical_json(document)
    return ctx.evidence("verification of the transcripts", data, "application/json", Confidentiality.CONFIDENTIAL)


def _found(question: Question, records: Recorded, codes: frozenset[str]) -> Iterator[Found]:
    own = bool(codes & UNREADABLE)  # the check that answers for false records judges them; to others they say nothing
    rounds = records.verification.transcripts
    readable = [one for one in rounds if own or not _changed(one)]
    for one in readable:
        yield from (Found(one.path, violation) for violation in one.violations if violation.code in codes)
        yield from question.lacks(one)
    together = records.verification.cross_round if len(readable) == len(rounds) else across(readable)
    yield from (Found("", violation) for violation in together.violations if violation.code in codes)


def _severity(one: Found, ctx: Context) -> Severity:
    return severity_of(frozenset((one.violation.code,)), ctx.check.severity)


def _changed(one: VerifiedRound) -> bool:
    return any(violation.code in UNREADABLE for violation in one.violations)


def _doubts(question: Question, one: VerifiedRound, codes: frozenset[str]) -> Iterator[Doubt]:
    if any(violation.code in codes for violation in one.violations):
        return
    if _changed(one):
        yield Doubt(one.path, "not-authentic", "was changed or is malformed, so nothing can be told from it")
    elif one.authenticity == BROKEN:
        yield Doubt(one.path, "not-authentic", "bears signatures or identities that do not hold")
    elif one.aggregate == ABSENT:
        yield Doubt(one.path, "incomplete-transcript", f"ends before the aggregate, after {one.last or 'nothing'}")
    else:
        yield from question.doubts(one)


def _decided(question: Question, judged: Judged) -> tuple[Status, str, str]:
    """Return status, reason and summary."""
    rounds = f"{len(judged.rounds)} transcript{'' if len(judged.rounds) == 1 else 's'}"
    if judged.found:
        first = judged.found[0].as_sentence()
        more = f" ({len(judged.found) - 1} more)" if len(judged.found) > 1 else ""
        return Status.FAIL, "", f"{fit(first, 250)}{more}."
    if judged.doubts:
        first_doubt = judged.doubts[0]
        more = f" ({len(judged.doubts) - 1} more)" if len(judged.doubts) > 1 else ""
        return Status.INCONCLUSIVE, first_doubt.reason, f"{fit(str(first_doubt), 250)}{more}."
    if len(judged.rounds) < question.least:
        wanted = f"{TRANSCRIPTS}[{question.least - 1}]"
        return Status.SKIPPED, f"missing:{wanted}", f"{question.least} transcripts are needed; declared: {rounds}."
    if not judged.control.held:
        return Status.INCONCLUSIVE, "control-failed", f"A planted fault went unnoticed: {judged.control.missed[0]}."
    return Status.PASS, "", question.sound.format(rounds=rounds)


def _detail(judged: Judged) -> Iterator[str]:
    yield from (f"{one}." for one in judged.found[:SHOWN])
    if len(judged.found) > SHOWN:
        yield f"{len(judged.found) - SHOWN} more."
    yield from (f"Undecided: {doubt}." for doubt in judged.doubts[:SHOWN])
    if judged.control.planted:
        yield judged.control.as_sentence()


def _measurements(judged: Judged) -> Iterator[Measurement]:
    rounds, control = len(judged.rounds), judged.control
    yield Measurement(
        name="violations",
        value=len(judged.found),
        n=rounds,
        method="codes of this check among all that verification of the transcripts reports",
        threshold=Threshold(op="<=", limit=0),
        control=control.noticed if control.planted else None,
    )
    if control.planted:
        yield Measurement(
            name="planted_faults_noticed",
            value=control.noticed,
            n=control.planted,
            method="verification of the same transcript with one fault planted",
            threshold=Threshold(op=">=", limit=control.planted),
        )


def _remedy(judged: Judged) -> Remedy | None:
    if judged.found:
        first = judged.found[0]
        return first.remedy or remedy_of(first.violation.code)
    if judged.doubts:
        return DOUBT_REMEDIES.get(judged.doubts[0].reason)
    return None


def _limitations(rounds: Sequence[VerifiedRound]) -> Iterator[str]:
    yield "A transcript shows what passed the server that wrote it; what was said elsewhere it does not show."
    if any(one.authenticity != SIGNED for one in rounds):
        yield UNSIGNED
    elif any(one.identities == BESIDE for one in rounds):
        yield "The vouching file lies beside the transcript: whoever wrote the one can have written the other."
