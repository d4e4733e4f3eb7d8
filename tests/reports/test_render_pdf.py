"""The report on paper: sealed inside, the same for everyone, in the words of the page, and nothing but text."""

import hashlib
import io
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reports.errors import IncompleteError
from reports.figure import described
from reports.model import Confidentiality, Finding, Status
from reports.plot import parse_plot
from reports.render_html import render_html
from reports.render_pdf import ATTACHED, render_pdf
from reports.typeset import typeset
from reports.view import Signer, View, view_of
from reports.wording import visible
from tests.reports.hostile import FRAGMENTS, report_of
from tests.reports.page import Page
from tests.reports.sample_plots import Shelves
from tests.reports.sample_report import Sample, assemble, finding, findings, sample, skipped

pytest.importorskip("typst", reason="typst is not installed: pip install 'fedaudit[pdf]'")
pypdf = pytest.importorskip("pypdf", reason="pypdf is not installed: pip install 'fedaudit[pdf]'")

LAW = ("https://eur-lex.europa.eu/", "https://doi.org/", "https://arxiv.org/", "https://www.rfc-editor.org/")
ONLY_ON_SCREEN = ("Skip to the summary", "Data of this plot", "by digest", "How to check", "This page is written")
"""Words of the page that lead about it; on paper page numbers do."""
SAMPLE = sample()
WRITTEN = st.lists(st.sampled_from((*FRAGMENTS, "a", "fi", "Ω", "ж")), min_size=1, max_size=5).map("".join)


def view(include: str = "restricted") -> View:
    signers = [Signer("9f2c41d07be3a55c" * 4)]
    level = Confidentiality(include)
    return view_of(SAMPLE.statement, lookup=SAMPLE.contents.get, signers=signers, include=level)


@cache
def paper() -> Any:
    return opened(render_pdf(view(), SAMPLE.statement))


def opened(data: bytes) -> Any:
    return pypdf.PdfReader(io.BytesIO(data), strict=True)


def paper_of(made: Sample, **more: Any) -> Any:
    return opened(render_pdf(view_of(made.statement, lookup=made.contents.get, **more), made.statement))


@cache
def paper_of_word(word: str) -> Any:
    made, verdict = report_of(word)
    return paper_of(made, signers=[Signer(word, word)], verdict=verdict)


@cache
def words() -> str:
    """Return all that stands on the sample's pages."""
    return text_of(paper())


def text_of(pages: Any) -> str:
    return "\n".join(page.extract_text() for page in pages.pages)


def squeezed(text: str) -> str:
    """Return text without what setting it in lines adds or takes: spaces, line ends, hyphens."""
    return re.sub(r"[\s\u00ad\u2010-]+", "", text)


def elements(pages: Any) -> Iterator[Any]:
    """Yield the structure elements of a tagged PDF (ISO 32000-1 section 14.7.2)."""
    waiting = [pages.trailer["/Root"]["/StructTreeRoot"]["/K"]]
    while waiting:
        found = waiting.pop()
        found = found.get_object() if hasattr(found, "get_object") else found
        if isinstance(found, list):
            waiting += reversed(found)
        elif isinstance(found, dict) and "/S" in found:
            yield found
            waiting.append(found.get("/K", []))


def skeleton(pages: Any) -> Counter[str]:
    """Return how many elements of each kind the pages have; spans and links break where lines do."""
    kinds = Counter(str(element["/S"]) for element in elements(pages))
    return Counter({kind: count for kind, count in kinds.items() if kind not in ("/Span", "/Link", "/Code", "/P")})


def titles(outline: list[Any]) -> Iterator[str]:
    for entry in outline:
        if isinstance(entry, list):
            yield from titles(entry)
        else:
            yield str(entry.title)


def test_equal_views_give_equal_bytes() -> None:
    assert render_pdf(view(), SAMPLE.statement) == render_pdf(view(), SAMPLE.statement)


def test_the_payload_that_was_signed_is_inside_byte_for_byte() -> None:
    [inside] = paper().attachments[ATTACHED]
    assert inside == SAMPLE.statement.body
    assert hashlib.sha256(inside).hexdigest() == SAMPLE.statement.sha256
    assert SAMPLE.statement.sha256 in squeezed(words())


def test_it_says_that_it_is_pdf_a_3_and_has_what_that_asks_for() -> None:
    root = paper().trailer["/Root"]
    about = root["/Metadata"].get_object().get_data().decode()
    assert "<pdfaid:part>3</pdfaid:part>" in about
    assert "<pdfaid:conformance>A</pdfaid:conformance>" in about
    assert "<pdfuaid:part>1</pdfuaid:part>" in about
    assert [str(intent.get_object()["/S"]) for intent in root["/OutputIntents"]] == ["/GTS_PDFA1"]
    [attached] = [entry.get_object() for entry in root["/AF"]]  # ISO 19005-3 section 6.8
    assert (attached["/F"], attached["/AFRelationship"]) == (ATTACHED, "/Source")
    assert attached["/EF"]["/F"]["/Subtype"] == "/application/json"
    assert not paper().is_encrypted
    for page in paper().pages:
        for font in page["/Resources"]["/Font"].values():
            assert "/ToUnicode" in font.get_object()


