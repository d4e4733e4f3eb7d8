"""The page: whole, quiet, usable without eyes, and nothing that a report holds becomes more than text."""

import re
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings

from reports.model import Confidentiality
from reports.render_html import render_html
from reports.render_markdown import render_markdown
from reports.view import Signer, View, view_of
from reports.wording import visible
from tests.reports.hostile import hostile, report_of, view_of_word
from tests.reports.page import Page
from tests.reports.sample_plots import Shelves
from tests.reports.sample_report import assemble, findings, sample, skipped
from tests.reports.sample_system import artifact, sample_system

LAW = ("https://eur-lex.europa.eu/", "https://doi.org/", "https://arxiv.org/", "https://www.rfc-editor.org/")
CSP = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
SAMPLE = sample()


def view(include: str = "internal", **more: object) -> View:
    return view_of(
        SAMPLE.statement,
        lookup=SAMPLE.contents.get,
        signers=[Signer("9f2c41d07be3a55c" * 4)],
        include=Confidentiality(include),
        **more,  # type: ignore[arg-type]
    )


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(render_html(view("restricted")))


@pytest.fixture(scope="module")
def plain() -> Page:
    return Page(render_html(view_of_word("plain")))


def test_equal_views_give_equal_bytes() -> None:
    assert render_html(view()) == render_html(view())


def test_it_says_what_it_is_before_anything_else(page: Page) -> None:
    assert render_html(view()).startswith("<!DOCTYPE html>\n<html lang=")
    assert [element.attributes["lang"] for element in page.every("html")] == ["en"]
    policy = page.every("meta")[1].attributes
    assert policy == {"http-equiv": "Content-Security-Policy", "content": CSP}


def test_nothing_in_it_runs_or_asks_the_network(page: Page) -> None:
    assert not page.every("script", "iframe", "link", "object", "embed", "form", "base", "input")
    for element in page.elements:
        assert not [name for name in element.attributes if name.startswith("on")]
        for name in ("src", "href"):
            address = element.attributes.get(name)
            if address is None or address.startswith(("#", "data:image/png;base64,")):
                continue
            assert element.tag == "a"
            assert address.startswith(LAW)
            assert element.attributes["rel"] == "noreferrer"
    style = page.every("style")[0].text
    assert "url(" not in style
    assert "@import" not in style


