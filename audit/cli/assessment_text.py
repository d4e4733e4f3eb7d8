"""An assessment for people: contradictions first, then each duty in words, then what all of it does not show."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from reports.wording import visible

if TYPE_CHECKING:
    from compliance.assessment import Assessed, Assessment
    from compliance.assessment_records import ClaimRecord

LONGEST = 100
"""Characters of a quote in the terminal."""
_STATUSES = {
    "invalid_output": "not assessed: no usable answer",
    "not_asked": "not assessed: not asked",
    "withheld": "not assessed: the document was seen to steer its reader",
}
_SILENT = {
    "insufficient_evidence": "not enough evidence: the documents do not say",
    "not_applicable": "not enough evidence: the reader takes it not to concern this system",
}
_SPOKEN = {
    "supports": "evidence for it",
    "partially_supports": "evidence for some of it",
    "contradicts": "evidence against it",
}
_BANDS = {"no_gap_found": "no gap found", "likely_gap": "a likely gap", "unclear": "unclear"}
_COLOURS = {"no_gap_found": "green", "likely_gap": "yellow"}


def text_of(assessment: "Assessment") -> str:
    """Return the lines for the terminal; nothing that a document wrote can steer it."""
    return "\n".join(_lines(assessment))


def _lines(assessment: "Assessment") -> Iterator[str]:
    yield f"{_count(len(assessment.documents), 'document')}, law of {assessment.law_version}, as of {assessment.on}"
    for document in assessment.documents:
        flagged = f", {_count(len(document.flags), 'flag')}" if document.flags else ""
        yield f"  {_shown(document.path)}  {document.characters} characters{flagged}"
        kinds = sorted({flag.kind for flag in document.flags})
        if kinds:
            yield click.style(f"    {', '.join(kinds)}", fg="yellow")
    contradicted = [claim for claim in assessment.claims if claim.state == "contradicted"]
    yield f"{_count(len(contradicted), 'claim')} contradicted by a measurement, of {len(assessment.claims)}"
    yield from (_claim(claim) for claim in contradicted)
    outdated = [one for one in assessment.citations if one.status not in ("ok", "unchecked")]
    if outdated:
        yield f"{_count(len(outdated), 'citation')} of {len(assessment.citations)} that this law does not have"
        for one in outdated:
            successor = f"; see {one.successor}" if one.successor else ""
            yield f"  {_shown(one.document)}: {_shown(one.input)}: {one.status.replace('_', ' ')}{successor}"
    if assessment.judge is not None:
        yield f"The reader: {assessment.judge.state.replace('_', ' ')}"
        yield from (f"  {_reading(one)}" for one in assessment.assessments)
    yield from (f"- {_shown(sentence, 1000)}" for sentence in assessment.limitations)


def _reading(one: "Assessed") -> str:
    flags = f" ({', '.join(one.flags).replace('_', ' ')})" if one.flags else ""
    return f"{one.control}  {_shown(one.document)}  {_told(one)}{flags}"


def _told(one: "Assessed") -> str:
    if one.answer is None:
        return click.style(_STATUSES[one.status], fg="red")
    if one.answer in _SILENT:
        return _SILENT[one.answer]
    if one.answer == "contradicts":
        return click.style(_SPOKEN[one.answer], fg="red")
    told = f"{_SPOKEN[one.answer]}; {_BANDS[one.band]}"
    return click.style(told, fg=_COLOURS[one.band]) if one.band in _COLOURS else told


def _claim(claim: "ClaimRecord") -> str:
    figure = "" if claim.value is None else f" {claim.value:g}"
    said = f'"{_shown(claim.source.quote)}"' if claim.source.quote else f"{claim.kind.replace('_', ' ')}{figure}"
    against = f"{claim.finding} failed"
    if claim.measurement is not None and claim.measured is not None:
        against = f"{claim.measurement} {claim.measured:g} ({claim.finding})"
    return click.style(f"  {_shown(claim.source.document)}: {said}, but {against}", fg="red")


def _shown(text: str, longest: int = LONGEST) -> str:
    one_line = " ".join(text.split())
    return visible(one_line if len(one_line) <= longest else f"{one_line[:longest]}…")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
