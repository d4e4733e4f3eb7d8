"""The drawing of each kind of plot: one function a kind, on the sheet of `reports.drawing`.

Every mark is told apart by shape or by a label beside it, never by colour alone.
"""

import base64
import math
import textwrap
from collections.abc import Callable, Sequence
from itertools import pairwise

from markupsafe import Markup

from reports.drawing import LETTER, WIDTH, Point, Scale, Sheet, around, shortened, thin
from reports.figure import described, evenly
from reports.model import Status
from reports.plot import HeatPlot, HistogramPlot, ImagesPlot, IntervalsPlot, LinePlot, Plot, RocPlot
from reports.png import PNG_MEDIA_TYPE, SIGNATURE
from reports.wording import number

Lookup = Callable[[str], bytes | None]
"""Content of evidence by SHA-256; None where it is absent or may not be shown."""
MOST_POINTS = 400
"""Of all lines of one drawing."""
MOST_ROWS = 40
"""Of an intervals plot; the table has them all."""
LEAST_RATE = 1e-4
"""Where the logarithmic axes of a characteristic begin; lower rates are drawn there."""
_TILE, _GAP, _COLUMNS, _BANDS, _GUTTER = 56.0, 8.0, 10, 3, 80.0


def svg(plot: Plot, lookup: Lookup) -> Markup:
    """Return the drawing of a plot; `lookup` gives the PNG behind a digest, for those who may see it."""
    if isinstance(plot, ImagesPlot):
        sheet = _images(plot, lookup)
    elif isinstance(plot, IntervalsPlot):
        sheet = _intervals(plot)
    elif isinstance(plot, RocPlot):
        sheet = _roc(plot)
    elif isinstance(plot, HeatPlot):
        sheet = _heat(plot)
    elif isinstance(plot, HistogramPlot):
        sheet = _histogram(plot)
    else:
        sheet = _line(plot)
    return sheet.markup(plot.kind, plot.title, described(plot))


def _images(plot: ImagesPlot, lookup: Lookup) -> Sheet:
    rows = evenly(plot.rows, _COLUMNS * _BANDS)
    lines: list[tuple[str, list[str | None]]] = [("original", [row.true for row in rows])]
    lines.append(("recovered", [row.reconstructed for row in rows]))
    if any(row.control for row in rows):
        lines.append(("control", [row.control for row in rows]))
    step, head = _TILE + _GAP, 34
    under = head + len(lines) * step + 8
    bands = math.ceil(len(rows) / _COLUMNS)
    sheet = Sheet(bands * (under + 18) - 10)
    for index, row in enumerate(rows):
        band, column = divmod(index, _COLUMNS)
        left, top = _GUTTER + column * step, band * (under + 18)
        middle = left + _TILE / 2
        name, rest = _two_lines(row.label)
        sheet.text((middle, top + 13), name, "tick", anchor="middle")
        if rest:
            sheet.text((middle, top + 26), rest, "tiny", anchor="middle")
        for place, (_, digests) in enumerate(lines):
            _tile(sheet, (left, top + head + place * step), digests[index], lookup)
        score = "–" if row.score is None else number(float(f"{row.score:.3g}"))
        sheet.text((middle, top + under), score, "score", anchor="middle")
    for top in (band * (under + 18) for band in range(bands)):
        for place, (name, _) in enumerate(lines):
            sheet.text((_GUTTER - 10, top + head + place * step + _TILE / 2 + 4), name, anchor="end")
        sheet.text((_GUTTER - 10, top + under), shortened(plot.score, _GUTTER - 10), "tick", anchor="end")
    return sheet


def _two_lines(label: str) -> tuple[str, str]:
    """Return a label broken after about ten letters; what does not fit the second line is in the table."""
    first, *others = textwrap.wrap(label, 10, break_long_words=False) or [""]
    return shortened(first, 11 * LETTER), shortened(" ".join(others), 13 * LETTER)


def _tile(sheet: Sheet, at: Point, digest: str | None, lookup: Lookup) -> None:
    data = lookup(digest) if digest else None
    if data is not None and data.startswith(SIGNATURE):
        sheet.picture(at, _TILE, f"data:{PNG_MEDIA_TYPE};base64,{base64.b64encode(data).decode()}")
        sheet.box(at, (_TILE, _TILE), "frame")
        return
    sheet.box(at, (_TILE, _TILE), "absent")
    words = "none" if digest is None else "withheld"
    sheet.text((at[0] + _TILE / 2, at[1] + _TILE / 2 + 3), words, "tiny", anchor="middle")


