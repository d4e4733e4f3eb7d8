"""`calibration.json`: how well one reader agreed with legal experts, and whether that meets the bar.

The file carries the SHA-256 of its own other members: that stops accidents, not forgers, so whatever rests on a file
that was handed in is declared, not measured, unless a policy pins it.
"""

import hashlib
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field

from compliance.calibration_records import (
    ArticleAgreement,
    DatasetRecord,
    FalseCompliant,
    FalseNoncompliant,
    Human,
    Lexical,
    Metrics,
    Panel,
    ScoreSet,
    Skill,
)
from compliance.errors import CalibrationError
from compliance.fingerprint import Fingerprint
from compliance.json_file import read_object
from reports.canonical import canonical_json
from reports.nouns import Count, Day, Noun, Sha256, Text, Word
from reports.tomlfile import parse_noun

__all__ = ["Calibration", "Reason", "calibration_bytes", "read_calibration", "sealed"]

SCHEMA: Final = "fedaudit.calibration/1"
Reason = Literal[
    "scores_only", "too_few_items", "kappa_interval", "false_compliant", "below_baseline", "invalid_answers"
]
"""Why a reader is not admitted."""
Score = Annotated[int, Field(strict=True, ge=1, le=5)]


class Calibration(Noun):
    """A reader's agreement with legal experts."""

    schema_id: Annotated[Literal["fedaudit.calibration/1"], Field(alias="schema")] = SCHEMA
    """Of this file."""
    on: Day
    """The day it was made."""
    rater: Word
    """Who read."""
    status: Literal["admitted", "not_admitted"]
    """Admitted: meets the bar by answers that were asked for."""
    meets_bar: bool
    """Whether the figures meet the calibration bar, wherever the answers came from."""
    reasons: tuple[Reason, ...]
    """Why not admitted."""
    dataset: DatasetRecord
    """What was read."""
    n: Count
    """Items compared."""
    metrics: Metrics
    """Of the reader."""
    by_article: dict[Word, ArticleAgreement]
    """By number of the article."""
    within_violation: ArticleAgreement
    """On the items with a planted violation alone, where the rest of kappa comes from telling them apart."""
    false_compliant: FalseCompliant
    """Gaps that were missed."""
    false_noncompliant: FalseNoncompliant
    """Gaps that were not there."""
    human: Human
    """The experts among themselves."""
    lexical: Lexical
    """The baseline."""
    skill: Skill
    """What the reader adds to it."""
    score_set: ScoreSet
    """How wide a reading has to be taken."""
    panel: Panel | None = None
    """Where several raters are compared."""
    missing: Count
    """Items without a reference or without a score."""
    invalid: Count
    """Items that were asked about and not answered in form."""
    fingerprint: Fingerprint | None = None
    """The reader; None where the scores were handed in."""
    resamples: Count
    """Draws behind each interval."""
    scores: dict[Word, Score | None]
    """What the reader gave, by item."""
    limitations: tuple[Text, ...]
    """What the figures do not say."""
    sha256: Sha256
    """Of all other members, in RFC 8785 bytes."""


def sealed(calibration: Calibration) -> Calibration:
    """Return a calibration with the digest of its other members."""
    return calibration.model_copy(update={"sha256": _digest(calibration.model_dump(mode="json", by_alias=True))})


def calibration_bytes(calibration: Calibration) -> bytes:
    """Return the file's content, RFC 8785."""
    return canonical_json(calibration.model_dump(mode="json", by_alias=True))


def read_calibration(path: Path) -> Calibration:
    """Return a calibration file.

    Raises:
        CalibrationError: `calibration.not_found`, `.too_large`, `.syntax`, `.schema`; `.altered`, its digest is not
            that of its members; `.WORD`, a member is missing, unknown or out of bounds.
    """
    members = read_object(path, CalibrationError, "calibration")
    if members.get("schema") != SCHEMA:
        message = f"{path}: schema: is not {SCHEMA!r}"
        raise CalibrationError("calibration.schema", message, "Give what `fedaudit compliance calibrate -o` wrote.")
    if members.get("sha256") != _digest(members):
        raise _altered(path)
    found = parse_noun(Calibration, members, path, CalibrationError, "calibration")
    if found != sealed(found):  # a member that may be null was left out: we never write that
        raise _altered(path)
    return found


def _altered(path: Path) -> CalibrationError:
    message = f"{path}: sha256: is not the digest of the other members, so the file was changed"
    return CalibrationError("calibration.altered", message, "Calibrate again with `fedaudit compliance calibrate`.")


def _digest(members: dict[str, object]) -> str:
    others = {name: value for name, value in members.items() if name != "sha256"}
    return hashlib.sha256(canonical_json(others)).hexdigest()
