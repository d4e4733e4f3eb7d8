"""What an assessment does not show, in fixed sentences: they stand beside every reading."""

from collections.abc import Collection, Iterator, Sequence
from typing import Final

from compliance.assessment import Assessed
from compliance.assessment_records import AdmissionState, DocumentRecord

__all__ = ["STAND_IN_LABEL", "STAND_IN_MODEL", "limitations_of"]

STAND_IN_MODEL: Final = "scripted-stand-in"
"""The name by which `compliance.llm.stand_in` is asked for."""
STAND_IN_LABEL: Final = (
    "Recorded answers of a scripted stand-in, to show the mechanics. No language model read this document."
)
"""Stands on every page that shows what it said."""
_EXPERTS = (
    "The experts that readers are measured against judged by the text of 2024, on synthetic excerpts of about 800 "
    "words and one article each; no federated system was among them, and within violations they agree little "
    "(alpha 0.145)."
)
_STATES: Final[dict[AdmissionState, str]] = {
    "not_admitted": "The reader does not meet the calibration bar; what it read decides nothing.",
    "expired": "The calibration of the reader has expired; what it read decides nothing.",
    "mismatch": "The calibration is that of another reader; what this one read decides nothing.",
    "uncalibrated": "The reader was never measured against experts; what it read decides nothing.",
}


def limitations_of(
    state: AdmissionState | None,
    documents: Sequence[DocumentRecord],
    assessments: Sequence[Assessed],
    models: Collection[str],
    *,
    planted: bool,
    recorded: bool,
    local: bool,
    dropped: Sequence[str] = (),
) -> tuple[str, ...]:
    """Return what an assessment does not show.

    Args:
        state: What the calibration says; None where nobody read.
        documents: That were read.
        assessments: Readings.
        models: Names of the models, as asked for and as they call themselves.
        planted: Whether the reader was tried on planted excerpts.
        recorded: Whether its answers were recorded.
        local: Whether all members answer on this machine's own address.
        dropped: Parameters that an endpoint does not know, and was asked without.
    """
    found = _sentences(state, documents, assessments, models, planted=planted, recorded=recorded, local=local)
    without = (f"The endpoint does not know {', '.join(dropped)} and was asked without.",) if dropped else ()
    return (*found, *without)


def _sentences(
    state: AdmissionState | None,
    documents: Sequence[DocumentRecord],
    assessments: Sequence[Assessed],
    models: Collection[str],
    *,
    planted: bool,
    recorded: bool,
    local: bool,
) -> Iterator[str]:
    if STAND_IN_MODEL in models:
        yield STAND_IN_LABEL
    if state is None:
        yield "No language model was named, so nobody read the documents for what they show."
    else:
        if state in _STATES:
            yield _STATES[state]
        yield _EXPERTS
        yield "Words that steer a reader for some duties alone, and that no pattern knows, may go unnoticed."
        if not planted:
            yield "The reader was tried on no planted excerpt, so nothing that it found sound counts."
        if not recorded:
            yield "The answers were not recorded, so nobody can derive this again from them."
        if local:
            yield "The endpoint is on this machine; whether it passes documents on cannot be seen from here."
    if any("uncalibrated" in one.flags for one in assessments):
        yield "Readers were measured for Arts. 9, 10, 12, 14 and 15 in English alone; other readings carry a flag."
    if unread := sum(one.uncovered_characters for one in documents):
        yield f"{unread} characters of the documents were not put to the reader for every duty."
    if left_out := sum(one.not_read for one in documents):
        yield f"{left_out} pieces of the documents, such as pictures, were not read."
    if any(one.media_type == "application/pdf" for one in documents):
        yield "Invisible text of a PDF cannot be told from visible text."
