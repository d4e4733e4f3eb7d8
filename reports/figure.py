"""Plots in words and in rows: the sentence a screen reader speaks, and the table behind every drawing."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

from reports.plot import (
    HeatPlot,
    HistogramPlot,
    ImagesPlot,
    IntervalRow,
    IntervalsPlot,
    LinePlot,
    Plot,
    RocPlot,
)
from reports.wording import STATUS_WORD, counted, number

T = TypeVar("T")
TABLE_ROWS = 30
"""Rows of a data table; longer series are thinned, and the caption says so."""


@dataclass(frozen=True)
class Table:
    """A small table of text."""

    caption: str
    """What it holds."""
    columns: tuple[str, ...]
    """Heads."""
    rows: tuple[tuple[str, ...], ...]
    """Cells; the first of a row names it."""


def table_of(plot: Plot) -> Table:
    """Return the numbers behind a plot, at most about `TABLE_ROWS` rows, evenly chosen; no column that says nothing."""
    columns, rows, total = _rows_of(plot)
    kept = evenly(rows, TABLE_ROWS)
    caption = f"Data of: {plot.title}" + (f" ({len(kept)} of {total} rows)" if len(kept) < total else "")
    told = [at for at in range(len(columns)) if at == 0 or any(row[at] for row in kept)]
    return Table(caption, tuple(columns[at] for at in told), tuple(tuple(row[at] for at in told) for row in kept))


def evenly(items: Sequence[T], most: int) -> Sequence[T]:
    """Return at most `most` items, evenly spaced, the first and the last among them."""
    if len(items) <= most:
        return items
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


def _optional(value: float | None) -> str:
    return "" if value is None else number(value)


def _rows_of(plot: Plot) -> tuple[tuple[str, ...], list[tuple[str, ...]], int]:
    """Return heads, rows (some thinned already) and how many rows there would be."""
    rows: list[tuple[str, ...]]
    if isinstance(plot, RocPlot):
        rows = [(p.label, number(p.fpr), number(p.tpr), _optional(p.low), _optional(p.high)) for p in plot.points]
        share = max((TABLE_ROWS - len(rows)) // len(plot.series), 2)
        total = len(rows) + sum(len(series.fpr) for series in plot.series)
        for series in plot.series:
            pairs = evenly(list(zip(series.fpr, series.tpr, strict=True)), share)
            rows += [(series.label, number(fpr), number(tpr), "", "") for fpr, tpr in pairs]
        return ("series", "false-positive rate", "true-positive rate", "low", "high"), rows, total
    columns: tuple[str, ...]
    if isinstance(plot, ImagesPlot):
        columns = ("record", plot.score, "original", "recovered", "control")
        rows = [
            (row.label, _optional(row.score), row.true[:12], (row.reconstructed or "")[:12], (row.control or "")[:12])
            for row in plot.rows
        ]
    elif isinstance(plot, IntervalsPlot):
        columns = ("what", plot.x or "value", "low", "high", "limit", "control")
        rows = [(r.label, *map(_optional, (r.value, r.low, r.high, r.limit, r.control))) for r in plot.rows]
    elif isinstance(plot, HeatPlot):
        columns = ("what", *plot.columns)
        rows = [
            (name, *("" if state is None else STATUS_WORD[state] for state in line))
            for name, line in zip(plot.rows, plot.states, strict=True)
        ]
    elif isinstance(plot, HistogramPlot):
        columns = (plot.x or "bin", *(sample.label for sample in plot.samples))
        bins = zip(pairwise(plot.edges), *(sample.counts for sample in plot.samples), strict=True)
        rows = [(f"{number(low)} to {number(high)}", *map(number, counts)) for (low, high), *counts in bins]
    else:
        columns, rows = _lines_side_by_side(plot)
    return columns, rows, len(rows)


def _lines_side_by_side(plot: LinePlot) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return one row an abscissa and one column a series; nothing where a series has no value there."""
    at = [dict(zip(series.x, series.y, strict=True)) for series in plot.series]
    rows = [
        (number(x), *(_optional(values.get(x)) for values in at)) for x in sorted({x for values in at for x in values})
    ]
    unit = f", {plot.y}" if plot.y else ""
    return (plot.x or "x", *(series.label + unit for series in plot.series)), rows


def described(plot: Plot) -> str:
    """Return what the drawing shows, in a sentence or two."""
    if isinstance(plot, ImagesPlot):
        recovered = sum(row.reconstructed is not None for row in plot.rows)
        return (
            f"{counted(len(plot.rows), 'planted record')}, of which {recovered} beside a reconstruction"
            f"{_scores(plot)}. Columns are records; lines are original, recovered and control."
        )
    if isinstance(plot, IntervalsPlot):
        return "; ".join(_sentence(row) for row in plot.rows[:6]) + (
            f"; and {len(plot.rows) - 6} more." if len(plot.rows) > 6 else "."
        )
    if isinstance(plot, RocPlot):
        names = ", ".join(series.label for series in plot.series)
        points = "; ".join(f"{p.label}: {number(p.tpr)} at {number(p.fpr)}" for p in plot.points[:6])
        return f"True-positive rate against false-positive rate (both logarithmic) of {names}. {points}".strip()
    if isinstance(plot, HeatPlot):
        states = [state for line in plot.states for state in line if state is not None]
        tallies = ", ".join(f"{states.count(s)} {word}" for s, word in STATUS_WORD.items() if s in states)
        return f"{len(plot.rows)} rows by {counted(len(plot.columns), 'column')}: {tallies or 'nothing asked'}."
    if isinstance(plot, HistogramPlot):
        samples = " and ".join(f"{s.label} ({counted(sum(s.counts), 'value')})" for s in plot.samples)
        return (
            f"{samples} in {counted(len(plot.edges) - 1, 'bin')}, {number(plot.edges[0])} to {number(plot.edges[-1])}."
        )
    return _lines(plot)


def _scores(plot: ImagesPlot) -> str:
    scores = [row.score for row in plot.rows if row.score is not None]
    return f", {plot.score} from {number(min(scores))} to {number(max(scores))}" if scores else ""


def _sentence(row: IntervalRow) -> str:
    between = f" ({number(row.low)} to {number(row.high)})" if row.low is not None and row.high is not None else ""
    limit = f", limit {number(row.limit)}" if row.limit is not None else ""
    control = f", control {number(row.control)}" if row.control is not None else ""
    return f"{row.label}: {number(row.value)}{between}{limit}{control}"


def _lines(plot: LinePlot) -> str:
    ends = "; ".join(f"{s.label} from {number(s.y[0])} to {number(s.y[-1])}" for s in plot.series)
    limit = f" The limit is {number(plot.limit)}." if plot.limit is not None else ""
    return f"{plot.y or 'Value'} against {plot.x or 'x'}: {ends}.{limit}"
