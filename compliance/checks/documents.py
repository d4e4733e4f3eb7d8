"""`compliance.documents`: what the documents show of each duty, as far as their reader may be believed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from compliance.assessment import Assessed
from compliance.catalogue import Catalogue, load_catalogue
from compliance.documents import Document
from compliance.errors import CatalogueError
from compliance.reading import Reading, reading_of
from reports.check import Context, check
from reports.model import Finding, Remedy, Severity, Status, Strength, System

_NO_READER = "Nobody read the documents: name an endpoint or give an assessment."
_TELLING = ("contradicts", "supports", "partially_supports", "insufficient_evidence", "not_applicable")
_OBSTACLES = {
    "not_asked": "The reader was not asked about every document.",
    "invalid_output": "The reader gave no usable answer.",
    "withheld": "A document was seen to steer its reader, so what it said is withheld.",
}
_LONGEST_QUOTE = 200


@dataclass(frozen=True)
class _Answer:
    status: Status
    summary: str
    reason: str = ""


@check(
    "compliance.documents",
    "The documents show this duty",
    needs=("documents",),
    kinds=("document",),
    strength=Strength.DOCUMENT,
    severity=Severity.MEDIUM,
)
def documents(system: System, ctx: Context) -> Iterator[Finding]:
    """Say of every duty that was asked about what the documents show; one finding each, key `control=ID`.

    Documents of one system are read as parts of one: one that contradicts outweighs one that supports, and so on.
    Passes where no gap was found, fails where one is likely or a passage is against the duty; both only by an admitted
    reader, measured for such a duty, with nothing in the way; a pass also needs that nothing handed in is unpinned. All
    else is inconclusive: silence of the documents is neither a gap nor the lack of one. Skipped without a reader.
    """
    reading = reading_of(system, ctx)
    assessment = reading.assessment
    if not reading.documents or assessment is None or assessment.judge is None or not assessment.assessments:
        yield ctx.finding(Status.SKIPPED, _NO_READER, reason="missing:judge")
        return
    catalogue = load_catalogue(assessment.law_version)
    by_control: dict[str, list[Assessed]] = {}
    for one in assessment.assessments:
        by_control.setdefault(one.control, []).append(one)
    for control, lines in by_control.items():
        answer = _answer(reading, lines)
        yield ctx.finding(
            answer.status,
            answer.summary,
            key=f"control={control}",
            basis=reading.basis,
            detail="\n".join(_quoted(lines, reading.documents)),
            evidence=reading.evidence[:1],
            controls=(control,),
            remedy=None if answer.status is Status.PASS else _remedy(control, catalogue),
            limitations=assessment.limitations,
            reason=answer.reason,
        )


def _answer(reading: Reading, lines: Sequence[Assessed]) -> _Answer:
    """Return what the documents together show of one duty."""
    if reading.stale:
        told = f"The assessment is not of these documents: {reading.stale[0]} differs or is missing."
        return _Answer(Status.INCONCLUSIVE, told, "stale")
    for status, told in _OBSTACLES.items():
        if any(one.status == status for one in lines):
            return _Answer(Status.INCONCLUSIVE, told, status.replace("_", "-"))
    telling = min((one.answer for one in lines if one.answer is not None), key=_TELLING.index)
    deciding = [one for one in lines if one.answer == telling]
    if telling == "insufficient_evidence":
        return _Answer(Status.INCONCLUSIVE, "The documents do not say.", "insufficient-evidence")
    if telling == "not_applicable":
        told = "The reader takes the duty not to concern this system; that is for a person to decide."
        return _Answer(Status.INCONCLUSIVE, told, "not-applicable")
    answer = _shown(deciding, contradicted=telling == "contradicts")
    if answer.status is Status.INCONCLUSIVE:
        return answer
    state = reading.admission or "uncalibrated"
    if state != "admitted":
        told = f"Undecided, the reader being {state.replace('_', ' ')}. It says: {answer.summary}"
        return _Answer(Status.INCONCLUSIVE, told, state.replace("_", "-"))
    if not all(one.believable(state) for one in deciding):
        flags = sorted({flag for one in deciding for flag in one.doubts})
        told = f"Undecided, the answer being flagged ({', '.join(flags).replace('_', ' ')}). It says: {answer.summary}"
        return _Answer(Status.INCONCLUSIVE, told, flags[0].replace("_", "-"))
    if answer.status is Status.PASS and reading.unpinned:
        told = f"Undecided, since no policy pins what was handed in ({', '.join(reading.unpinned)}). {answer.summary}"
        return _Answer(Status.INCONCLUSIVE, told, f"unpinned:{reading.unpinned[0]}")
    return answer


def _shown(deciding: Sequence[Assessed], *, contradicted: bool) -> _Answer:
    """Return what readings with the deciding answer show, if their reader is believed."""
    named = ", ".join(one.document for one in deciding)[:100]
    if contradicted:
        return _Answer(Status.FAIL, f"A passage of {named} is evidence against this duty.", "contradicts")
    bands = {one.band for one in deciding}
    if "no_gap_found" in bands:
        return _Answer(Status.PASS, f"{named} holds evidence for this duty, and no gap was found.")
    if bands == {"likely_gap"}:
        return _Answer(Status.FAIL, f"What {named} says of this duty leaves a likely gap.", "likely-gap")
    return _Answer(Status.INCONCLUSIVE, f"What {named} says of this duty is unclear.", "unclear")


def _quoted(lines: Sequence[Assessed], documents: Sequence[Document]) -> Iterator[str]:
    """Yield where the quotes stand; the words too, unless the document is confidential."""
    secret = {one.path for one in documents if one.classification == "confidential"}
    for line in lines:
        for quote in line.quotes:
            place = f"{line.document}, characters {quote.start} to {quote.end}"
            yield place if line.document in secret else f'{place}: "{_printable(quote.text)}"'


def _printable(text: str) -> str:
    shown = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return shown if len(shown) <= _LONGEST_QUOTE else f"{shown[:_LONGEST_QUOTE]}…"


def _remedy(control: str, catalogue: Catalogue) -> Remedy:
    try:
        duty = catalogue.get(control).text
    except CatalogueError:  # of an assessment that was handed in, under another law version
        duty = control
    return Remedy(parameter="documents", direction="add", text=f"Describe in the documents how this is done: {duty}.")
