"""One finding, prepared for people: its numbers as text, its figures, its evidence, the line that repeats it."""

import shlex
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from reports.context import PLOT_MEDIA_TYPE
from reports.figure import Table, table_of
from reports.model import Confidentiality, Evidence, Finding, Measurement, Report, Status
from reports.plot import ImagesPlot, Plot, parse_plot
from reports.png import PNG_MEDIA_TYPE
from reports.wording import (
    STATUS_SHAPE,
    STATUS_WORD,
    Paragraph,
    counted,
    interval_text,
    limit_text,
    number,
    paragraph,
    phrase,
    quantity,
)

MOST_PLOT_BYTES = 4_000_000
"""A larger plot is cited, not drawn."""
MOST_IMAGE_BYTES = 250_000
"""A larger image is cited, not embedded."""
MOST_LINKS = 12
"""Pieces of evidence named under a finding; the index has them all."""


@dataclass(frozen=True)
class Shelf:
    """The evidence of a report, and how much of it this reader may see."""

    pieces: Mapping[str, Evidence]
    """By digest."""
    lookup: Callable[[str], bytes | None]
    """Content by digest; None where it is absent."""
    include: Confidentiality = Confidentiality.INTERNAL
    """The most confidential content that may be embedded."""
    withheld: Collection[str] = ()
    """Digests of files that are absent from the bundle."""

    def may_show(self, sha256: str, most_bytes: int) -> bool:
        """Tell whether the content of a piece may be embedded at all."""
        piece = self.pieces.get(sha256)
        return piece is not None and self.include.at_least(piece.confidentiality) and piece.size <= most_bytes

    def content(self, sha256: str, most_bytes: int = MOST_IMAGE_BYTES) -> bytes | None:
        """Return the content of a piece, None where it is absent, too confidential for this reader, or too large."""
        if sha256 in self.withheld or not self.may_show(sha256, most_bytes):
            return None
        return self.lookup(sha256)

    def state(self, piece: Evidence) -> str:
        """Return whether a file is in the bundle, in a word."""
        return "withheld" if piece.sha256 in self.withheld else "present"


@dataclass(frozen=True)
class NumberRow:
    """One measurement as text."""

    name: str
    """As policies know it."""
    label: str
    """The same as words."""
    value: str
    """With its unit."""
    interval: str
    """`[low, high]`, or empty where exact."""
    confidence: str
    """Of the interval, such as `95 %`."""
    quantity: str
    """Value, unit and interval in one."""
    limit: str
    """Such as `≤ 0.05`, or empty."""
    control: str
    """Value of the positive control, or empty."""
    n: str
    """Trials, or empty."""
    method: str
    """Estimator and its source."""


@dataclass(frozen=True)
class Figure:
    """One plot that a finding cites."""

    title: str
    """What it shows."""
    plot: Plot | None
    """What to draw; None where nothing may or can be drawn."""
    note: str
    """Why nothing, or not everything, is drawn; empty where all is."""
    table: Table | None
    """The numbers behind it."""


@dataclass(frozen=True)
class EvidenceLink:
    """One piece of evidence as a finding cites it."""

    anchor: str
    """Of its row in the index."""
    name: str
    """What it is."""
    short: str
    """First twelve digits of its digest."""
    withheld: bool
    """Whether its file is absent."""


@dataclass(frozen=True)
class FindingView:
    """One finding as people read it."""

    anchor: str
    """Where the page has it."""
    check: str
    """Id of the check."""
    key: str
    """Which of several findings of the check; empty for the only one."""
    title: str
    """The sentence that is true when the check passes."""
    status: str
    """The machine's word."""
    word: str
    """The people's word."""
    shape: str
    """The mark that goes with it."""
    severity: str
    """The harm if it is true."""
    strength: str
    """The kind of proof."""
    basis: str
    """What it rests on."""
    summary: str
    """The answer in a sentence."""
    detail: str
    """More, or empty."""
    reason: str
    """A machine's word for why there is no decision, or empty."""
    numbers: tuple[NumberRow, ...]
    """Its measurements."""
    confidence: str
    """Of every interval among them where all have the same, or empty."""
    key_number: NumberRow | None
    """The measurement that decides: the first with a limit, else the first."""
    paragraphs: tuple[Paragraph, ...]
    """The law that it bears on."""
    figures: tuple[Figure, ...]
    """Its plots."""
    remedy: str
    """What would mend it, or empty."""
    remedy_setting: str
    """The parameter and its direction, or empty."""
    limitations: tuple[str, ...]
    """What it does not show."""
    evidence: tuple[EvidenceLink, ...]
    """What it cites besides images, at most `MOST_LINKS` of it."""
    more_evidence: int
    """How many more pieces it cites."""
    reproduce: str
    """The command that asks the check again with the same numbers."""
    grave: bool = field(default=False)
    """Whether it should stand open on the page."""


def evidence_anchor(sha256: str) -> str:
    """Return the name of an evidence row in the page."""
    return f"e-{sha256[:16]}"