def _intervals(plot: IntervalsPlot) -> Sheet:
    rows = evenly(plot.rows, MOST_ROWS)
    left, right, line = 190.0, 540.0, 30.0
    bottom = 12 + len(rows) * line
    numbers = [v for r in rows for v in (r.value, r.low, r.high, r.limit, r.control) if v is not None]
    scale = around(numbers, left, right)
    sheet = Sheet(bottom + 66)
    sheet.horizontal_axis(scale, 6, bottom, plot.x)
    for index, row in enumerate(rows):
        y = 12 + index * line + line / 2
        sheet.text((left - 14, y + 4), shortened(row.label, left - 14), anchor="end")
        if row.low is not None and row.high is not None:
            sheet.whisker(scale(row.low), scale(row.high), y)
        if row.limit is not None:
            sheet.line((scale(row.limit), y - 11), (scale(row.limit), y + 11), "limit")
        if row.control is not None:
            sheet.diamond((scale(row.control), y), 6.5, "control")
        sheet.dot((scale(row.value), y), 4, "value")
        sheet.text((right + 16, y + 4), _estimate(row.value, row.low, row.high, row.limit), "figure")
    _intervals_legend(sheet, plot, left, bottom + 54)
    return sheet


def _estimate(value: float, low: float | None, high: float | None, limit: float | None = None) -> str:
    between = "" if low is None or high is None else f" [{number(low)}, {number(high)}]"
    return number(value, () if limit is None else (limit,)) + between


def _intervals_legend(sheet: Sheet, plot: IntervalsPlot, left: float, y: float) -> None:
    sheet.line((left, y - 4), (left + 22, y - 4), "whisker")
    sheet.dot((left + 11, y - 4), 4, "value")
    sheet.text((left + 30, y), "value and interval", "tick")
    if any(row.limit is not None for row in plot.rows):
        sheet.line((left + 160, y - 11), (left + 160, y + 3), "limit")
        sheet.text((left + 170, y), "limit", "tick")
    if any(row.control is not None for row in plot.rows):
        sheet.diamond((left + 230, y - 4), 6.5, "control")
        sheet.text((left + 242, y), "positive control", "tick")


def _roc(plot: RocPlot) -> Sheet:
    left, right, top, bottom = 56.0, 460.0, 30.0, 310.0
    x = Scale(LEAST_RATE, 1.0, left, right, logarithmic=True)
    y = Scale(LEAST_RATE, 1.0, bottom, top, logarithmic=True)
    sheet = Sheet(bottom + 44)
    sheet.horizontal_axis(x, top, bottom, "false-positive rate")
    sheet.vertical_axis(y, left, right, "true-positive rate")
    chance = [(x(LEAST_RATE), y(LEAST_RATE)), (x(1.0), y(1.0))]
    sheet.path(chance, "chance")
    curves = [[(x(f), y(t)) for f, t in zip(s.fpr, s.tpr, strict=True)] for s in plot.series]
    _curves(sheet, curves, len(chance))
    for point in plot.points:
        if point.low is not None and point.high is not None:
            sheet.line((x(point.fpr), y(point.low)), (x(point.fpr), y(point.high)), "whisker")
        sheet.dot((x(point.fpr), y(point.tpr)), 4, "value")
    names = [series.label for series in plot.series]
    _key(sheet, names, right + 24, top + 6, chance=True)
    for index, point in enumerate(plot.points[:8]):
        words = f"{point.label}: {_estimate(point.tpr, point.low, point.high)}"
        sheet.text((right + 24, top + 52 + (len(names) + index) * 22), shortened(words, WIDTH - right - 24), "tick")
    return sheet


