"""How long the report takes on paper, beside a browser-like engine that prints our HTML page."""

import re
import time

from reports_rows import Row, Sample, warm

from reports.bundle import read_bundle
from reports.errors import FedauditError
from reports.render_html import render_html
from reports.render_pdf import render_pdf
from reports.renderings import bundle_view

_GRADIENT = re.compile(r"linear-gradient\([^)]*\)")
"""One mark of the page is half filled by a gradient in currentColor, which the peer (70.0) cannot draw."""
TARGET = "<= 2 s, >= 3x faster"


def paper(one: Sample, repeats: int) -> list[Row]:
    """The PDF, warm, from a bundle on disk; the peer prints the HTML page of the same view, made beforehand.

    The peer needs so long that it is timed once, between two halves of our runs, its modules loaded beforehand.
    """
    bundle = read_bundle(one.bundle)
    count = len(one.statement.report.findings)
    what, peer_name = f"PDF, {count} findings, 10 plots, warm", "weasyprint on our HTML"

    def ours() -> bytes:
        return render_pdf(bundle_view(bundle), bundle.statement)

    try:
        first, again = ours(), ours()
    except FedauditError as error:
        return [Row(what, 0.0, peer_name, None, TARGET, False, f"not measured: {error.message}")]
    note = f"{len(first) / 1000:.0f} kB, " + ("byte-identical" if first == again else "DIFFERS on repeat")
    try:
        from weasyprint import HTML  # type: ignore[import-untyped]  # it ships no types
    except (ImportError, OSError) as error:  # OSError: its system libraries are not there
        [seconds] = warm(ours, repeats=repeats)
        return [Row(what, seconds, peer_name, None, TARGET, False, f"{note}; not compared: {error}")]
    page = _GRADIENT.sub("none", render_html(bundle_view(bundle)))
    HTML(string="<p>warm").write_pdf()
    half = (repeats + 1) // 2
    before = warm(ours, repeats=half)
    began = time.perf_counter()
    HTML(string=page).write_pdf()
    peer = time.perf_counter() - began
    seconds = max(before + warm(ours, repeats=half))
    met = first == again and seconds <= 2 and 3 * seconds <= peer
    return [Row(what, seconds, peer_name, peer, TARGET, met, f"{note}; the peer once")]
