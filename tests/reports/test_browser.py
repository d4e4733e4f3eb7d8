"""The page in a real browser: it asks nothing of anybody, and its first screen holds what it should."""

import html
import http.server
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reports.model import Confidentiality
from reports.render_html import render_html
from reports.view import Signer, view_of
from tests.reports.hostile import report_of
from tests.reports.sample_report import sample

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--window-size=1280,800",
)  # fmt: skip
Browse = Callable[..., str]


@pytest.fixture
def browse(tmp_path: Path) -> Browse:
    def opened(markup: str, *flags: str) -> str:
        page = tmp_path / "page.html"
        page.write_text(markup, encoding="utf-8")
        command = [CHROMIUM or "", *QUIET, f"--user-data-dir={tmp_path / 'profile'}", *flags, page.as_uri()]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout

    return opened


def careless() -> str:
    made, verdict = sample(), report_of("plain")[1]
    view = view_of(
        made.statement,
        lookup=made.contents.get,
        signers=[Signer("9f2c41d07be3a55c" * 4)],
        include=Confidentiality.RESTRICTED,
        verdict=verdict,
    )
    return render_html(view)


@pytest.fixture
def listener() -> Iterator[tuple[str, list[str]]]:
    """An HTTP server on this machine, and the paths that it was asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


def requests(log: Path) -> set[str]:
    """Return the addresses that a page asked for, by the browser's network log; what the browser asks is left out."""
    text = log.read_text(encoding="utf-8")
    found = json.loads(text if text.rstrip().endswith("}") else text.rstrip().rstrip(",") + "]}")
    asked = [event["params"] for event in found["events"] if "url" in event.get("params", {})]
    by_page = {given["url"] for given in asked if given.get("initiator", "not an origin") != "not an origin"}
    return {address for address in by_page if re.match(r"(https?|wss?|ftp):", address)}


def test_the_page_makes_no_request(browse: Browse, tmp_path: Path, listener: tuple[str, list[str]]) -> None:
    address, asked = listener
    log = tmp_path / "net.json"
    control = f'<!doctype html><img src="{address}/pixel">'
    browse(control, f"--log-net-log={log}", "--dump-dom")
    assert requests(log) == {f"{address}/pixel"}  # positive control: a page that asks is seen to ask
    assert asked == ["/pixel"]
    browse(careless(), f"--log-net-log={log}", "--dump-dom")
    assert requests(log) == set()
    assert asked == ["/pixel"]


def test_its_policy_stops_what_a_forger_adds(browse: Browse, listener: tuple[str, list[str]]) -> None:
    address, asked = listener
    forged = careless().replace(
        "<main>", f'<main><img src="{address}/beacon"><script>document.title = "run"</script>', 1
    )
    assert "<title>run</title>" not in browse(forged, "--dump-dom")
    assert asked == []


@pytest.mark.parametrize("scheme", ["0", "1"])
def test_the_first_screen_holds_verdict_tallies_findings_gaps_and_the_check(browse: Browse, scheme: str) -> None:
    script = (
        "<script>const low = s => document.querySelector(s).getBoundingClientRect().bottom;"
        "document.title = JSON.stringify([low('.verdict'), low('.tallies'), low('.grave'), low('.seal'),"
        " document.documentElement.scrollWidth]);</script>"
    )
    measured = re.sub(r"<meta http-equiv[^>]*>", "", careless()).replace("</body>", script + "</body>")
    dom = browse(measured, f"--blink-settings=preferredColorScheme={scheme}", "--dump-dom")
    found = re.search(r"<title>(\[.*?\])</title>", dom)
    assert found is not None
    *bottoms, width = json.loads(html.unescape(found[1]))
    assert all(0 < bottom <= 800 for bottom in bottoms), bottoms
    assert width <= 1280  # nothing is wider than the window


def test_the_printed_page_is_a_pdf_of_several_pages(browse: Browse, tmp_path: Path) -> None:
    target = tmp_path / "report.pdf"
    browse(careless(), "--no-pdf-header-footer", f"--print-to-pdf={target}")
    data = target.read_bytes()
    assert data.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", data)) > 5
