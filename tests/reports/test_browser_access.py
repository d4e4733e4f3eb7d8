"""The page in a real browser for those who do not see it, do not use a mouse, or read it on a small screen."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reports.render_html import render_html
from reports.view import view_of
from tests.reports.devtools import CHROMIUM, Browser, chromium
from tests.reports.hostile import view_of_word
from tests.reports.sample_page import whole_page
from tests.reports.sample_plots import Shelves
from tests.reports.sample_report import assemble, findings

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]
MODULES = os.environ.get("FEDAUDIT_NODE_MODULES")
AXE = Path(MODULES or "", "axe-core", "axe.min.js")
needs_axe = pytest.mark.skipif(
    not (MODULES and AXE.is_file()), reason="FEDAUDIT_NODE_MODULES names no folder with axe-core (npm install axe-core)"
)
OPENED = "document.querySelectorAll('details').forEach(d => d.open = true)"
FOCUSED = """(() => { const e = document.activeElement, s = getComputedStyle(e), b = e.getBoundingClientRect();
  return JSON.stringify({tag: e.tagName, cls: e.className, href: e.getAttribute('href'), outline: s.outlineStyle,
    width: parseFloat(s.outlineWidth), colour: s.outlineColor, top: b.top, bottom: b.bottom}); })()"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(whole_page(), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("browser") / "profile") as browser:
        yield browser


@pytest.fixture
def browser(running: Browser, page: Path) -> Browser:
    """The page as it opens: light, 1280 by 800."""
    running.size(1280, 800)
    running.media()
    running.open(page)
    return running


def complaints(browser: Browser) -> list[str]:
    """Return what axe-core says against the page, everything on it opened, by every rule that it has for WCAG 2.2."""
    browser.run(OPENED)
    browser.run(AXE.read_text(encoding="utf-8") + ";0")
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    asked = {"runOnly": {"type": "tag", "values": tags}, "rules": {"target-size": {"enabled": True}}}
    script = f"axe.run(document, {json.dumps(asked)}).then(r => JSON.stringify(r.violations))"
    violations: list[dict[str, Any]] = json.loads(browser.run(script))
    return [
        f"{one['id']}: {node['html'][:200]} {node['failureSummary']}" for one in violations for node in one["nodes"]
    ]


@needs_axe
@pytest.mark.parametrize("width", [1280, 320])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_against_it(browser: Browser, scheme: str, width: int) -> None:
    browser.media(scheme)
    browser.size(width, 800)
    assert complaints(browser) == []


@needs_axe
@pytest.mark.parametrize("kind", ["bare", "passed", "hostile"])
def test_axe_finds_nothing_against_other_reports(running: Browser, tmp_path: Path, kind: str) -> None:
    """A report with nothing in it, one that only passed, and one in which every word would be more than text."""
    passed = [one for one in findings(Shelves()) if one.status == "pass"]
    words = "<img src=x onerror=alert(1)> | `{{7*7}}` a-word-without-any-place-to-break-" * 2
    made = {
        "bare": lambda: view_of(assemble([], Shelves()).statement),
        "passed": lambda: view_of(
            assemble([one.model_copy(update={"evidence": ()}) for one in passed], Shelves()).statement
        ),
        "hostile": lambda: view_of_word(words),
    }
    page = tmp_path / "page.html"
    page.write_text(render_html(made[kind]()), encoding="utf-8")
    running.media()
    for width in (1280, 320):
        running.size(width, 800)
        running.open(page)
        assert complaints(running) == []
        assert running.run("document.documentElement.scrollWidth") <= width


@needs_axe
def test_axe_would_find_grey_on_white_and_a_picture_without_a_name(browser: Browser) -> None:
    """Positive control: the same rules, on a page that was spoilt."""
    browser.run("document.querySelector('.scope').style.color = '#aaa'")
    browser.run("document.querySelector('svg title').remove()")
    browser.run("document.querySelector('svg desc').remove()")
    found = {complaint.partition(":")[0] for complaint in complaints(browser)}
    assert found >= {"color-contrast", "svg-img-alt"}


def focused(browser: Browser) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(browser.run(FOCUSED))
    return found


def test_the_first_key_offers_to_skip_and_skipping_leads_to_the_summary(browser: Browser) -> None:
    assert focused(browser)["tag"] == "BODY"
    browser.press("Tab")
    first = focused(browser)
    assert (first["cls"], first["href"]) == ("skip", "#s1")
    assert 0 <= first["top"] < first["bottom"] <= 800  # it comes into sight
    browser.press("Enter")
    browser.press("Tab")
    assert browser.run("document.querySelector('#s1').contains(document.activeElement)")


def test_every_stop_of_the_keyboard_shows_where_it_is(browser: Browser) -> None:
    ink = browser.run("getComputedStyle(document.querySelector('nav a')).getPropertyValue('--accent')").strip()
    wanted = browser.run(
        f"(() => {{ const p = document.createElement('p'); p.style.color = '{ink}'; document.body.append(p);"
        " const c = getComputedStyle(p).color; p.remove(); return c; })()"
    )
    seen: list[str] = []
    while len(seen) < 60 or (seen[-1] != "SUMMARY" and len(seen) < 200):
        browser.press("Tab")
        stop = focused(browser)
        seen.append(stop["tag"])
        assert stop["outline"] == "solid", stop
        assert stop["width"] >= 2
        assert stop["colour"] == wanted
        assert stop["bottom"] > 0, stop
        assert stop["top"] < 800, stop
    assert set(seen) == {"A", "SUMMARY"}


