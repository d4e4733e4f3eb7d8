"""May a reader be believed here: by its calibration, on this day, for this duty and this document."""

import re
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Protocol

from compliance.aireg import ARTICLES
from compliance.assessment_records import AdmissionState
from compliance.calibration_file import Calibration
from compliance.fingerprint import Fingerprint

__all__ = ["VALID_DAYS", "AdmissionState", "Cited", "admission", "is_english", "measured_for"]

VALID_DAYS = 90
"""A calibration is older than its model after that; a server may change one under the same name."""
_REWORDED = ("EU-AIA:10(1)", "EU-AIA:10(6)")
"""Paragraphs with other words since 2026-07-27; 4a(1) is outside the measured articles anyway."""
_CITATION = re.compile(r"EU-AIA:(\d+)(?:\(|$)")
_WORD = re.compile(r"[^\W\d_]+")
_ENGLISH = frozenset(["the", "of", "and", "to", "in", "a", "is", "that", "for", "be", "by", "with", "are", "on", "as"])
_LEAST_SHARE = 0.1
"""Of a document's words; inferred: each of the 60 shipped excerpts has more."""


class Cited(Protocol):
    """A duty, as the catalogue has it."""

    @property
    def citations(self) -> Sequence[object]:
        """Where it stands in the law, canonical, such as `EU-AIA:9(2)(a)`."""


def admission(calibration: Calibration | None, fingerprint: Fingerprint | None, on: date) -> AdmissionState:
    """Return what a calibration says of the reader at work.

    Args:
        calibration: Of some reader; None where there is none.
        fingerprint: Of the reader at work; None where nothing is known of it.
        on: The day of the reading.

    Returns:
        "uncalibrated", there is none; "mismatch", it is of another reader; "expired", it is more than 90 days old, or
        of a later day; "not_admitted", the reader does not meet the bar, or its scores were handed in; "admitted".
    """
    if calibration is None:
        return "uncalibrated"
    made_of = calibration.fingerprint
    if made_of is not None and (fingerprint is None or not made_of.same_reader(fingerprint)):
        return "mismatch"
    if not timedelta(0) <= on - calibration.on <= timedelta(VALID_DAYS):
        return "expired"
    return calibration.status if made_of is not None else "not_admitted"


def measured_for(control: Cited, document_text: str) -> bool:
    """Tell whether readers were measured on such a duty and such a document.

    The duty lies in Arts. 9, 10, 12, 14 or 15, in words that stand as they stood in 2024; the document is English.
    """
    cited = [str(citation) for citation in control.citations]
    return bool(cited) and all(_is_measured(citation) for citation in cited) and is_english(document_text)


def is_english(text: str) -> bool:
    """Tell whether one word in ten or more is among the commonest of English; a text without words is not."""
    words = [word.casefold() for word in _WORD.findall(text)]
    return bool(words) and sum(word in _ENGLISH for word in words) >= _LEAST_SHARE * len(words)


def _is_measured(citation: str) -> bool:
    found = _CITATION.match(citation)
    if found is None or int(found[1]) not in ARTICLES or citation == "EU-AIA:10":
        return False
    return not citation.startswith(_REWORDED)