def _curves(sheet: Sheet, curves: Sequence[Sequence[Point]], already: int = 0) -> None:
    for index, points in enumerate(curves):
        sheet.path(thin(points, (MOST_POINTS - already) // len(curves)), f"series s{index + 1}")


def _key(sheet: Sheet, names: Sequence[str], left: float, top: float, *, chance: bool = False) -> None:
    kinds = [f"series s{index + 1}" for index in range(len(names))] + (["chance"] if chance else [])
    for index, (kind, name) in enumerate(zip(kinds, [*names, "chance"], strict=False)):
        y = top + index * 22
        sheet.line((left, y), (left + 26, y), kind)
        sheet.text((left + 34, y + 4), shortened(name, sheet.width - left - 34))


def _mark(sheet: Sheet, state: Status, at: Point) -> None:
    """Draw a state in the shape that it has everywhere in the report."""
    x, y = at
    if state is Status.FAIL:
        sheet.line((x - 4.5, y - 4.5), (x + 4.5, y + 4.5), "cross fail")
        sheet.line((x - 4.5, y + 4.5), (x + 4.5, y - 4.5), "cross fail")
    elif state is Status.ERROR:
        sheet.path([(x, y - 5), (x + 5.5, y + 4.5), (x - 5.5, y + 4.5)], "mark error", closed=True)
    elif state is Status.PASS:
        sheet.dot(at, 5, "mark pass")
    else:
        sheet.dot(at, 4.5, f"ring {state.value}")
    if state is Status.INCONCLUSIVE:
        sheet.half_dot(at, 4.5, "mark inconclusive")


def _heat(plot: HeatPlot) -> Sheet:
    left, line = 220.0, 24.0
    column = min((WIDTH - left - 40) / len(plot.columns), 46.0)
    head = 26 + min(max(len(name) for name in plot.columns), 22) * 4.6
    sheet = Sheet(head + len(plot.rows) * line + 6)
    for index, name in enumerate(plot.columns):
        at = (left + (index + 0.5) * column + 4, head - 10)
        sheet.text(at, shortened(name, 22 * 6.6), "tick", turn=-45)
    for row, (name, states) in enumerate(zip(plot.rows, plot.states, strict=True)):
        y = head + row * line
        sheet.text((left - 12, y + line / 2 + 4), shortened(name, left - 12), anchor="end")
        for index, state in enumerate(states):
            x = left + index * column
            sheet.box((x + 1, y + 1), (column - 2, line - 2), f"cell {state.value if state else 'blank'}")
            if state:
                _mark(sheet, state, (x + column / 2, y + line / 2))
    return sheet


def _histogram(plot: HistogramPlot) -> Sheet:
    left, right, top, bottom = 56.0, 700.0, 56.0, 280.0
    x = Scale(plot.edges[0], plot.edges[-1], left, right)
    shares = [[count / max(sum(s.counts), 1) for count in s.counts] for s in plot.samples]
    y = Scale(0.0, max((max(line) for line in shares), default=0.0) * 1.06 or 1.0, bottom, top)
    sheet = Sheet(bottom + 44)
    sheet.horizontal_axis(x, top, bottom, plot.x)
    sheet.vertical_axis(y, left, right, "share of the sample")
    for index, heights in enumerate(shares):
        steps = [(x(plot.edges[0]), bottom)]
        for (low, high), share in zip(pairwise(plot.edges), heights, strict=True):
            steps += [(x(low), y(share)), (x(high), y(share))]
        steps = thin([*steps, (x(plot.edges[-1]), bottom)], MOST_POINTS // 2)
        sheet.path(steps, f"area s{index + 1}", closed=True)
        sheet.path(steps, f"series s{index + 1}")
    for index, sample in enumerate(plot.samples):
        at = left + index * 300
        sheet.line((at, 14), (at + 26, 14), f"series s{index + 1}")
        sheet.text((at + 34, 18), shortened(f"{sample.label} (n = {number(sum(sample.counts))})", 250))
    return sheet


def _line(plot: LinePlot) -> Sheet:
    left, right, top, bottom = 64.0, 520.0, 30.0, 290.0
    x = around([v for s in plot.series for v in s.x], left, right)
    limits = [] if plot.limit is None else [plot.limit]
    y = around([v for s in plot.series for v in s.y] + limits, bottom, top)
    sheet = Sheet(bottom + 44)
    sheet.horizontal_axis(x, top, bottom, plot.x)
    sheet.vertical_axis(y, left, right, plot.y)
    _curves(sheet, [[(x(a), y(b)) for a, b in zip(s.x, s.y, strict=True)] for s in plot.series])
    _key(sheet, [series.label for series in plot.series], right + 24, top + 6)
    if plot.limit is not None:
        sheet.line((left, y(plot.limit)), (right, y(plot.limit)), "limit")
        sheet.text((right + 24, y(plot.limit) + 4), f"limit {number(plot.limit)}", "tick")
    return sheet