def test_every_link_and_every_fold_can_be_reached_in_order(browser: Browser) -> None:
    stops = browser.run(
        "[...document.querySelectorAll('a[href], summary')].filter(e => e.checkVisibility({contentVisibilityAuto: true,"
        " visibilityProperty: true})).length"
    )
    order = []
    for _ in range(stops):
        browser.press("Tab")
        browser.run("(window.stops ??= new Set()).add(document.activeElement)")
        order.append(browser.run("document.activeElement.tagName"))
    assert browser.run("window.stops.size") == stops
    assert "BODY" not in order


@pytest.mark.parametrize("key", ["Enter", "Space"])
def test_a_fold_opens_and_closes_by_key(browser: Browser, key: str) -> None:
    browser.run("document.querySelector('details.finding.pass > summary').focus()")
    states = []
    for _ in range(3):
        states.append(browser.run("document.activeElement.parentElement.open"))
        browser.press(key)
    assert states == [False, True, False]


def test_a_link_into_a_fold_opens_it(browser: Browser) -> None:
    anchor = browser.run("document.querySelector('details.finding.pass').id")
    row = browser.run("document.querySelector('#evidence ~ details tbody tr').id")
    assert not browser.run(f"document.getElementById('{row}').closest('details').open")
    browser.run(f"location.hash = '{row}'")
    assert browser.run(f"document.getElementById('{row}').closest('details').open")
    browser.run(f"location.hash = '{anchor}'")
    assert abs(browser.run(f"document.getElementById('{anchor}').getBoundingClientRect().top")) < 100


def spoken(browser: Browser) -> list[tuple[str, str, str]]:
    """Return role, name and description of what a screen reader meets, in its order."""
    return [
        (node["role"]["value"], node.get("name", {}).get("value", ""), node.get("description", {}).get("value", ""))
        for node in browser.named()
    ]


def test_a_screen_reader_meets_names_for_everything_that_has_a_role(browser: Browser) -> None:
    browser.run(OPENED)
    met = spoken(browser)
    roles = {role for role, *_ in met}
    assert {"banner", "navigation", "main", "contentinfo", "region", "table", "heading", "link", "image"} <= roles
    named = {"table", "heading", "link", "image", "region", "navigation"}
    nameless = [role for role, name, _ in met if role in named and not name]
    assert nameless == []
    pictures = [(name, description) for role, name, description in met if role == "image"]
    assert len(pictures) == 6
    assert all(name and description for name, description in pictures)


def test_the_status_of_every_finding_is_spoken_with_it(browser: Browser) -> None:
    folds = [name for role, name, _ in spoken(browser) if role == "DisclosureTriangle"]
    found = [name for name in folds if name.split()[0] in {"passed", "failed", "inconclusive", "error"}]
    assert len(found) == browser.run("document.querySelectorAll('details.finding').length")


@pytest.mark.parametrize("width", [320, 375, 768, 1280])
def test_the_page_is_never_wider_than_the_window(browser: Browser, width: int) -> None:
    browser.size(width, 800)
    browser.run(OPENED)
    assert browser.run("document.documentElement.scrollWidth") <= width
    cut = browser.run(
        "[...document.querySelectorAll('p, li, td, th, h1, h2, h3, h4, dd, dt')].filter(e => { const b ="
        f" e.getBoundingClientRect(); return !e.closest('.hidden, svg, figure') && b.right > {width} + 1; }}).length"
    )
    assert cut == 0


def test_at_four_times_the_size_nothing_is_lost(browser: Browser) -> None:
    """WCAG 1.4.10: at 400 % a window of 1280 is 320 wide; what the desk reads the phone reads too."""
    words = "document.querySelector('main').innerText.replace(/\\s+/g, '')"
    browser.run(OPENED)
    desk = browser.run(words)
    browser.size(320, 800)
    phone = browser.run(words)
    heads = browser.run("[...document.querySelectorAll('.stacked thead')].map(e => e.textContent).join('')")
    assert heads
    for row in browser.run(
        "[...document.querySelectorAll('main tbody th')].map(e => e.innerText.replace(/\\s+/g, ''))"
    ):
        assert row in desk
        assert row in phone


def test_nothing_is_written_to_the_console_and_nothing_is_asked_of_the_network(browser: Browser, page: Path) -> None:
    def noise() -> list[str]:
        kinds = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
        return [str(event) for event in browser.events if event.get("method") in kinds]

    def asked() -> set[str]:
        sent = [e["params"] for e in browser.events if e.get("method") == "Network.requestWillBeSent"]
        return {one["request"]["url"] for one in sent if not one["request"]["url"].startswith("data:")}

    browser.run(OPENED)
    browser.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(0))))")
    assert noise() == []
    assert asked() == {page.as_uri()}
    browser.run(
        "console.error('heard'); document.body.append(Object.assign(new Image(), {src: 'http://127.0.0.1:9/'})); 0"
    )
    browser.run("new Promise(done => setTimeout(() => done(0), 200))")
    assert len(noise()) >= 2  # positive control: a word is heard, and so is the refusal of a picture
    failed = [event["params"] for event in browser.events if event.get("method") == "Network.loadingFailed"]
    assert [one.get("blockedReason") for one in failed] == ["csp"]  # what a forger adds is asked for and not sent


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_first_screen_needs_no_scrolling(browser: Browser, scheme: str) -> None:
    browser.media(scheme)
    lows = browser.run(
        "['.scope', '.verdict', '.counts', '.grave', '.untested', '.seal'].map(s =>"
        " document.querySelector(s).getBoundingClientRect().bottom)"
    )
    assert all(0 < low <= 800 for low in lows), lows


def test_what_was_not_tested_stands_as_large_as_what_was_found(browser: Browser) -> None:
    sizes = browser.run(
        "['.grave a.sentence', '.untested li'].map(s => getComputedStyle(document.querySelector(s)).fontSize)"
    )
    assert len(set(sizes)) == 1
