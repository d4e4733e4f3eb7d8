"""How long the HTML page takes, beside the same page with plots by matplotlib; how it grows, and what it weighs."""

import io
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from markupsafe import Markup
from reports_rows import Row, Sample, cold, fedaudit, warm

from reports.bundle import read_bundle
from reports.plot import IntervalsPlot, Plot, RocPlot
from reports.render_html import TEMPLATES, environment, render_html
from reports.renderings import bundle_view
from reports.view import View
from reports.wording import NOT_ADVICE

PEER = "the same page, plots by matplotlib"
STEEPEST = 1.1
"""Of time against findings, both as logarithms."""


def pages(samples: Sequence[Sample], repeats: int) -> list[Row]:
    """The page, warm and cold, of samples of 200, 10^3 and 10^4 findings, in that order."""
    small, medium, large = samples
    rows = [
        _warm(small, repeats, most_seconds=0.3, most_bytes=400_000, peer=True),
        _cold(small, repeats),
        _warm(medium, repeats, most_seconds=1.0),
        _warm(large, min(repeats, 3), most_seconds=5.0, most_bytes=40_000_000),
    ]
    return [*rows, _growth(samples, [rows[0].seconds, rows[2].seconds, rows[3].seconds])]


def _warm(one: Sample, repeats: int, *, most_seconds: float, most_bytes: int | None = None, peer: bool = False) -> Row:
    bundle = read_bundle(one.bundle)
    count = len(one.statement.report.findings)
    first, again = (render_html(bundle_view(bundle)).encode() for _ in range(2))
    works: list[Callable[[], object]] = [lambda: render_html(bundle_view(bundle))]
    note = f"{len(first) / 1000:,.0f} kB, " + ("byte-identical" if first == again else "DIFFERS on repeat")
    if peer:
        try:
            drawn = _matplotlib()
        except ImportError as error:
            note += f"; not compared: {error}"
        else:
            works.append(lambda: _page(bundle_view(bundle), drawn))
            note += f"; the peer's {len(_page(bundle_view(bundle), drawn).encode()) / 1000:,.0f} kB"
    seconds = warm(*works, repeats=repeats)
    met = first == again and seconds[0] <= most_seconds and (most_bytes is None or len(first) <= most_bytes)
    target = f"<= {most_seconds:g} s" + (f", <= {most_bytes / 1000:,.0f} kB" if most_bytes else "")
    theirs = seconds[1] if len(seconds) > 1 else None
    return Row(f"HTML, {count} findings, 10 plots, warm", seconds[0], PEER if peer else "", theirs, target, met, note)


def _cold(one: Sample, repeats: int) -> Row:
    """`fedaudit render`, cold."""
    target = str(one.bundle.parent / "report.html")
    words = [fedaudit(), "render", str(one.bundle), "--format", "html", "-o", target]
    remove = [sys.executable, "-c", f"import pathlib; pathlib.Path({target!r}).unlink()"]
    ours, _ = cold(words, remove, repeats)
    count = len(one.statement.report.findings)
    return Row(f"HTML, {count} findings, cold", ours, "", None, "<= 1.2 s", ours <= 1.2)


def _growth(samples: Sequence[Sample], warm_seconds: Sequence[float]) -> Row:
    """The command on the largest report: its peak of memory; and how the warm figures grow with the findings."""
    large = samples[-1]
    output = large.bundle.parent / "large.html"
    seconds, megabytes = _peak([fedaudit(), "render", str(large.bundle), "--format", "html", "-o", str(output)])
    counts = [len(one.statement.report.findings) for one in samples]
    slope = statistics.linear_regression([math.log(c) for c in counts], [math.log(s) for s in warm_seconds]).slope
    note = f"peak {megabytes:,.0f} MB; slope over {', '.join(map(str, counts))}: {slope:.2f}"
    target = f"slope <= {STEEPEST}"
    return Row(f"HTML, {counts[-1]} findings, cold", seconds, "", None, target, slope <= STEEPEST, note)


def _peak(command: Sequence[str]) -> tuple[float, float]:
    """Return the seconds of a command and the most memory, in MB, that its process held."""
    Path(command[-1]).unlink(missing_ok=True)
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return time.perf_counter() - began, used.ru_maxrss / 1024


def _page(view: View, drawn: Callable[[Plot], Markup]) -> str:
    style = Markup((TEMPLATES / "report.css").read_text(encoding="utf-8"))
    template = environment().get_template("report.html.j2")
    return template.render(view=view, drawn=drawn, style=style, not_advice=NOT_ADVICE)


def _matplotlib() -> Callable[[Plot], Markup]:
    """Return what draws intervals and characteristics with matplotlib, at the size of ours.

    Raises:
        ImportError: it is not installed.
    """
    import matplotlib

    matplotlib.use("svg")
    from matplotlib.figure import Figure

    def drawn(plot: Plot) -> Markup:
        figure = Figure(figsize=(7.2, 3.6))
        axes = figure.add_subplot(title=plot.title)
        if isinstance(plot, RocPlot):
            axes.set(xscale="log", yscale="log", xlim=(1e-4, 1), ylim=(1e-4, 1))
            for series in plot.series:
                axes.plot(series.fpr, series.tpr, label=series.label)
            axes.legend()
        elif isinstance(plot, IntervalsPlot):
            places = range(len(plot.rows))
            axes.errorbar(
                [row.value for row in plot.rows],
                places,
                xerr=[
                    [row.value - (row.low or 0) for row in plot.rows],
                    [(row.high or 0) - row.value for row in plot.rows],
                ],
                fmt="o",
            )
            axes.set_yticks(places, [row.label for row in plot.rows])
        page = io.StringIO()
        figure.savefig(page, format="svg", metadata={"Date": None})
        text = page.getvalue()
        return Markup(text[text.index("<svg") :])

    return drawn