def test_its_dates_are_those_of_the_report_and_of_no_clock() -> None:
    finished = SAMPLE.report.provenance.finished
    root = paper().trailer["/Root"]
    stamps = [paper().metadata["/CreationDate"], paper().metadata["/ModDate"]]
    stamps += [entry.get_object()["/EF"]["/F"]["/Params"]["/ModDate"] for entry in root["/AF"]]
    assert {stamp.rstrip("Z") for stamp in stamps} == {f"D:{finished:%Y%m%d%H%M%S}"}
    about = root["/Metadata"].get_object().get_data().decode()
    assert set(re.findall(r"\d{4}-\d{2}-\d{2}T[0-9:+Z]+", about)) == {f"{finished:%Y-%m-%dT%H:%M:%S}+00:00"}


def test_it_can_be_read_without_eyes() -> None:
    root = paper().trailer["/Root"]
    assert root["/Lang"] == "en"
    assert root["/MarkInfo"]["/Marked"]
    assert root["/ViewerPreferences"]["/DisplayDocTitle"]
    assert paper().metadata.title == f"Audit of ward-triage 2.3.1, {SAMPLE.report.provenance.finished:%Y-%m-%d}"
    plots = [
        parse_plot(SAMPLE.contents[piece.sha256]) for piece in SAMPLE.report.evidence if "plot" in piece.media_type
    ]
    told = [str(element["/Alt"]) for element in elements(paper()) if element["/S"] == "/Figure"]
    assert Counter(told) == Counter(described(plot) for plot in plots if plot)
    kinds = {str(element["/S"]) for element in elements(paper())}
    assert kinds >= {"/Title", "/H1", "/H2", "/H3", "/Table", "/TH", "/L", "/Figure"}


def test_bookmarks_lead_to_every_section_and_every_finding() -> None:
    found = list(titles(paper().outline))
    assert [title[0] for title in found if title[0].isdigit()] == [str(number) for number in range(1, 10)]
    asked = {one.title for one in SAMPLE.report.findings if one.status is not Status.SKIPPED}
    assert asked <= set(found)


def test_every_page_names_its_report_and_its_number() -> None:
    count = len(paper().pages)
    for number, page in enumerate(paper().pages, 1):
        assert f"page {number} of {count}" in page.extract_text()
        assert SAMPLE.statement.sha256 in page.extract_text()


@pytest.mark.parametrize("law", [False, True])  # the sample has every plot; the other report has duties and a verdict
def test_what_the_page_says_stands_on_paper_too(law: bool) -> None:
    made, verdict = report_of("plain")
    shown = view_of(made.statement, lookup=made.contents.get, verdict=verdict) if law else view()
    told = squeezed(text_of(opened(render_pdf(shown, made.statement))) if law else words())
    page = Page(render_html(shown))
    skipped_parts = page.every("title", "style", "nav", "svg", "caption", "summary", "pre")
    hidden = {word for element in skipped_parts for word in element.words}
    said = [word for word in page.words if word not in hidden and squeezed(word)]
    assert len(said) > 200
    missing = [word for word in said if squeezed(word) not in told and not word.strip().startswith(ONLY_ON_SCREEN)]
    assert not missing


def test_nothing_in_it_runs_and_links_lead_into_it_or_to_the_law() -> None:
    for page in paper().pages:
        for entry in page.get("/Annots", []):
            entry = entry.get_object()
            assert entry["/Subtype"] == "/Link"
            action = entry.get("/A", {"/S": "/GoTo"})
            assert action["/S"] in ("/GoTo", "/URI")
            assert action["/S"] == "/GoTo" or str(action["/URI"]).startswith(LAW)
    assert not {"/OpenAction", "/AA", "/AcroForm"} & set(paper().trailer["/Root"])


def test_it_never_calls_itself_valid_or_the_system_compliant() -> None:
    told = set(re.findall(r"[a-z]+", words().lower()))
    assert not told & {"valid", "compliant", "certified", "guaranteed", "approved"}
    assert "evidence, not a conformity assessment, not legal advice" in words()


