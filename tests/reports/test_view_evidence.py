"""What may be withheld: how much of it is, what a bare digest gives away all the same, and what salt does about it."""

from typing import Any

import pytest

from reports.model import Confidentiality, Evidence, evidence_path
from reports.render_html import render_html
from reports.render_markdown import render_markdown
from reports.view import View, view_of
from tests.reports.page import Page
from tests.reports.sample_page import whole, whole_view
from tests.reports.sample_plots import Shelves
from tests.reports.sample_report import assemble, finding

ORACLE = "A bare digest confirms a guess"


def view(*levels: Confidentiality, salted: int = 0, withheld: int = 0) -> View:
    """Return the view of a report with one piece of evidence a level, the first few of them salted or withheld."""
    shelves = Shelves()
    digests = [shelves.put(f"piece {i}".encode(), "text/plain", level, f"piece {i}") for i, level in enumerate(levels)]
    for digest in digests[:salted]:
        changed: dict[str, Any] = {"salted": True, "path": evidence_path(digest, ".txt.salted")}
        shelves.pieces[digest] = Evidence.model_validate(shelves.pieces[digest].model_dump() | changed)
    found = finding("a.fail", "It holds", "fail", "It does not.", evidence=tuple(digests))  # type: ignore[arg-type]
    return view_of(assemble([found], shelves).statement, withheld=digests[:withheld])


PUBLIC, INTERNAL, CONFIDENTIAL, RESTRICTED = Confidentiality


def test_where_nothing_may_be_withheld_nothing_is_said_of_it() -> None:
    shown = view(PUBLIC, INTERNAL)
    assert shown.withholding.sentences == ()
    assert ORACLE not in render_html(shown)


@pytest.mark.parametrize(
    ("salted", "withheld", "first", "last"),
    [
        (
            0,
            0,
            "3 pieces of evidence may be withheld, being confidential or restricted; none is.",
            "None of them begins",
        ),
        (
            1,
            1,
            "3 pieces of evidence may be withheld, being confidential or restricted; 1 is.",
            "1 of them begins with",
        ),
        (
            2,
            2,
            "3 pieces of evidence may be withheld, being confidential or restricted; 2 are.",
            "2 of them begin with",
        ),
        (3, 3, "3 pieces of evidence may be withheld, being confidential or restricted; 3 are.", "Each of them begins"),
    ],
)
def test_what_a_guesser_can_confirm_is_said_in_every_rendering(
    salted: int, withheld: int, first: str, last: str
) -> None:
    shown = view(RESTRICTED, CONFIDENTIAL, RESTRICTED, INTERNAL, salted=salted, withheld=withheld)
    said = shown.withholding.sentences
    assert said[0] == first
    assert said[1].startswith(ORACLE)
    assert said[2].startswith(last)
    assert ("--salted-evidence" in said[2]) == (salted < 3)
    for text in (Page(render_html(shown)).text, render_markdown(shown)):
        assert " ".join(said) in text
    assert (f"{withheld} of 4 pieces of evidence withheld." in Page(render_html(shown)).text) == (withheld > 0)


def test_salted_and_withheld_pieces_are_marked_in_the_index_and_where_they_are_cited() -> None:
    shown = view(RESTRICTED, RESTRICTED, INTERNAL, salted=1, withheld=1)
    page = Page(render_html(shown))
    rows = {e.attributes["id"]: e.text for e in page.every("tr") if (e.attributes.get("id") or "").startswith("e-")}
    marks = sorted((("withheld" in text), ("salted" in text)) for text in rows.values())
    assert marks == [(False, False), (False, False), (True, True)]
    cited = next(e.text for e in page.every("details") if "a.fail" in e.text)
    assert cited.count("(withheld)") == 1
    markdown = render_markdown(shown)
    assert markdown.count("withheld, salted |") == 1
    assert markdown.count("(withheld)") == 1


def test_the_withheld_original_leaves_a_named_gap_beside_what_was_recovered() -> None:
    made = whole()
    assert sum(piece.salted for piece in made.report.evidence) > 5
    [plot] = [f for g in whole_view().groups for one in g.findings for f in one.figures if "withheld" in f.note]
    assert plot.note.endswith("2 withheld from the bundle.")
    drawn = Page(render_html(whole_view()))
    assert len(drawn.every("image")) == len(Page(render_html(whole_view(withhold=0))).every("image")) - 2