def finding_anchor(fingerprint: str) -> str:
    """Return the name of a finding in the page."""
    return f"f-{fingerprint[:16]}"


def number_row(measurement: Measurement) -> NumberRow:
    """Return a measurement as text."""
    limit = (measurement.threshold.limit,) if measurement.threshold else ()
    value = number(measurement.value, limit)
    return NumberRow(
        name=measurement.name,
        label=phrase(measurement.name),
        value=f"{value} {measurement.unit}".strip(),
        interval=interval_text(measurement.interval),
        confidence=f"{number(measurement.interval.confidence * 100)} %" if measurement.interval else "",
        quantity=quantity(measurement),
        limit=limit_text(measurement),
        control="" if measurement.control is None else number(measurement.control),
        n="" if measurement.n is None else number(measurement.n),
        method=measurement.method,
    )


def reproduce_line(report: Report, check: str) -> str:
    """Return the command that asks one check again, of the same system and with the same random numbers."""
    provenance = report.provenance
    words = ["fedaudit", "run", report.system.source.path, "-o", "again", "--only", check]
    words += ["--seed", str(provenance.root_seed), "--effort", str(provenance.effort)]
    if report.system.model and report.system.model.definition:
        words.append("--trust-code")
    return shlex.join(words)


def figure_of(sha256: str, shelf: Shelf) -> Figure | None:
    """Return the figure behind a piece of evidence, None where the piece is no plot."""
    piece = shelf.pieces.get(sha256)
    if piece is None or piece.media_type != PLOT_MEDIA_TYPE:
        return None
    data = shelf.content(sha256, MOST_PLOT_BYTES)
    if data is None:
        why = (
            f"This plot is {piece.confidentiality} evidence" if shelf.include.rank < piece.confidentiality.rank else ""
        )
        return Figure(piece.name, None, f"{why or 'This plot is absent or too large'}; it is not drawn here.", None)
    plot = parse_plot(data)
    if plot is None:
        return Figure(piece.name, None, "This evidence says it is a plot and does not read as one.", None)
    if isinstance(plot, ImagesPlot):
        return _images_figure(plot, shelf)
    return Figure(plot.title, plot, "", table_of(plot))


def _images_figure(plot: ImagesPlot, shelf: Shelf) -> Figure:
    cited = {digest for row in plot.rows for digest in (row.true, row.reconstructed, row.control) if digest}
    hidden = [digest for digest in cited if digest in shelf.withheld or not shelf.may_show(digest, MOST_IMAGE_BYTES)]
    if not hidden:
        return Figure(plot.title, plot, "", table_of(plot))
    absent = sum(digest in shelf.withheld for digest in hidden)
    note = f"{len(hidden)} of {counted(len(cited), 'image')} not shown here: "
    note += f"{absent} withheld from the bundle." if absent else "restricted evidence, which"
    note += "" if absent else " fedaudit render BUNDLE --format html --include restricted -o FILE would show."
    return Figure(plot.title, plot if len(hidden) < len(cited) else None, note, table_of(plot))


def finding_view(finding: Finding, report: Report, shelf: Shelf) -> FindingView:
    """Return a finding as people read it."""
    rows = tuple(number_row(measurement) for measurement in finding.measurements)
    levels = {row.confidence for row in rows if row.confidence}
    figures = tuple(figure for digest in finding.evidence if (figure := figure_of(digest, shelf)))
    cited = [shelf.pieces[digest] for digest in finding.evidence if digest in shelf.pieces]
    named = [piece for piece in cited if piece.media_type != PNG_MEDIA_TYPE][:MOST_LINKS]  # the plots show the images
    remedy = finding.remedy
    setting = (
        " ".join(filter(None, (remedy.direction, remedy.parameter, remedy.value and f"to {remedy.value}")))
        if remedy
        else ""
    )
    return FindingView(
        anchor=finding_anchor(finding.fingerprint),
        check=finding.check,
        key=finding.key,
        title=finding.title,
        status=str(finding.status),
        word=STATUS_WORD[finding.status],
        shape=STATUS_SHAPE[finding.status],
        severity=str(finding.severity),
        strength=str(finding.strength),
        basis=str(finding.basis),
        summary=finding.summary,
        detail=finding.detail,
        reason=finding.reason,
        numbers=rows,
        confidence=levels.pop() if len(levels) == 1 else "",
        key_number=next((row for row in rows if row.limit), rows[0] if rows else None),
        paragraphs=tuple(paragraph(control) for control in finding.controls),
        figures=figures,
        remedy=remedy.text if remedy else "",
        remedy_setting=setting,
        limitations=finding.limitations,
        evidence=tuple(
            EvidenceLink(evidence_anchor(p.sha256), p.name, p.sha256[:12], p.sha256 in shelf.withheld) for p in named
        ),
        more_evidence=len(cited) - len(named),
        reproduce=reproduce_line(report, finding.check),
        grave=finding.status in (Status.FAIL, Status.ERROR),
    )