@pytest.mark.parametrize(
    "word",
    [
        '#eval("1+1") #read("report.json") $x^2$ [a] *b* _c_ `d` = h',
        "= h\n- a\n+ b\n/ c: d\n{{7*7}}{% raw %} </script>]]>--><!--",
        "a \u202e b \u2066 c \\u{41} \\ // x /* y */ <label> @reference ~ -- --- ⟦U+0041⟧ https://e.org",
        "a" * 190,
    ],
)
def test_hostile_strings_stay_text(word: str) -> None:
    assert skeleton(paper_of_word(word)) == skeleton(paper_of_word("plain"))
    assert squeezed(visible(word)) in squeezed(text_of(paper_of_word(word)))


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(word=WRITTEN.filter(lambda word: bool(word.strip())))
def test_any_hostile_string_stays_text(word: str) -> None:
    pages = paper_of_word(word)
    assert skeleton(pages) == skeleton(paper_of_word("plain"))
    assert squeezed(visible(word)) in squeezed(text_of(pages))


def test_a_hostile_string_would_be_noticed() -> None:
    """Positive control of the two tests above: a template that took text for markup shows something else."""
    moment = SAMPLE.report.provenance.finished
    head, word = '#set document(title: "t")\n#let word = json("view.json")\n', "= h #(1 + 1) *b*"
    sound = opened(typeset("t", word, moment, {"t": (head + "#word").encode()}))
    fooled = opened(typeset("t", word, moment, {"t": (head + '#eval(word, mode: "markup")').encode()}))
    assert squeezed(word) in squeezed(text_of(sound))
    assert squeezed(word) not in squeezed(text_of(fooled))
    assert skeleton(sound) != skeleton(fooled)


def test_letters_that_no_font_has_are_written_out_and_said_to_be() -> None:
    note = "are not in the fonts of these pages"
    latin = squeezed(text_of(paper_of_word("Größe ΑΩ Жж ≤ ½")))
    assert "GrößeΑΩЖж≤½" in latin
    assert squeezed(note) not in latin
    other = squeezed(text_of(paper_of_word("中 🎉 \ufffe x\u20dd")))
    assert "⟦U+4E2D⟧⟦U+1F389⟧⟦U+FFFE⟧x⟦U+20DD⟧" in other
    assert squeezed(note) in other


def many(count: int, status: Status) -> Sample:
    titled = (skipped if status is Status.SKIPPED else finding, "Sentence number {} is true")
    made: list[Finding] = []
    for number in range(count):
        check, title, answer = f"attack.kind-{number}", titled[1].format(number), f"Answer number {number} stands here."
        if status is Status.SKIPPED:
            made.append(skipped(check, title, "budget", answer))
        else:
            made.append(finding(check, title, status, answer, detail="More of it.\n" * (number % 7)))
    return assemble(made, Shelves())


def test_no_finding_is_split_from_its_heading() -> None:
    pages = paper_of(many(40, Status.PASS))
    on = [page.extract_text() for page in pages.pages]
    assert len(on) > 8
    first = next(number for number, text in enumerate(on) if "4 Findings" in text and "Each names the sentence" in text)
    for number in range(40):
        heading = [
            place for place, text in enumerate(on) if f"Sentence number {number} is true" in text and place >= first
        ]
        assert f"Answer number {number} stands here." in on[heading[0]]
        assert "medium severity" in on[heading[0]]


def test_heads_of_tables_repeat_on_every_page() -> None:
    on = [page.extract_text() for page in paper_of(many(90, Status.SKIPPED)).pages]
    rows = [text for text in on[1:] if "Sentence number" in text and "stands here" in text]
    assert len(rows) > 2
    assert all("what would be true if it passed" in text for text in rows)


def test_two_findings_with_one_anchor_get_no_ambiguous_link() -> None:
    some = [one for one in findings(Shelves()) if one.status is not Status.SKIPPED]
    alike = [
        one.model_copy(update={"fingerprint": f"{number:032x}", "evidence": ()}) for number, one in enumerate(some)
    ]
    assert some[0].title in text_of(paper_of(assemble(alike, Shelves())))


def test_whoever_signed_without_a_name_or_not_at_all_is_told_so() -> None:
    made, _ = report_of("plain")
    assert "Signed by key , role as your trust file says" in text_of(paper_of(made, signers=[Signer("")]))
    assert "Not signed: nobody answers for this report yet." in text_of(paper_of(made))


def test_plots_have_the_colours_of_the_light_scheme() -> None:
    from reports.render_pdf import _paper_style

    assert "var(" not in _paper_style()
    assert "#1b4d61" in _paper_style()


def test_a_template_at_fault_is_one_error_of_ours() -> None:
    moment = SAMPLE.report.provenance.finished
    with pytest.raises(IncompleteError) as caught:
        typeset("t", {}, moment, {"t": b"#nothing-of-that-name"})
    assert caught.value.code == "render.pdf"
