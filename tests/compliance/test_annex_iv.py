"""The evidence file of Annex IV: every point is there, nothing is invented, each gap has its cause, text stays text."""

import html
import json
import re
from datetime import date
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compliance.annex_iv import ToldClaim, annex_iv_bytes, annex_iv_of, build_annex_iv
from compliance.annex_iv_nouns import AnnexIV, Section
from compliance.annex_iv_points import CLAIMED, DECLARED, kind_of
from compliance.annex_iv_render import GAP_WORDS, render_html, render_markdown
from compliance.assessment import Assessed, Assessment, QuoteRecord
from compliance.assessment_records import DocumentRecord, JudgeRecord, MemberRecord
from compliance.catalogue import load_catalogue
from compliance.citation import places
from reports.model import (
    Basis,
    Claims,
    Document,
    Effort,
    ErasureRequest,
    Federation,
    Finding,
    Measurement,
    Model,
    SecureAggregation,
    Status,
    Strength,
    System,
)
from tests.compliance.audited import artifact, finding, system

CATALOGUE = load_catalogue("2026-07-27")
ON = date(2028, 9, 1)
PATH = "td.md"
MARKUP = "<script>alert(1)</script> | `x` **b** [l](http://a.example) \u202e\n# head"
POINTS = [*(f"1({x})" for x in "abcdefgh"), *(f"2({x})" for x in "abcdefgh"), *"3456789"]


def the_file(
    declared: System,
    findings: tuple[Finding, ...] = (),
    assessment: Assessment | None = None,
    claims: tuple[ToldClaim, ...] = (),
    signed: bool | None = None,
) -> AnnexIV:
    return annex_iv_of(declared, findings, assessment, CATALOGUE, claims=claims, on=ON, signed=signed)


def point(name: str, *given: Any, **more: Any) -> Section:
    return next(section for section in the_file(*given, **more).sections if section.point == name)


def codes(section: Section) -> list[str]:
    return [gap.code for gap in section.gaps]


def documented(**given: Any) -> System:
    return system(documents=(Document(path=artifact(PATH), kind="technical-documentation"),), **given)


def read_as(answer: str, control: str, state: str = "admitted", text: str = "the words", **given: Any) -> Assessment:
    """Return an assessment of the one document in which a reader quotes one passage for one point."""
    sha256 = given.pop("sha256", artifact(PATH).sha256)
    quote = QuoteRecord(document_sha256=sha256, start=3, end=12, sentence=(0, 20), text=text)
    line: dict[str, Any] = {"control": control, "document": PATH, "status": "answered", "answer": answer, "score": 5}
    member = MemberRecord(
        name="local", model="m", host="127.0.0.1:1", temperature=0.0, top_p=1.0, max_tokens=1, context_tokens=1
    )
    judge = JudgeRecord.model_validate(
        {"members": [member], "samples": 1, "seed": 7, "state": state, "prompt_sha256": sha256, "schema_sha256": sha256}
    )
    record = DocumentRecord(
        path=PATH, sha256=sha256, text_sha256=sha256, media_type="text/markdown", characters=40,
        classification="internal", sections=1,
    )  # fmt: skip
    return Assessment(
        law_version=CATALOGUE.version,
        on=ON,
        effort=Effort.SMOKE,
        judge=judge,
        documents=(record,),
        assessments=(Assessed.model_validate({**line, "quotes": [quote], **given}),),
    )


def test_every_point_of_the_annex_is_there_in_the_order_of_the_law() -> None:
    numbered = [place for place in places(CATALOGUE.structure, "EU-AIA", CATALOGUE.version) if len(place.path) > 1]
    leaves = {str(place) for place in numbered if place.path[0] == "annex-IV"} - {
        "EU-AIA:annex-IV(1)",
        "EU-AIA:annex-IV(2)",
    }
    file = the_file(system())
    assert [section.point for section in file.sections] == POINTS
    assert file.points == len(POINTS) == len(leaves) == 23
    assert file.gap_count == sum(len(section.gaps) for section in file.sections)
    assert [section.title for section in file.sections] == [
        CATALOGUE.get(f"EU-AIA:annex-IV{name if '(' not in name else f'({name[0]}){name[1:]}'}").text
        if "(" in name
        else CATALOGUE.get(f"EU-AIA:annex-IV({name})").text
        for name in POINTS
    ]


def test_a_system_that_says_nothing_leaves_every_point_open() -> None:
    file = the_file(system())
    for section in file.sections:
        if section.point == "1(a)":
            assert [one.text for one in section.statements][:2] == ['system.name = "ward"', 'system.version = "1"']
        elif section.point in ("1(f)", "8"):
            assert codes(section) == ["person_needed"]
        else:
            assert codes(section) == ["no_evidence"], section.point
            assert not section.statements and not section.evidence


