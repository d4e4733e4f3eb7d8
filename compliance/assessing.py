"""From documents and whoever reads them to one assessment, and what it rests on.

    documents, duties, judge.toml ──assessed──▶ Outcome (assessment, recorded answers, what stopped it)

Without a reader everything that needs none is there: the scan, the citations, the claims.
"""

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final

from compliance.assessment import Assessment
from compliance.assessment_records import EgressRecord, JudgeRecord, MemberRecord, Usage
from compliance.catalogue import Catalogue, Control
from compliance.documents import Document
from compliance.effort import PLANS, bounded
from compliance.errors import CassetteError, ComplianceError
from compliance.judge_file import CassetteMode, Classification, JudgeFile
from compliance.limitations import limitations_of
from compliance.records import citation_records, claim_records, document_records
from reports.nouns import Effort

if TYPE_CHECKING:
    import httpx

    from compliance.claims import Claim
    from compliance.claims_compared import ComparedClaim
    from compliance.judge.judge import Judged
    from compliance.llm.panel import Panel
    from compliance.reader_state import Measured

__all__ = ["Assignment", "Outcome", "Readership", "assessed"]

CLASSIFICATIONS: Final[tuple[Classification, ...]] = ("public", "internal", "confidential")
"""In their order."""


@dataclass(frozen=True)
class Assignment:
    """What is read, for what."""

    documents: tuple[Document, ...]
    """Paths differ."""
    controls: tuple[Control, ...]
    """The duties to ask about."""
    catalogue: Catalogue
    """Of the law version."""
    on: date
    """The day."""
    effort: Effort
    """How much."""
    claims: tuple["ComparedClaim", ...] = ()
    """Of the documents and the system file, held against findings."""
    compare: "Callable[[Sequence[tuple[str, Claim]]], tuple[ComparedClaim, ...]] | None" = None
    """Holds further claims, by path, against the same findings; None: a model is not asked for any."""


@dataclass(frozen=True)
class Readership:
    """Who reads, and with what leave."""

    judge_file: JudgeFile
    """The models."""
    folder: Path
    """Its paths are below."""
    consent: tuple[str, ...] = ()
    """Remote hosts that the command line names."""
    samples: int | None = None
    """Instead of what judge file and effort say."""
    pairs: int | None = None
    """Planted pairs, instead of what the effort says; 0: none, and no decoys."""
    calibration: Path | None = None
    """Instead of the judge file's."""
    mode: CassetteMode | None = None
    """Of the cassette, instead of the judge file's."""
    cassette: Path | None = None
    """Its folder, instead of the judge file's."""

    @property
    def calibration_file(self) -> Path | None:
        """Where the calibration lies; None where there is none."""
        if self.calibration is not None:
            return self.calibration
        return None if self.judge_file.calibration is None else self.folder / self.judge_file.calibration

    @property
    def cassette_mode(self) -> CassetteMode:
        """What is done with the recording."""
        return self.mode or self.judge_file.cassette_mode


@dataclass(frozen=True)
class Outcome:
    """An assessment, and what it rests on."""

    assessment: Assessment
    """The file."""
    transcript: bytes | None = None
    """Every exchange that was recorded or replayed, one cassette entry a line; None where nothing was recorded."""
    errors: tuple[ComplianceError, ...] = ()
    """What stopped questions; what was finished is in the assessment all the same."""


def assessed(
    assignment: Assignment,
    readership: Readership | None,
    *,
    transport: "httpx.AsyncBaseTransport | None" = None,
) -> Outcome:
    """Return the assessment of some documents.

    Args:
        assignment: What is read.
        readership: Who reads; None for nobody.
        transport: Of all members; the guarded network where None.

    Raises:
        EgressRefused: a document would go where nobody allowed; no socket was opened.
        EndpointError: `endpoint.no_key`, the variable of a key is unset.
        CassetteError: `cassette.missing`, there is no such recording to replay.
        CalibrationError: the calibration file cannot be used.
        JudgeFileError: the context leaves no room for a document, or the cassette lies elsewhere.
    """
    if readership is None:
        return Outcome(_assessment(assignment))
    return asyncio.run(_read(assignment, readership, transport))


