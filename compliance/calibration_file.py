"""`calibration.json`: how well one reader agreed with legal experts, and whether that meets the bar.

The file carries the SHA-256 of its own other members: that stops accidents, not forgers, so whatever rests on a file
that was handed in is declared, not measured, unless a policy pins it.
"""

import hashlib
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field

from compliance.errors import CalibrationError
from compliance.fingerprint import Fingerprint
from compliance.json_file import read_object
from reports.canonical import canonical_json
from reports.nouns import Count, Day, FiniteNumber, Noun, Sha256, Share, Text, Word
from reports.tomlfile import parse_noun

__all__ = [
    "ArticleAgreement",
    "Calibration",
    "DatasetRecord",
    "Estimate",
    "FalseCompliant",
    "FalseNoncompliant",
    "Human",
    "Lexical",
    "Metrics",
    "Panel",
    "Plain",
    "Reason",
    "ScoreSet",
    "Skill",
    "Undefined",
    "calibration_bytes",
    "read_calibration",
    "sealed",
]

SCHEMA: Final = "fedaudit.calibration/1"
Reason = Literal[
    "scores_only", "too_few_items", "kappa_interval", "false_compliant", "below_baseline", "invalid_answers"
]
"""Why a reader is not admitted."""
Score = Annotated[int, Field(strict=True, ge=1, le=5)]


class Undefined(Noun):
    """A number that there is not."""

    value: None = None
    """There is none."""
    undefined: Text
    """Why."""


class Plain(Noun):
    """A number alone."""

    value: FiniteNumber
    """As computed."""


class Estimate(Noun):
    """A number with the ends of its interval."""

    value: FiniteNumber
    """As computed."""
    low: FiniteNumber | None = None
    """Lower end of the 95 % percentile bootstrap interval over items; None where there is none."""
    high: FiniteNumber | None = None
    """Upper end."""


class DatasetRecord(Noun):
    """What was read."""

    name: Word
    """`shipped`, the name of a folder or of a file."""
    sha256: Sha256
    """Of its items; see `compliance.aireg.Dataset`."""
    n: Count
    """Items in it."""
    law_version: Word
    """The text of the law by which the experts judged."""


class Metrics(Noun):
    """Agreement with the experts' lower median."""

    kappa_qw: Estimate | Undefined
    """Quadratic-weighted kappa."""
    mae: Estimate | Undefined
    """Mean absolute difference, in labels."""
    bias: Estimate | Undefined
    """Mean difference; above zero the reader is too kind."""
    spearman: Plain | Undefined
    """Rank correlation."""
    exact: Plain | Undefined
    """Share of equal labels."""
    over: Plain | Undefined
    """Share above the experts."""
    under: Plain | Undefined
    """Share below them."""
    f1: Plain | Undefined
    """F1 of a score of 4 or 5."""


class ArticleAgreement(Noun):
    """Agreement on a part of the items."""

    n: Count
    """Items compared."""
    kappa_qw: FiniteNumber | Undefined
    """Quadratic-weighted kappa."""
    mae: FiniteNumber | Undefined
    """Mean absolute difference, in labels."""


class FalseNoncompliant(Noun):
    """Items that the experts found sound and the reader did not: scored 1 or 2 among medians of 4 and 5."""

    count: Count
    """So many."""
    of: Count
    """Among so many."""


class FalseCompliant(FalseNoncompliant):
    """Items that the experts found wanting and the reader did not: scored 4 or 5 among medians of 1 and 2."""

    rate: Share | None
    """The share; None of nothing."""
    upper: Share
    """Upper end of Wilson's two-sided 95 % interval."""


class Human(Noun):
    """The experts among themselves."""

    raters: tuple[Word, ...]
    """Who rated, as far as they are named."""
    alpha_ordinal: FiniteNumber | Undefined
    """Krippendorff's alpha."""


class Lexical(Noun):
    """What counting words of reservation reaches on the same items."""

    kappa_qw: FiniteNumber | Undefined
    """Quadratic-weighted kappa, leaving out one use at a time."""
    source: Literal["computed", "reference"]
    """From the texts at hand, or the figure for the 120 items of AIReg-Bench."""


class Skill(Noun):
    """What the reader adds to counting words."""

    value: FiniteNumber | None
    """Difference of the kappas."""
    low: FiniteNumber | None = None
    """Lower end of the paired 95 % bootstrap interval; None without texts to pair."""
    high: FiniteNumber | None = None
    """Upper end."""
    undefined: Text = ""
    """Why there is no number or no interval."""


class ScoreSet(Noun):
    """How far an expert's median may lie from the reader's score."""

    radius: Annotated[Count, Field(le=4)]
    """In labels: the ceil(0.9 (n + 1))-th smallest distance; 4 where there are too few items to say less."""
    coverage: Share | Undefined
    """Share of experts' medians inside, each use judged by the radius of the others."""
    mean_size: FiniteNumber | Undefined
    """Mean number of labels in such a set."""


class Panel(Noun):
    """Several raters and their lower median; agreement among models is not correctness."""

    raters: tuple[Word, ...]
    """Who."""
    alpha_ordinal: FiniteNumber | Undefined
    """Krippendorff's alpha among them."""
    metrics: Metrics
    """Of the lower median."""


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