def test_a_document_that_nobody_read_is_no_statement() -> None:
    file = the_file(documented())
    for section in file.sections:
        if CATALOGUE.resolve(f"Annex IV, point {section.point}")[0].document_kind:
            assert "unread" in codes(section), section.point
            assert "no_evidence" not in codes(section)


@pytest.mark.parametrize(("status", "expected"), [(Status.PASS, []), (Status.INCONCLUSIVE, ["insufficient"])])
def test_a_point_that_was_read_in_the_run_is_not_unread(status: Status, expected: list[str]) -> None:
    control = "EU-AIA:annex-IV(1)(b)"
    given: dict[str, Any] = {"key": f"control={control}", "controls": (control,), "strength": Strength.DOCUMENT}
    assert codes(point("1(b)", documented(), (finding("compliance.documents", status, **given),))) == expected


def test_a_quote_of_an_admitted_reader_closes_a_point_that_documents_can_close() -> None:
    assert codes(point("1(b)", documented(), (), read_as("supports", "EU-AIA:annex-IV(1)(b)"))) == []
    [statement] = point("1(b)", documented(), (), read_as("supports", "EU-AIA:annex-IV(1)(b)")).statements
    assert (statement.text, statement.source, statement.start, statement.end) == ("the words", PATH, 3, 12)
    assert (statement.answer, statement.believed) == ("supports", True)


@pytest.mark.parametrize(
    ("assessment", "expected"),
    [
        (read_as("supports", "EU-AIA:annex-IV(1)(b)", state="not_admitted"), ["insufficient"]),
        (read_as("supports", "EU-AIA:annex-IV(1)(b)", flags=("injection_suspected",)), ["insufficient"]),
        (read_as("contradicts", "EU-AIA:annex-IV(1)(b)"), ["contradicted"]),
        (read_as("contradicts", "EU-AIA:annex-IV(1)(b)", state="expired"), ["insufficient"]),
        (read_as("insufficient_evidence", "EU-AIA:annex-IV(1)(b)"), ["no_evidence"]),
        (read_as("supports", "EU-AIA:annex-IV(1)(c)"), ["unread"]),
        (read_as("supports", "EU-AIA:annex-IV(1)(b)", status="withheld"), ["unread"]),
        (read_as("supports", "EU-AIA:annex-IV(1)(b)", sha256="0" * 64), ["stale"]),
    ],
)
def test_what_a_reader_says_counts_as_far_as_the_reader_may_be_believed(
    assessment: Assessment, expected: list[str]
) -> None:
    assert codes(point("1(b)", documented(), (), assessment)) == expected


def test_words_alone_are_said_to_be_words_where_a_measurement_could_stand() -> None:
    masked = system(federation=Federation(secure_aggregation=SecureAggregation(protocol="secagg+", threshold=5)))
    alone = point("2(h)", masked)
    assert [one.text for one in alone.statements] == [
        'federation.secure_aggregation.protocol = "secagg+"',
        "federation.secure_aggregation.threshold = 5",
    ]
    assert codes(alone) == ["document_only"]
    measured = finding("secagg.transcript", strength=Strength.EXACT)
    assert codes(point("2(h)", masked, (measured,))) == []
    declared = finding("secagg.parameters", strength=Strength.EXACT, basis=Basis.DECLARED)
    assert codes(point("2(h)", masked, (declared,))) == ["document_only"]


def test_what_no_check_reads_is_for_a_person_to_look_at() -> None:
    described = system(federation=Federation(clients=10))
    assert [one.text for one in point("2(c)", described).statements] == ["federation.clients = 10"]
    [gap] = point("2(c)", described).gaps
    assert gap.code == "person_needed" and "log or energy" in gap.text


def test_a_finding_stands_at_its_points_with_its_figures() -> None:
    figure = Measurement(name="accuracy", value=0.91, n=200, method="held-out records")
    found = finding("integrity.accuracy", measurements=(figure,))
    [shown] = point("3", system(), (found,)).evidence
    assert (shown.check, shown.finding, shown.measurements) == ("integrity.accuracy", found.fingerprint, (figure,))
    named = finding("attack.linear", Status.FAIL, controls=("EU-AIA:annex-IV(2)(g)",))
    assert [one.check for one in point("2(g)", system(), (named,)).evidence] == ["attack.linear"]
    assert codes(point("2(g)", system(), (named,))) == []  # a test that finds a leak is evidence of testing
    assert the_file(system(), (finding("attack.linear", Status.SKIPPED),)) == the_file(system())


