"""One plot of every kind, with evidence to hold it. No test itself."""

import hashlib
from dataclasses import dataclass, field

from reports.canonical import canonical
from reports.context import PLOT_MEDIA_TYPE
from reports.evidence import suffix_of
from reports.model import Confidentiality, Evidence, Status, evidence_path
from reports.plot import (
    HeatPlot,
    HistogramPlot,
    HistogramSample,
    ImageRow,
    ImagesPlot,
    LinePlot,
    LineSeries,
    OperatingPoint,
    Plot,
    RocPlot,
    RocSeries,
)
from reports.png import PNG_MEDIA_TYPE, encode_png

SEGMENTS = ("abcdef", "bc", "abged", "abgcd", "fgbc", "afgcd", "afgedc", "abc", "abcdefg", "abcdfg")
STROKES = {
    "a": [(1, c) for c in (2, 3, 4, 5)],
    "d": [(6, c) for c in (2, 3, 4, 5)],
    "g": [(3, c) for c in (2, 3, 4, 5)],
    "f": [(r, 1) for r in (1, 2, 3)],
    "b": [(r, 6) for r in (1, 2, 3)],
    "e": [(r, 1) for r in (4, 5, 6)],
    "c": [(r, 6) for r in (4, 5, 6)],
}


def digit(figure: int, noise: int = 0) -> bytes:
    """Return the PNG of a digit, 8 x 8 grey, blurred by a fixed pattern of strength `noise` (0 to 200)."""
    lit = {place for segment in SEGMENTS[figure] for place in STROKES[segment]}
    pixels = bytearray()
    for row in range(8):
        for column in range(8):
            clean = 235 if (row, column) in lit else 18
            wave = (row * 37 + column * 61 + figure * 29) % 64 - 32
            pixels.append(min(max(clean + wave * noise // 100, 0), 255))
    return encode_png(8, 8, 1, bytes(pixels))


@dataclass
class Shelves:
    """Evidence while a report is written."""

    pieces: dict[str, Evidence] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)

    def put(self, data: bytes, media_type: str, confidentiality: Confidentiality, name: str) -> str:
        digest = hashlib.sha256(data).hexdigest()
        self.contents[digest] = data
        self.pieces[digest] = Evidence(
            sha256=digest,
            path=evidence_path(digest, suffix_of(media_type)),
            size=len(data),
            media_type=media_type,
            confidentiality=confidentiality,
            name=name,
        )
        return digest

    def plot(self, plot: Plot, name: str) -> str:
        return self.put(canonical(plot), PLOT_MEDIA_TYPE, Confidentiality.INTERNAL, name)


def images_plot(shelves: Shelves) -> ImagesPlot:
    """Return a plot of ten recovered digits; the images are restricted."""
    rows = []
    for index in range(10):
        figure = (index * 7 + 3) % 10
        true, found, control = (
            shelves.put(digit(figure, noise), PNG_MEDIA_TYPE, Confidentiality.RESTRICTED, f"record {index}: {what}")
            for noise, what in ((0, "original"), (index * 4, "recovered"), (index, "control"))
        )
        shown = None if index == 8 else found
        score = round(0.9999 - index * 0.0042, 4)
        rows.append(ImageRow(label=f"client {index}", true=true, reconstructed=shown, control=control, score=score))
    return ImagesPlot(title="Records read back from one update each", score="cosine", rows=tuple(rows))


def roc_plot() -> RocPlot:
    """Return two characteristics, one close to chance."""
    fpr = tuple(round((i / 400) ** 3, 9) for i in range(401))
    close = tuple(round(min(f**0.93, 1.0), 6) for f in fpr)
    strong = tuple(round(f**0.31, 6) for f in fpr)
    return RocPlot(
        title="Membership inference",
        series=(
            RocSeries(label="final model", fpr=fpr, tpr=close),
            RocSeries(label="positive control", fpr=fpr, tpr=strong),
        ),
        points=(OperatingPoint(label="at 0.1 %", fpr=0.001, tpr=0.0017, low=0.0002, high=0.0061),),
    )


def histogram_plot() -> HistogramPlot:
    """Return two samples that overlap a little."""
    return HistogramPlot(
        title="Bias gradient of labels present and absent",
        x="bias gradient",
        edges=tuple(round(-1 + i * 0.1, 1) for i in range(16)),
        samples=(
            HistogramSample(label="label present", counts=(2, 7, 14, 18, 11, 5, 2, 1, 0, 0, 0, 0, 0, 0, 0)),
            HistogramSample(label="label absent", counts=(0, 0, 0, 0, 0, 0, 1, 3, 12, 140, 260, 98, 21, 4, 1)),
        ),
    )


def line_plot() -> LinePlot:
    """Return epsilon over rounds."""
    rounds = tuple(float(i) for i in range(1, 17))
    return LinePlot(
        title="Epsilon as rounds go by",
        x="round",
        y="epsilon (nats)",
        limit=3.0,
        series=(
            LineSeries(label="PRV accountant", x=rounds, y=tuple(round(41.73 * (i / 16) ** 0.6, 2) for i in rounds)),
            LineSeries(label="RDP accountant", x=rounds, y=tuple(round(46.9 * (i / 16) ** 0.6, 2) for i in rounds)),
        ),
    )


def heat_plot() -> HeatPlot:
    """Return a table with every state."""
    return HeatPlot(
        title="Held-out records by site",
        rows=("site north", "site south", "site east"),
        columns=("accuracy", "calibration", "drift", "subgroups"),
        states=(
            (Status.PASS, Status.PASS, Status.INCONCLUSIVE, None),
            (Status.PASS, Status.FAIL, Status.SKIPPED, Status.PASS),
            (Status.ERROR, Status.PASS, Status.PASS, Status.PASS),
        ),
    )
