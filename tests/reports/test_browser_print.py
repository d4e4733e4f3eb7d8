"""The page on paper: everything opened, nothing dark, heads repeated, findings with their heading, on A4 and Letter."""

import io
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reports.render_html import render_html
from tests.reports.devtools import CHROMIUM, Browser, chromium
from tests.reports.sample_page import whole_page, whole_view

pypdf = pytest.importorskip("pypdf", reason="pypdf reads the printed page: pip install 'fedaudit[pdf]'")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]
PAPER = {"A4": (8.27, 11.69), "Letter": (8.5, 11.0)}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(whole_page(), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory, page: Path) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("browser") / "profile") as running:
        running.size(1280, 800)
        running.open(page)
        yield running


@pytest.fixture(scope="module", params=list(PAPER))
def printed(request: pytest.FixtureRequest, browser: Browser) -> Any:
    """The page on each kind of paper, as a reader of PDF finds it."""
    browser.media("dark")  # who reads in the dark prints in ink all the same
    return pypdf.PdfReader(io.BytesIO(browser.pdf(*PAPER[request.param])))


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", unicodedata.normalize("NFKC", text))  # a PDF writes ligatures


def letters(printed: Any) -> str:
    return squeezed("".join(sheet.extract_text() for sheet in printed.pages))


def test_the_sheet_has_the_size_of_the_paper_and_is_cut_nowhere(printed: Any) -> None:
    sizes = {(float(sheet.mediabox.width), float(sheet.mediabox.height)) for sheet in printed.pages}
    [(width, height)] = sizes
    assert any((width, height) == pytest.approx((72 * w, 72 * h), abs=1) for w, h in PAPER.values())
    places: list[float] = []

    def place(text: str, frame: list[float], matrix: list[float], *_: Any) -> None:
        if text.strip():
            places.append(matrix[4] * frame[0] + frame[4])

    for sheet in printed.pages:
        sheet.extract_text(visitor_text=place)
    assert places
    assert min(places) >= 0
    assert max(places) <= width


def test_what_is_folded_on_the_screen_is_opened_on_paper(printed: Any, browser: Browser) -> None:
    text = letters(printed)
    folded = browser.run("[...document.querySelectorAll('details:not([open])')].map(d => d.textContent)")
    assert len(folded) > 8
    view = whole_view()
    for group in view.groups:
        for one in group.findings:
            assert squeezed(one.reproduce) in text
            assert all(squeezed(limit) in text for limit in one.limitations)
            assert all(squeezed(row.method) in text for row in one.numbers)
    for piece in view.evidence:
        assert piece.sha256 in text
    for duty in view.duties:
        assert squeezed(duty.title) in text


def test_no_address_is_added_to_a_link(printed: Any) -> None:
    assert "eur-lex" not in letters(printed)


def test_heads_of_tables_repeat_on_every_sheet_that_they_reach(printed: Any) -> None:
    head = squeezed("name type size confidentiality in the bundle sha256")
    sheets = [squeezed(sheet.extract_text()) for sheet in printed.pages]
    index = [piece.sha256 for piece in whole_view().evidence]
    holding = [text for text in sheets if sum(digest in text for digest in index) > 1]
    assert len(holding) > 1, "the index must reach over more than one sheet for this to say anything"
    assert all(head in text for text in holding)


def test_the_officer_s_pages_can_be_taken_out(printed: Any) -> None:
    """Section 2 begins a sheet, and so does what follows it."""
    count = len(printed.pages)
    starts = [
        squeezed(sheet.extract_text()).removeprefix(f"{number}/{count}")  # its number, which is written first
        for number, sheet in enumerate(printed.pages, 1)
    ]
    for head in ("2 Duties without evidence", "3 System under review"):
        assert sum(start.startswith(squeezed(head)) for start in starts) == 1


def test_a_finding_stays_with_its_heading(printed: Any) -> None:
    sheets = [squeezed(sheet.extract_text()) for sheet in printed.pages]
    found = [one for group in whole_view().groups for one in group.findings]
    for one in found:
        [sheet] = [text for text in sheets if squeezed(one.title + one.summary) in text]
        after = sheet[sheet.index(squeezed(one.title + one.summary)) :]
        assert squeezed(f"{one.severity} severity · {one.strength} proof") in after


def test_printing_is_light_whatever_the_reader_prefers(browser: Browser) -> None:
    colours = (
        "JSON.stringify(['body', '.verdict', '.finding', 'pre', 'h1', '.soft'].map(s => { const c ="
        " getComputedStyle(document.querySelector(s)); return [c.color, c.backgroundColor]; }))"
    )
    browser.media("dark")
    dark = browser.run(colours)
    browser.media("dark", "print")
    printed = browser.run(colours)
    browser.media("light", "print")
    assert printed == browser.run(colours)
    assert printed != dark  # positive control: on the screen the scheme does matter
    browser.media()


def test_the_same_page_prints_from_a_browser_that_opens_no_fold_for_paper(page: Path) -> None:
    """Who cannot style ::details-content still finds each answer: what is folded repeats no verdict and no summary."""
    markup = render_html(whole_view())
    for one in (one for group in whole_view().groups for one in group.findings):
        start = markup.index(f'id="{one.anchor}"')
        assert (
            markup.index("<summary>", start) < markup.index('class="answer"', start) < markup.index("</summary>", start)
        )
