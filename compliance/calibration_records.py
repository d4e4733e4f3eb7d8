"""The figures inside `calibration.json`; what is undefined says why."""

from typing import Annotated, Literal

from pydantic import Field

from reports.nouns import Count, FiniteNumber, Noun, Sha256, Share, Text, Word

__all__ = [
    "ArticleAgreement",
    "DatasetRecord",
    "Estimate",
    "FalseCompliant",
    "FalseNoncompliant",
    "Human",
    "Lexical",
    "Metrics",
    "Panel",
    "Plain",
    "ScoreSet",
    "Skill",
    "Undefined",
]


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