def test_headings_are_one_tree(page: Page) -> None:
    levels = [int(element.tag[1]) for element in page.every("h1", "h2", "h3", "h4", "h5", "h6")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    numbers = [element.text.split()[0] for element in page.every("h2")]
    assert numbers == [str(number) for number in range(1, 10)]


def test_it_can_be_walked_without_eyes(page: Page) -> None:
    assert {element.tag for element in page.elements} >= {"header", "nav", "main", "footer"}
    ids = [element.attributes["id"] for element in page.elements if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    targets = [e.attributes["href"] or "" for e in page.every("a") if (e.attributes.get("href") or "").startswith("#")]
    assert {target[1:] for target in targets} <= set(ids)
    assert page.every("a")[0].attributes["class"] == "skip"
    for section in page.every("section"):
        assert section.attributes["aria-labelledby"] in ids


def test_every_table_has_a_caption_and_every_head_a_scope(page: Page) -> None:
    assert len(page.every("table")) == len(page.every("caption"))
    assert all(element.text.strip() for element in page.every("caption"))
    assert {element.attributes.get("scope") for element in page.every("th")} == {"row", "col"}


def test_every_drawing_has_title_description_and_its_data_beside_it(page: Page) -> None:
    drawings = page.every("svg")
    assert len(drawings) == 6
    assert {element.attributes.get("role") for element in drawings} == {"img"}
    assert len([e for e in page.every("title") if e.path[-1] == "svg"]) == len(drawings)
    assert len([e for e in page.every("desc") if e.path[-1] == "svg"]) == len(drawings)
    figures = [e.text for e in page.every("figure")]
    assert sum("Data of this plot" in text for text in figures) == len(drawings)


def test_a_status_is_a_word_beside_its_shape_and_colour(page: Page) -> None:
    marks = [e for e in page.every("span", "a") if "is" in (e.attributes.get("class") or "").split()]
    graves = [mark for mark in marks if not mark.text]
    assert len(graves) == 5  # on the first screen the shape stands alone before the sentence; its word follows below it
    assert all(word in page.every("ol")[1].text for word in ("failed", "error"))
    assert {mark.text for mark in marks if mark.text} >= {"passed", "failed", "inconclusive", "not tested", "error"}


def test_what_failed_or_broke_stands_open_and_the_rest_is_one_touch_away(page: Page) -> None:
    found = {e.attributes["class"] or "": "open" in e.attributes for e in page.every("details") if "id" in e.attributes}
    assert found == {
        "finding fail": True,
        "finding error": True,
        "finding inconclusive": False,
        "finding pass": False,
    }


def test_it_never_calls_itself_valid_or_the_system_compliant(page: Page) -> None:
    words = set(re.findall(r"[a-z]+", page.text.lower()))
    assert not words & {"valid", "compliant", "certified", "guaranteed", "approved"}
    assert page.every("footer")[0].text.strip().endswith("evidence, not a conformity assessment, not legal advice.")
    assert "verify before relying on it" in page.text


def test_the_first_section_holds_what_an_officer_asks_first(page: Page) -> None:
    first = next(e for e in page.every("section") if e.attributes["id"] == "s1").text
    header = page.every("header")[0].text
    assert "ward-triage 2.3.1" in header
    assert "Tested: model.safetensors (sha256" in header
    for words in (
        "60 of 60 planted records were read back",
        "reconstruction rate 1 [0.9404, 1] · limit ≤ 0.05 · AI Act Art. 15(5)",
        "Not tested, and why",
        "It needs a recorded round",
        "fedaudit verify BUNDLE --trust trust.toml --subject model.safetensors",
        SAMPLE.statement.sha256,
    ):
        assert words in first


def test_the_law_table_says_that_it_is_not_filled(page: Page) -> None:
    assert page.text.count("The table of duties is not filled in this report") == 2


def test_restricted_images_are_embedded_only_when_said() -> None:
    kept = render_html(view())
    assert "data:image/png" not in kept
    assert "27 of 27 images not shown here" in kept
    assert "--include restricted" in kept
    assert render_html(view("restricted")).count("data:image/png") == 29
    assert "data:image/png" not in render_html(view("confidential"))


def test_withheld_images_are_said_to_be_withheld() -> None:
    images = [piece.sha256 for piece in SAMPLE.report.evidence if piece.media_type == "image/png"]
    page = Page(render_html(view("restricted", withheld=images)))
    assert not page.every("image")
    rows = [e.text for e in page.every("tr") if (e.attributes.get("id") or "").startswith("e-")]
    assert sum("withheld" in row for row in rows) == len(images)
    assert sum("present" in row for row in rows) == len(rows) - len(images)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(word=hostile)
def test_hostile_strings_stay_text(plain: Page, word: str) -> None:
    page = Page(render_html(view_of_word(word)))
    assert page.skeleton == plain.skeleton
    assert not page.comments
    assert visible(word) in page.text


def test_a_hostile_string_would_be_noticed(plain: Page) -> None:
    """Positive control of the test above: markup that is let through changes what the parser sees."""
    markup = render_html(view_of_word("plain")).replace(">plain<", "><b>plain</b><", 1)
    assert Page(markup).skeleton != plain.skeleton


def test_template_syntax_in_a_report_is_not_evaluated() -> None:
    text = Page(render_html(view_of_word("{{7*7}}{% for x in [] %}"))).text
    assert "{{7*7}}{% for x in [] %}" in text
    assert "49" not in re.sub(r"[0-9a-f]{12,}", "", text)


def test_two_hundred_findings_and_their_plots_fit_400_kilobytes() -> None:
    shelves = Shelves()
    some = [finding for finding in findings(shelves) if finding.status != "skipped"]
    many = []
    for index in range(200):
        model = some[index % len(some)]
        kept = model.evidence if index < 2 * len(some) else ()
        print_ = f"{index:032x}"
        many.append(model.model_copy(update={"key": f"client={index}", "evidence": kept, "fingerprint": print_}))
    made = assemble(many, shelves)
    markup = render_html(view_of(made.statement, lookup=made.contents.get))
    assert markup.count("<svg") == 10
    assert len(markup.encode()) <= 400_000


def test_the_verdict_stands_first_and_names_its_policy() -> None:
    made, verdict = report_of("plain")
    page = Page(render_html(view_of(made.statement, lookup=made.contents.get, verdict=verdict)))
    first = next(e for e in page.every("section") if e.attributes["id"] == "s1").text
    assert first.index("Verdict: failed") < first.index("Gravest findings")
    assert "by the policy “plain” on 2026-11-22: 1 of 2 judgements blocks." in first
    assert "Verdict" not in Page(render_html(view())).text  # without a policy there is none


def test_files_that_the_line_leaves_out_are_counted_beside_it() -> None:
    system = sample_system()
    assert system.federation is not None
    assert system.federation.secure_aggregation is not None
    rounds = tuple(artifact(f"round{number}", "transcript") for number in range(4))
    secure = system.federation.secure_aggregation.model_copy(update={"transcripts": rounds})
    federation = system.federation.model_copy(update={"secure_aggregation": secure})
    made = assemble([], Shelves(), system.model_copy(update={"federation": federation}))
    shown = view_of(made.statement)
    assert len(made.statement.subjects) == 5
    for text in (Page(render_html(shown)).text, render_markdown(shown)):
        assert "It names 2 more files that you may hold." in text
    assert "that you may hold" not in Page(render_html(view())).text  # one subject: the line names it


def test_beyond_four_reasons_the_first_screen_leads_to_the_rest() -> None:
    found = [skipped(f"a.n{number}", "It holds", "budget", f"Reason {number}.") for number in range(6)]
    page = Page(render_html(view_of(assemble(found, Shelves()).statement)))
    first = next(e for e in page.every("section") if e.attributes["id"] == "s1").text
    assert "3 further reasons" in first
    last = next(e for e in page.every("section") if e.attributes["id"] == "s6").text
    assert all(f"Reason {number}." in last for number in range(6))
