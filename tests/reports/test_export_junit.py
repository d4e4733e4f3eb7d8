"""JUnit XML: read by somebody else's parser; nothing undecided, and nothing that blocks, is ever counted as passed."""

import re
from xml.etree.ElementTree import Element, fromstring

import pytest
from hypothesis import HealthCheck, example, given, settings

from reports.export_junit import export_junit, xml_text
from reports.model import Report, Status
from reports.verdict import Verdict
from reports.wording import visible
from tests.reports.export_cases import LIMIT, SAMPLE, WAIVER, statuses, verdict_on
from tests.reports.hostile import hostile, report_of

# the schema of Jenkins' xUnit plug-in (junit-10.xsd), as far as it speaks of what stands here: attributes and children
ALLOWED = {
    "testsuites": ({"name", "tests", "failures", "errors", "skipped"}, {"testsuite"}),
    "testsuite": ({"name", "timestamp", "tests", "failures", "errors", "skipped"}, {"testcase"}),
    "testcase": ({"classname", "name"}, {"failure", "error", "skipped"}),
    "failure": ({"type", "message"}, set()),
    "error": ({"type", "message"}, set()),
    "skipped": ({"type", "message"}, set()),
}


def page(report: Report, verdict: Verdict | None = None) -> Element:
    root = fromstring(export_junit(report, verdict))
    assert isinstance(root, Element)
    return root


def require_form(root: Element) -> None:
    for element in root.iter():
        attributes, children = ALLOWED[element.tag]
        assert set(element.attrib) == attributes
        assert {child.tag for child in element} <= children
        if element.tag == "testcase":
            assert len(element) <= 1
            assert element.get("name")


def outcomes(root: Element) -> dict[str, str]:
    """Return failure, error, skipped or passed, by classname."""
    return {str(case.get("classname")): case[0].tag if len(case) else "passed" for case in root.iter("testcase")}


def test_every_finding_is_a_case_with_its_outcome() -> None:
    root = page(SAMPLE.report)
    require_form(root)
    told = outcomes(root)
    assert len(list(root.iter("testcase"))) == len(SAMPLE.report.findings)
    wanted = {"failure": (Status.FAIL,), "skipped": (Status.SKIPPED,), "error": (Status.ERROR, Status.INCONCLUSIVE)}
    for tag, words in wanted.items():
        assert {check for check, outcome in told.items() if outcome == tag} == statuses(SAMPLE, *words)
    assert {check for check, outcome in told.items() if outcome == "passed"} == statuses(SAMPLE, Status.PASS)


def test_the_counts_are_those_of_the_cases() -> None:
    root = page(SAMPLE.report, verdict_on(SAMPLE.report, require=[{"check": "secagg.overflow"}]))
    for element in (root, *root):
        cases = list(element.iter("testcase"))
        assert element.get("tests") == str(len(cases))
        for tag, attribute in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            assert element.get(attribute) == str(sum(case.find(tag) is not None for case in cases))
    assert [suite.get("name") for suite in root][-1] == "gate"


def test_somebody_elses_reader_counts_the_same() -> None:
    junitparser = pytest.importorskip("junitparser", reason="junitparser is another reader of JUnit XML")
    read = junitparser.JUnitXml.fromstring(export_junit(SAMPLE.report))
    assert (read.tests, read.failures, read.errors, read.skipped) == (17, 4, 2, 8)
    [case] = [case for suite in read for case in suite if case.classname == "attack.linear"]
    [result] = case.result
    assert isinstance(result, junitparser.Failure)
    assert "reconstruction_rate = 1 [0.9404, 1], n = 60, limit <= 0.05" in result.text


def test_a_waived_finding_is_skipped_and_names_its_waiver() -> None:
    root = page(SAMPLE.report, verdict_on(SAMPLE.report, waivers=[WAIVER]))
    [case] = [case for case in root.iter("testcase") if case.get("classname") == "attack.linear"]
    assert case[0].tag == "skipped"
    assert "W-7" in str(case[0].get("message"))
    assert outcomes(root)["attack.labels"] == "failure"


@pytest.mark.parametrize(("keys", "tag"), [({}, "skipped"), ({"require": [{"check": "attack.membership"}]}, "error")])
def test_what_is_undecided_is_an_error_where_a_rule_waits_for_it_and_never_passed(
    keys: dict[str, object], tag: str
) -> None:
    root = page(SAMPLE.report, verdict_on(SAMPLE.report, **keys))
    assert outcomes(root)["attack.membership"] == tag


def test_a_limit_that_a_passing_check_breaks_is_a_case() -> None:
    told = outcomes(page(SAMPLE.report, verdict_on(SAMPLE.report, threshold=[LIMIT])))
    assert (told["integrity.accuracy"], told["gate.threshold.broken"]) == ("passed", "failure")


@pytest.mark.parametrize(
    "keys",
    [
        {"threshold": [LIMIT]},
        {"threshold": [{**LIMIT, "limit": 0.9}]},  # the interval straddles it
        {"threshold": [{**LIMIT, "limit": 0.5, "min_n": 5000}]},
        {"require": [{"check": "integrity.accuracy", "min_strength": "exact"}]},
        {"require": [{"check": "secagg.overflow"}]},
        {"require": [{"control": "EU-AIA:15(3)"}]},
        {"require": [{"check": "integrity.accuracy"}], "min_effort": "full"},
        {"require": [{"check": "integrity.accuracy"}], "require_commitment": True},
    ],
)
def test_the_page_is_never_greener_than_the_verdict(keys: dict[str, object]) -> None:
    passing = tuple(one for one in SAMPLE.report.findings if one.status is Status.PASS)
    report = SAMPLE.report.model_copy(update={"findings": passing})
    verdict = verdict_on(report, fail_on=None, **keys)
    assert verdict.exit_code in (1, 3)
    root = page(report, verdict)
    require_form(root)
    assert int(str(root.get("failures"))) + int(str(root.get("errors"))) == 1


def test_a_rule_that_blocks_without_a_finding_is_a_case() -> None:
    root = page(
        SAMPLE.report, verdict_on(SAMPLE.report, require=[{"check": "secagg.overflow"}], require_commitment=True)
    )
    told = outcomes(root)
    assert told["gate.required.missing"] == "error"
    assert told["gate.policy.not_committed"] == "failure"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(word=hostile)
@example(word="]]>\ufffe\uffff&#0;")
def test_hostile_strings_stay_text(word: str) -> None:
    sample, verdict = report_of(word)
    root = page(sample.report, verdict)
    require_form(root)
    [case] = [case for case in root.iter("testcase") if case.get("classname") == "a.fail"]
    assert re.sub("[\ufffe\uffff]", "\ufffd", visible(word)) in str(case[0].get("message"))


@given(word=hostile)
def test_text_loses_only_what_xml_forbids(word: str) -> None:
    text = xml_text(word + "\ufffe")
    assert fromstring(f"<a><![CDATA[{text.replace(']]>', '')}]]></a>") is not None
    assert text.endswith("\ufffd")


def test_equal_reports_give_equal_bytes() -> None:
    assert export_junit(SAMPLE.report) == export_junit(Report.model_validate(SAMPLE.report.model_dump()))
