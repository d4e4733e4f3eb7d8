"""How long the report takes on paper, beside an engine that prints our HTML page.

Every run is a process of its own: within one process typst remembers what it has set before, and a second PDF of the
same report would take a quarter of the time.
"""

import re
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from reports_rows import Row, Sample, cold, fedaudit

from reports.bundle import read_bundle
from reports.render_html import render_html
from reports.renderings import bundle_view

_GRADIENT = re.compile(r"linear-gradient\([^)]*\)")
"""One mark of the page is half filled by a gradient in currentColor, which the peer (70.0) cannot draw."""
_PEER = "import sys; from weasyprint import HTML; HTML(filename=sys.argv[1]).write_pdf(sys.argv[2])"
_NOTHING = (sys.executable, "-c", "pass")


def paper(one: Sample, repeats: int) -> list[Row]:
    """The PDF from a bundle on disk; the peer prints a page that was written before, so slowly that once must do."""
    count = len(one.statement.report.findings)
    what, peer_name = f"fedaudit render --format pdf, cold, {count}", "weasyprint on our HTML, once"
    target = "<= 2 s, >= 3x faster"
    if find_spec("typst") is None:
        return [Row(what, 0.0, peer_name, None, target, False, "not measured: typst is not installed")]
    first, again = (one.bundle.parent / name for name in ("first.pdf", "again.pdf"))
    words = [fedaudit(), "render", str(one.bundle), "--format", "pdf", "-o"]
    subprocess.run([*words, str(first)], check=True, capture_output=True)
    seconds, _ = cold([*words, str(again)], _NOTHING, repeats)
    same = first.read_bytes() == again.read_bytes()
    note = f"{first.stat().st_size / 1000:.0f} kB, {'byte-identical' if same else 'DIFFERS on repeat'}"
    peer = _peer_seconds(one)
    if peer is None:
        return [Row(what, seconds, peer_name, None, target, False, f"{note}; not compared: no weasyprint")]
    return [Row(what, seconds, peer_name, peer, target, same and seconds <= 2 and 3 * seconds <= peer, note)]


def _peer_seconds(one: Sample) -> float | None:
    """Return how long the peer takes, its start included; None where it is not installed."""
    if find_spec("weasyprint") is None:
        return None
    page = Path(one.bundle.parent, "printed.html")
    page.write_text(_GRADIENT.sub("none", render_html(bundle_view(read_bundle(one.bundle)))), encoding="utf-8")
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", _PEER, str(page), str(page.with_suffix(".pdf"))], check=True, capture_output=True
    )
    return time.perf_counter() - began
