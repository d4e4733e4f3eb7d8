"""What a run reads: its documents, and what a language model, or an assessment that was handed in, says of them.

Made once for all checks of a run. What rests on a file that was handed in (an assessment, a calibration, a recording)
is declared, not measured, unless the policy of the run pins its digest.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from compliance.assessing import Assignment, Outcome, Readership, assessed
from compliance.assessment import Assessment, assessment_bytes, confidentiality_of, read_assessment
from compliance.assessment_records import AdmissionState
from compliance.calibration_file import Calibration, read_calibration
from compliance.catalogue import load_catalogue
from compliance.documents import Document, documents_of
from compliance.effort import asked_controls
from compliance.errors import ComplianceError
from compliance.judge_file import JudgeFile, load_judge_file
from reports.context import Context
from reports.model import Basis, System

__all__ = ["Reading", "reading_of"]

KEY = "compliance.reading"


@dataclass(frozen=True)
class Reading:
    """The documents of a run and what was read in them."""

    documents: tuple[Document, ...]
    """To be read."""
    assessment: Assessment | None = None
    """What was read; None without a reader."""
    judge_file: JudgeFile | None = None
    """Who was asked here; None where an assessment was handed in."""
    calibration: Calibration | None = None
    """Of the reader, where its file is at hand."""
    unpinned: tuple[str, ...] = ()
    """What was handed in and is not pinned by the policy: `assessment`, `calibration`, `cassette`."""
    evidence: tuple[str, ...] = ()
    """Digests of the assessment and of the recorded answers."""
    stale: tuple[str, ...] = ()
    """Paths of documents that are not those of the assessment that was handed in."""
    errors: tuple[ComplianceError, ...] = ()
    """What stopped questions."""

    @property
    def admission(self) -> AdmissionState | None:
        """What the calibration says of the reader; None where nobody read."""
        reader = None if self.assessment is None else self.assessment.judge
        return None if reader is None else reader.state

    @property
    def basis(self) -> Basis:
        """What findings on the reading rest on."""
        return Basis.DECLARED if self.unpinned else Basis.MEASURED


def reading_of(system: System, ctx: Context) -> Reading:
    """Return what this run reads, made once.

    The auditor's judge file comes first, then an assessment that the system names, then a judge file that it names.

    Raises:
        DocumentError: a document cannot be read.
        JudgeFileError: the judge file or the assessment cannot be used.
        CalibrationError: the calibration cannot be used.
        EgressRefused: a document would go where nobody allowed; nothing was sent.
        EndpointError: `endpoint.no_key`, the variable of a key is unset.
        CassetteError: there is no such recording.
    """
    return ctx.once(KEY, lambda: _reading(system, ctx))


def _reading(system: System, ctx: Context) -> Reading:
    documents = documents_of(system, ctx.folder)
    given = _named(system, ctx.folder, "assessment")
    own = _named(system, ctx.folder, "judge")
    if ctx.options.judge is None and given is not None:
        return _handed_in(given, documents, ctx, _named(system, ctx.folder, "calibration"))
    judge = ctx.options.judge or own
    if judge is None or not documents:
        return Reading(documents)
    return _asked(system, ctx, documents, judge)


def _handed_in(path: Path, documents: tuple[Document, ...], ctx: Context, calibration: Path | None) -> Reading:
    assessment, sha256 = read_assessment(path)
    read = {(one.path, one.sha256) for one in assessment.documents}
    return Reading(
        documents,
        assessment,
        calibration=None if calibration is None else read_calibration(calibration),
        unpinned=() if sha256 in ctx.options.pinned else ("assessment",),
        evidence=(_kept(ctx, assessment),),
        stale=tuple(one.path for one in documents if (one.path, one.sha256) not in read),
    )


def _asked(system: System, ctx: Context, documents: tuple[Document, ...], judge: Path) -> Reading:
    judge_file = load_judge_file(judge)
    readership = Readership(
        judge_file,
        judge.parent,
        consent=ctx.options.allow_remote_llm,
        calibration=_named(system, ctx.folder, "calibration"),
    )
    catalogue = load_catalogue(system.law_version, ctx.now.date())
    controls = asked_controls(catalogue, system.roles, ctx.effort)
    outcome = assessed(Assignment(documents, controls, catalogue, ctx.now.date(), ctx.effort), readership)
    path = readership.calibration_file
    return Reading(
        documents,
        outcome.assessment,
        judge_file,
        None if path is None else read_calibration(path),
        unpinned=tuple(_unpinned(outcome, readership, ctx.options.pinned)),
        evidence=tuple(_evidence(ctx, outcome)),
        errors=outcome.errors,
    )


def _unpinned(outcome: Outcome, readership: Readership, pinned: Sequence[str]) -> Iterator[str]:
    reader = outcome.assessment.judge
    if reader is None:
        return
    if reader.calibration_sha256 is not None and reader.calibration_sha256 not in pinned:
        yield "calibration"
    if readership.cassette_mode in ("replay", "auto") and reader.cassette_sha256 not in pinned:
        yield "cassette"


def _evidence(ctx: Context, outcome: Outcome) -> Iterator[str]:
    yield _kept(ctx, outcome.assessment)
    if outcome.transcript:
        level = confidentiality_of(outcome.assessment)
        yield ctx.evidence("questions and answers of the reader", outcome.transcript, "application/jsonl", level)


def _kept(ctx: Context, assessment: Assessment) -> str:
    data = assessment_bytes(assessment)
    return ctx.evidence("assessment of the documents", data, "application/json", confidentiality_of(assessment))


def _named(system: System, folder: Path, kind: str) -> Path | None:
    """Return where the first file of one kind lies, None where the system names none."""
    return next((folder / one.path.path for one in system.documents if one.kind == kind), None)