def test_a_failed_finding_that_names_a_point_contradicts_it() -> None:
    for status, expected in ((Status.FAIL, True), (Status.PASS, False)):
        named = finding("secagg.transcript", status, controls=("EU-AIA:annex-IV(2)(h)",))
        shown = point("2(h)", system(), (named,))
        assert ("contradicted" in codes(shown)) is expected
        assert any("secagg.transcript" in gap.text for gap in shown.gaps if gap.code == "contradicted") is expected


def test_an_undecided_finding_leaves_a_point_open() -> None:
    for status in (Status.INCONCLUSIVE, Status.ERROR):
        assert codes(point("3", system(), (finding("integrity.accuracy", status),))) == ["insufficient"]


@pytest.mark.parametrize("signed", [True, False, None])
def test_a_test_report_that_nobody_signed_is_a_gap(signed: bool | None) -> None:
    named = finding("attack.linear", controls=("EU-AIA:annex-IV(2)(g)",))
    assert codes(point("2(g)", system(), (named,), signed=signed)) == (["unsigned"] if signed is False else [])
    assert "unsigned" not in codes(point("2(g)", system(), signed=signed))  # no report, so none to sign


def test_evidence_about_another_model_is_stale() -> None:
    forgotten = finding("unlearning.federated.replay", key="unlearning=r1")
    request = ErasureRequest(id="r1", kind="client", after=artifact("old.safetensors"))
    other = system(model=Model(checkpoint=artifact("new.safetensors")), unlearning=(request,))
    same = system(model=Model(checkpoint=artifact("old.safetensors")), unlearning=(request,))
    assert "stale" in codes(point("2(f)", other, (forgotten,)))
    assert "stale" not in codes(point("2(f)", same, (forgotten,)))


@pytest.mark.parametrize("kind", sorted(CLAIMED))
def test_a_refuted_claim_contradicts_the_points_that_it_speaks_to(kind: str) -> None:
    refuted = ToldClaim(kind, PATH, "we claim so", 4, 15, "contradicted")
    file = the_file(system(), claims=(refuted,))
    assert [one.point for one in file.sections if "contradicted" in codes(one)] == list(CLAIMED[kind])
    kept = ToldClaim(kind, PATH, "we claim so", 4, 15, "consistent")
    assert not any("contradicted" in codes(one) for one in the_file(system(), claims=(kept,)).sections)
    failed = finding("compliance.claims", Status.FAIL, key=f"claim={kind} source={PATH}")
    shown = the_file(system(), (failed,))
    assert [one.point for one in shown.sections if "contradicted" in codes(one)] == list(CLAIMED[kind])


def test_a_claim_of_the_system_file_is_told_once_with_its_state() -> None:
    claimed = system(claims=Claims(accuracy=0.99))
    assert [one.text for one in point("3", claimed).statements] == ["claims.accuracy = 0.99"]
    compared = ToldClaim("accuracy", "system.toml", "accuracy = 0.99", None, None, "contradicted")
    [told] = point("3", claimed, (), None, (compared,)).statements
    assert (told.text, told.state, told.source) == ("claims.accuracy = 0.99", "contradicted", "system.toml")


def test_a_system_that_is_not_high_risk_owes_no_point() -> None:
    file = the_file(system(risk_class="limited"))
    assert {one.applicability.state for one in file.sections} == {"not_addressed"}
    assert file.points == 23 and file.gap_count == 0


def test_duties_that_do_not_apply_yet_are_assessed_all_the_same() -> None:
    early = annex_iv_of(system(), (), None, CATALOGUE, claims=(), on=date(2026, 11, 22))
    assert {one.applicability.state for one in early.sections} == {"not_yet"}
    assert early.gap_count == the_file(system()).gap_count


def test_point_seven_takes_the_branch_of_the_solutions_adopted() -> None:
    assert CATALOGUE.timeline["harmonised_standards_cited"] == []
    assert "2026-10-06" in point("7", system()).note and "solutions adopted" in point("7", system()).note


def test_every_family_of_checks_has_the_kind_that_the_specification_gives_it() -> None:
    table = {
        "attack.linear": "reconstruction",
        "attack.membership": "membership",
        "attack.poisoning": "robustness",
        "dp.accounting": "dp",
        "secagg.graph": "secagg",
        "unlearning.llm.verdict": "unlearning",
        "integrity.accuracy": "accuracy",
        "integrity.artifacts": "signature",
        "report.lineage": "signature",
        "report.thresholds-committed": "thresholds",
        "compliance.thresholds": "thresholds",
        "compliance.documents": "document",
        "somebody.else": "document",
    }
    assert {check: kind_of(check) for check in table} == table


