"""Plots as data: what a figure shows, not how it looks. Kept as evidence, drawn by `reports.plot_svg`.

A plot holds digests of images, never their pixels, so that a plot may be internal while its images are restricted.
"""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from reports.nouns import Count, FiniteNumber, Noun, Sha256, Share, Status, Text

Label = Annotated[Text, Field(max_length=120)]
"""A word or two beside a mark."""
Title = Annotated[Text, Field(min_length=1, max_length=200)]
"""What the figure shows."""
Numbers = Annotated[tuple[FiniteNumber, ...], Field(min_length=1, max_length=100_000)]
"""Coordinates of a series."""


def _same_length(first: int, second: int) -> None:
    if first != second:
        raise ValueError(f"{first} and {second} numbers where the same count is needed")


class ImageRow(Noun):
    """One planted record beside what was made of it."""

    label: Label
    """Which record."""
    true: Sha256
    """PNG of the planted record."""
    reconstructed: Sha256 | None = None
    """PNG of what the attack returned; None where it returned nothing."""
    control: Sha256 | None = None
    """PNG of what the same attack returned on the unprotected twin."""
    score: FiniteNumber | None = None
    """How close the two are, as the plot's `score` names it."""


class ImagesPlot(Noun):
    """Originals beside reconstructions."""

    kind: Literal["images"] = "images"
    """Tells the kinds apart."""
    title: Title
    """What the figure shows."""
    score: Label = "score"
    """What the score is, such as `SSIM` or `cosine similarity`."""
    rows: Annotated[tuple[ImageRow, ...], Field(min_length=1, max_length=1000)]
    """The records."""


class IntervalRow(Noun):
    """One value with its interval."""

    label: Label
    """What was measured on."""
    value: FiniteNumber
    """The estimate."""
    low: FiniteNumber | None = None
    """Lower end; None where the value is exact."""
    high: FiniteNumber | None = None
    """Upper end; None where the value is exact."""
    limit: FiniteNumber | None = None
    """The limit of the check."""
    control: FiniteNumber | None = None
    """The same on the unprotected twin."""


class IntervalsPlot(Noun):
    """Values with intervals, limits and controls, one a line."""

    kind: Literal["intervals"] = "intervals"
    """Tells the kinds apart."""
    title: Title
    """What the figure shows."""
    x: Label = ""
    """The quantity and its unit."""
    rows: Annotated[tuple[IntervalRow, ...], Field(min_length=1, max_length=1000)]
    """The values, top to bottom."""


class RocSeries(Noun):
    """One receiver operating characteristic."""

    label: Label
    """Which attack or model."""
    fpr: Annotated[tuple[Share, ...], Field(min_length=1, max_length=100_000)]
    """False-positive rates, ascending."""
    tpr: Annotated[tuple[Share, ...], Field(min_length=1, max_length=100_000)]
    """True-positive rate at each."""

    @model_validator(mode="after")
    def _paired(self) -> "RocSeries":
        _same_length(len(self.fpr), len(self.tpr))
        return self


class OperatingPoint(Noun):
    """A point of interest on a characteristic, with the interval of its true-positive rate."""

    label: Label
    """Which series or rate."""
    fpr: Share
    """False-positive rate."""
    tpr: Share
    """True-positive rate."""
    low: Share | None = None
    """Lower end of the interval."""
    high: Share | None = None
    """Upper end of the interval."""


class RocPlot(Noun):
    """Characteristics with logarithmic axes from 1e-4 (arXiv:2112.03570 section V)."""

    kind: Literal["roc"] = "roc"
    """Tells the kinds apart."""
    title: Title
    """What the figure shows."""
    series: Annotated[tuple[RocSeries, ...], Field(min_length=1, max_length=6)]
    """The characteristics."""
    points: Annotated[tuple[OperatingPoint, ...], Field(max_length=24)] = ()
    """Operating points."""


class HeatPlot(Noun):
    """A table of states, such as flaws by checks."""

    kind: Literal["heat"] = "heat"
    """Tells the kinds apart."""
    title: Title
    """What the figure shows."""
    rows: Annotated[tuple[Label, ...], Field(min_length=1, max_length=200)]
    """Names of the rows."""
    columns: Annotated[tuple[Label, ...], Field(min_length=1, max_length=40)]
    """Names of the columns."""
    states: tuple[tuple[Status | None, ...], ...]
    """One line a row, one state a column; None where nothing was asked."""

    @model_validator(mode="after")
    def _rectangular(self) -> "HeatPlot":
        if len(self.states) != len(self.rows) or any(len(line) != len(self.columns) for line in self.states):
            raise ValueError(f"states are {len(self.rows)} lines of {len(self.columns)}")
        return self


class HistogramSample(Noun):
    """Counts of one sample."""

    label: Label
    """Which sample."""
    counts: Annotated[tuple[Count, ...], Field(min_length=1, max_length=1000)]
    """How many fell into each bin."""


class HistogramPlot(Noun):
    """One or two samples over shared bins."""

    kind: Literal["histogram"] = "histogram"
    """Tells the kinds apart."""
    title: Title
    """What the figure shows."""
    x: Label = ""
    """The quantity and its unit."""
    edges: Annotated[tuple[FiniteNumber, ...], Field(min_length=2, max_length=1001)]
    """Edges of the bins, ascending."""
    samples: Annotated[tuple[HistogramSample, ...], Field(min_length=1, max_length=2)]
    """The samples."""

    @model_validator(mode="after")
    def _binned(self) -> "HistogramPlot":
        if any(low >= high for low, high in zip(self.edges, self.edges[1:], strict=False)):
            raise ValueError("edges ascend")
        for sample in self.samples:
            _same_length(len(self.edges) - 1, len(sample.counts))
        return self


class LineSeries(Noun):
    """One line."""

    label: Label
    """Which."""
    x: Numbers
    """Abscissae, ascending."""
    y: Numbers
    """Value at each."""

    @model_validator(mode="after")
    def _paired(self) -> "LineSeries":
        _same_length(len(self.x), len(self.y))
        return self


class LinePlot(Noun):
    """Lines over a shared axis."""

    kind: Literal["line"] = "line"
    """Tells the kinds apart."""
    title: Title
    """What the figure shows."""
    x: Label = ""
    """The abscissa and its unit."""
    y: Label = ""
    """The ordinate and its unit."""
    series: Annotated[tuple[LineSeries, ...], Field(min_length=1, max_length=6)]
    """The lines."""
    limit: FiniteNumber | None = None
    """A limit on y."""


Plot = Annotated[
    ImagesPlot | IntervalsPlot | RocPlot | HeatPlot | HistogramPlot | LinePlot, Field(discriminator="kind")
]
"""Any plot, told apart by `kind`."""
_PLOT: TypeAdapter[Plot] = TypeAdapter(Plot)


def parse_plot(data: bytes) -> Plot | None:
    """Return the plot that `data` holds as JSON, or None where it holds none: evidence may be anything."""
    try:
        return _PLOT.validate_json(data)
    except ValidationError:
        return None
