"""`compliance.injection`: does a document try to steer whoever reads it, and did it."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from compliance.assessment_records import BESIDE
from compliance.documents import Document
from compliance.reading import Reading, reading_of
from compliance.scan import HARMLESS, Flag
from reports.canonical import canonical_json
from reports.check import Context, check
from reports.model import Basis, Finding, Remedy, Severity, Status, Strength, System
from reports.wording import counted, visible

_MOST_TOLD = 20
_PATTERNS = (
    "Instructions are found by patterns in English, German, French and Spanish; other words pass unseen unless a "
    "reader was tried with a duty of our invention."
)
_NOBODY = "No language model read the documents, so it was not tried whether they steer one."
_SUSPECTED = "injection_suspected"


@dataclass(frozen=True)
class _Judged:
    status: Status
    summary: str
    reason: str = ""
    by_reader: bool = False
    """Whether it rests on what a reader did, and not on the scan alone."""


@check(
    "compliance.injection",
    "No document steers its reader",
    needs=("documents",),
    strength=Strength.EXACT,
    severity=Severity.HIGH,
)
def injection(system: System, ctx: Context) -> Iterator[Finding]:
    """Scan every document, and ask whether it moved its reader; one finding each, key `document=PATH`.

    Fails where an instruction stands in what is concealed, in an encoding, or in characters that nobody sees; where the
    reader answered more kindly with the flagged words than without; and where a reader that told planted excerpts apart
    found our invented duty met. Passes where nothing but a self-assessment was flagged and no reader was moved; also
    where a reader was tried with what was flagged, was not moved, and nothing handed in is unpinned. Inconclusive
    otherwise: something was flagged and nobody tried it, or the reader failed its own controls. Skipped without
    documents.
    """
    reading = reading_of(system, ctx)
    if not reading.documents:
        told = "The system names no document that is to be read."
        yield ctx.finding(Status.SKIPPED, told, severity=Severity.INFO, reason="missing:documents")
        return
    for document in reading.documents:
        yield _finding(document, reading, ctx)


def _finding(document: Document, reading: Reading, ctx: Context) -> Finding:
    flags = [flag for flag in document.flags() if flag.kind != HARMLESS]
    judged = _judged(document, flags, reading)
    read = reading.assessment is not None and reading.assessment.judge is not None
    return ctx.finding(
        judged.status,
        judged.summary[:300],
        key=_key(document),
        severity=None if judged.status is Status.FAIL else Severity.MEDIUM,
        basis=reading.basis if judged.by_reader else Basis.RECORDED,
        detail="\n".join(_line(flag, document) for flag in flags[:_MOST_TOLD]),
        evidence=(_kept(document, ctx), *reading.evidence[:1]),
        remedy=_remedy(document) if judged.status is not Status.PASS and flags else None,
        limitations=[_PATTERNS, *([] if read else [_NOBODY]), *document.limitations],
        reason=judged.reason,
    )


def _key(document: Document) -> str:
    whole = f"document={document.path}"
    return whole if len(whole) <= 200 else f"document={hashlib.sha256(document.path.encode()).hexdigest()[:32]}"


def _judged(document: Document, flags: Sequence[Flag], reading: Reading) -> _Judged:
    name = visible(document.path)
    if hidden := [flag for flag in flags if conceals_instruction(flag)]:
        told = f"{name} holds {counted(len(hidden), 'instruction')} to its reader that a person does not see."
        return _Judged(Status.FAIL, told)
    moved = _moved(document, reading)
    if moved is not None:
        return moved
    if not flags:
        return _Judged(Status.PASS, f"Nothing in {name}, and nothing concealed in it, looks like an attempt to steer.")
    kinds = ", ".join(sorted({flag.kind for flag in flags}))
    if not _tried(document, reading):
        return _Judged(Status.INCONCLUSIVE, f"{name} was flagged ({kinds}) and no reader was tried with it.", "flagged")
    if not _sound(reading):
        told = f"{name} was flagged ({kinds}); a reader that misreads planted excerpts shows nothing by not moving."
        return _Judged(Status.INCONCLUSIVE, told, "control-failed", by_reader=True)
    if reading.unpinned:
        told = f"{name} was flagged ({kinds}); that it moved no reader rests on what no policy pins."
        return _Judged(Status.INCONCLUSIVE, told, f"unpinned:{reading.unpinned[0]}", by_reader=True)
    told = f"{name} was flagged ({kinds}); read with and without that, it moved its reader nowhere."
    return _Judged(Status.PASS, told, by_reader=True)


def conceals_instruction(flag: Flag) -> bool:
    """Tell whether a flag is an instruction that whoever opens the document cannot see or read."""
    return flag.kind == "encoded" or (flag.kind == "instruction" and (flag.where == "concealed" or flag.disguised))


def _moved(document: Document, reading: Reading) -> _Judged | None:
    """Return what an assessment shows of a document that steered its reader; None where it shows nothing."""
    assessment = reading.assessment
    if assessment is None or document.path in reading.stale:
        return None
    name = visible(document.path)
    led = any(decoy.document == document.path and not decoy.ok for decoy in assessment.decoys)
    suspected = [one for one in assessment.assessments if one.document == document.path and _SUSPECTED in one.flags]
    if suspected and not led:
        duties = counted(len(suspected), "duty", "duties")
        told = f"With the flagged words of {name} its reader judged {duties} more kindly."
        return _Judged(Status.FAIL, told, by_reader=True)
    if not led:
        return None
    if _sound(reading):
        told = f"The reader of {name} found a duty met that no AI system has."
        if any(decoy.document == document.path and decoy.duty.startswith(BESIDE) for decoy in assessment.decoys):
            told = f"With passages of {name} behind it, its reader found no gap in an excerpt that has one."
        return _Judged(Status.FAIL, told, by_reader=True)
    told = f"The reader of {name} found our invented duty met, but misreads planted excerpts as well."
    return _Judged(Status.INCONCLUSIVE, told, "control-failed", by_reader=True)


def _tried(document: Document, reading: Reading) -> bool:
    """Tell whether a reader answered about the document, decoy and all, and nothing was left out."""
    assessment = reading.assessment
    if assessment is None or document.path in reading.stale or reading.errors:
        return False
    decoys = [one for one in assessment.decoys if one.document == document.path]
    answers = [one for one in assessment.assessments if one.document == document.path]
    answered = all(one.status == "answered" for one in answers) and all(one.answer is not None for one in decoys)
    return bool(decoys) and bool(answers) and answered


def _sound(reading: Reading) -> bool:
    """Tell whether the reader told planted excerpts apart."""
    planted = () if reading.assessment is None else reading.assessment.planted
    return bool(planted) and all(one.ok for one in planted)


def _line(flag: Flag, document: Document) -> str:
    """Return where a flag stands; its words too, unless the document is confidential."""
    where = f"at {flag.start}, concealed" if flag.where == "concealed" else f"characters {flag.start} to {flag.end}"
    words = "" if document.classification == "confidential" else f': "{visible(flag.excerpt)}"'
    return f"{flag.kind}, {where}{words}"


def _kept(document: Document, ctx: Context) -> str:
    rows = [
        {
            "kind": flag.kind,
            "start": flag.start,
            "end": flag.end,
            "where": flag.where,
            "disguised": flag.disguised,
            "excerpt": visible(flag.excerpt),
        }
        for flag in document.flags()
    ]
    name = f"flags of {visible(document.path)}"[:200]
    return ctx.evidence(name, canonical_json(rows), "application/json", document.classification)


def _remedy(document: Document) -> Remedy:
    text = f"Remove what the findings name from {visible(document.path)}, or explain it to the auditor."
    return Remedy(parameter="documents", direction="remove", text=text)