def test_the_keys_that_are_told_are_keys_of_the_system_file() -> None:
    for keys in DECLARED.values():
        for key in keys:
            noun: Any = System
            for word in key.removeprefix("system.").split("."):
                assert word in noun.model_fields, key
                inside = [
                    kind for kind in [noun.model_fields[word].annotation, *_arguments(noun, word)] if _is_noun(kind)
                ]
                noun = inside[0] if inside else noun


def _arguments(noun: Any, word: str) -> tuple[Any, ...]:
    return getattr(noun.model_fields[word].annotation, "__args__", ())


def _is_noun(kind: object) -> bool:
    return hasattr(kind, "model_fields")


def everything(text: str) -> tuple[System, tuple[Finding, ...], Assessment, tuple[ToldClaim, ...]]:
    """Return inputs that carry one text wherever a text can stand."""
    visible = re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", " ", text) or "x"
    declared = documented(provider=visible[:200], intended_purpose=visible)
    found = finding("attack.linear", key=visible[:200], summary=visible[:300], controls=("EU-AIA:annex-IV(2)(g)",))
    claim = ToldClaim("accuracy", PATH, text, 0, len(text), "contradicted")
    return declared, (found,), read_as("supports", "EU-AIA:annex-IV(1)(b)", text=text), (claim,)


class Page(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_hostile_text_stays_text() -> None:
    page = render_html(the_file(*everything(MARKUP)))
    plain = render_html(the_file(*everything("plain words")))
    assert Page(page).tags == Page(plain).tags  # not one element more
    assert "<script" not in page and "\u202e" not in page
    assert "<script>alert(1)</script>" in Page(page).text
    markdown = render_markdown(the_file(*everything(MARKUP)))
    shape = re.compile(r"^(#+ \d|\| |- |\S)", re.MULTILINE)
    assert len(shape.findall(markdown)) == len(shape.findall(render_markdown(the_file(*everything("plain words")))))
    assert "\u202e" not in markdown


@settings(max_examples=6)
@given(st.text(min_size=1, max_size=60).filter(lambda text: text.strip() and text.isprintable()))
def test_no_text_adds_an_element_to_the_page(text: str) -> None:
    tags = Page(render_html(the_file(*everything(text)))).tags
    assert tags == Page(render_html(the_file(*everything("plain words")))).tags


def test_nothing_is_told_that_is_not_in_system_report_or_assessment() -> None:
    declared, findings, assessment, claims = everything("quotable words of theirs")
    given_words = " ".join(
        [
            declared.model_dump_json(),
            *(one.model_dump_json() for one in findings),
            assessment.model_dump_json(),
            *(one.quote for one in claims),
        ]
    )
    file = the_file(declared, findings, assessment, claims)
    for section in file.sections:
        for statement in section.statements:
            value = statement.text.partition(" = ")[2] if statement.source == "system.toml" else statement.text
            assert (
                json.loads(value) in [*json.loads(declared.model_dump_json()).values()]
                if " = " in statement.text
                else (value in given_words)
            )
        assert {one.finding for one in section.evidence} <= {one.fingerprint for one in findings}


@pytest.mark.parametrize("declared", [system(), documented(claims=Claims(accuracy=0.9))])
def test_no_sentence_of_ours_decides(declared: System) -> None:
    file = the_file(declared, (finding("integrity.accuracy"),))
    titles = [CATALOGUE.get(one.id).text for one in CATALOGUE.controls]
    for page in (html.unescape(render_html(file)), render_markdown(file)):
        ours = page.replace("not a conformity assessment, not legal advice", "")
        for title in sorted(titles, key=len, reverse=True):  # the law's own duties may name a declaration of conformity
            ours = ours.replace(title, "")
        assert not re.search(r"complian[ct]|certif|conform|legal advice", re.sub(r"compliance\.\w+", "", ours))
    assert set(GAP_WORDS) == {
        *("no_evidence", "document_only", "contradicted", "insufficient"),
        *("unsigned", "stale", "person_needed", "unread"),
    }


def test_equal_inputs_give_equal_bytes() -> None:
    first, second = (annex_iv_bytes(the_file(*everything("words"))) for _ in range(2))
    assert first == second
    members = json.loads(first)
    assert (members["schema"], members["points"], members["law_version"]) == ("fedaudit.annex-iv/1", 23, "2026-07-27")
    assert set(members["sections"][0]) >= {"point", "title", "applicability", "statements", "evidence", "gaps"}
    assert build_annex_iv(system(), None, None, CATALOGUE, on=ON) == the_file(system())