async def _read(
    assignment: Assignment, readership: Readership, transport: "httpx.AsyncBaseTransport | None"
) -> Outcome:
    from compliance.aireg import shipped_dataset  # numpy and httpx are paid for only where somebody reads
    from compliance.judge.judge import assess
    from compliance.judge.scope import Scope
    from compliance.llm.panel import open_panel
    from compliance.reader_state import Measured

    plan, judge_file = PLANS[assignment.effort], bounded(readership.judge_file, assignment.effort)
    measured = Measured.read(readership.calibration_file, assignment.on)
    samples = readership.samples or judge_file.samples or plan.samples
    pairs = plan.pairs if readership.pairs is None else readership.pairs
    async with open_panel(
        judge_file,
        readership.folder,
        consent=readership.consent,
        classification=_most_confidential(assignment.documents),
        mode=readership.mode,
        cassette=readership.cassette,
        transport=transport,
    ) as panel:
        scope = Scope(
            assignment.catalogue.version,
            pairs,
            shipped_dataset().items if pairs else (),
            plan.every_part,
            lambda readers: measured.calibrated(panel, readers),
        )
        seed = judge_file.seed
        judged = await assess(assignment.documents, assignment.controls, panel, samples=samples, seed=seed, scope=scope)
        further = await _further_claims(assignment, panel, seed) if plan.claims else ()
    root, altered = _root(panel)
    reader = _reader(panel, judged, measured, root, samples=samples, seed=seed)
    errors = judged.errors or altered
    return Outcome(_assessment(assignment, reader, judged, panel, further), _transcript(panel), errors)


async def _further_claims(assignment: Assignment, panel: "Panel", seed: int) -> "tuple[ComparedClaim, ...]":
    """Return the claims that the first member finds and no pattern does, held against the findings."""
    from compliance.judge.claim_reader import read_claims

    if assignment.compare is None:
        return ()
    found = await read_claims(panel.members[0], assignment.documents, seed=seed)
    known = [(one.document, one.claim) for one in assignment.claims]
    return assignment.compare([(path, claim) for path, claim in found if not _is_known(path, claim, known)])


def _is_known(path: str, claim: "Claim", known: "Sequence[tuple[str, Claim]]") -> bool:
    return any(
        path == other and claim.kind == one.kind and claim.start < one.end and one.start < claim.end
        for other, one in known
    )


def _root(panel: "Panel") -> tuple[str | None, tuple[ComplianceError, ...]]:
    """Return the root of the recording; of one that was altered there is none, and what is wrong with it."""
    if panel.cassette is None:
        return None, ()
    try:
        return panel.cassette.root(), ()
    except CassetteError as error:
        return None, (error,)


def _reader(
    panel: "Panel", judged: "Judged", measured: "Measured", root: str | None, *, samples: int, seed: int
) -> JudgeRecord:
    from compliance.judge.answer import SCHEMA_SHA256
    from compliance.judge.prompt import PROMPT_SHA256

    return JudgeRecord(
        members=tuple(
            MemberRecord(
                name=member.name,
                model=member.settings.model,
                reply_models=one.reply_models,
                host=member.settings.host,
                temperature=member.settings.temperature,
                top_p=member.settings.top_p,
                max_tokens=member.settings.max_tokens,
                context_tokens=member.settings.context_tokens,
            )
            for member, one in zip(panel.members, judged.readers, strict=True)
        ),
        samples=samples,
        seed=seed,
        state=measured.state(panel, judged.readers),
        radius=measured.calibrated(panel, judged.readers).radius,
        prompt_sha256=PROMPT_SHA256,
        schema_sha256=SCHEMA_SHA256,
        calibration_sha256=measured.sha256,
        cassette_sha256=root,
        panel_alpha=judged.panel_alpha,
    )


def _assessment(
    assignment: Assignment,
    reader: JudgeRecord | None = None,
    judged: "Judged | None" = None,
    panel: "Panel | None" = None,
    further: "Sequence[ComparedClaim]" = (),
) -> Assessment:
    documents = document_records(assignment.documents, {} if judged is None else judged.uncovered)
    assessments = () if judged is None else judged.assessments
    members = () if reader is None else reader.members
    usage = Usage() if panel is None else Usage(**dataclasses.asdict(panel.usage))
    return Assessment(
        law_version=assignment.catalogue.version,
        on=assignment.on,
        effort=assignment.effort,
        judge=reader,
        documents=documents,
        assessments=assessments,
        planted=() if judged is None else judged.planted,
        decoys=() if judged is None else judged.decoys,
        claims=(*claim_records(assignment.claims), *claim_records(further, by_model=True)),
        citations=citation_records(assignment.documents, assignment.catalogue),
        egress=() if panel is None else tuple(EgressRecord(**dataclasses.asdict(one)) for one in panel.egress),
        usage=usage,
        limitations=limitations_of(
            None if reader is None else reader.state,
            documents,
            assessments,
            {name for one in members for name in (one.model, *one.reply_models)},
            planted=judged is not None and bool(judged.planted),
            recorded=panel is not None and panel.cassette is not None,
            local=panel is not None and panel.local,
            dropped=() if panel is None else panel.dropped,
        ),
    )


def _most_confidential(documents: Sequence[Document]) -> Classification:
    return max((one.classification for one in documents), key=CLASSIFICATIONS.index, default="public")


def _transcript(panel: "Panel") -> bytes | None:
    """Return every entry that was read or written, one a line, in the order of their keys."""
    cassette = panel.cassette
    if cassette is None:
        return None
    return b"".join(cassette.file_of(key).read_bytes() + b"\n" for key in cassette.used)
