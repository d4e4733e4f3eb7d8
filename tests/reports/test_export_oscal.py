"""OSCAL 1.2.1 assessment results: read by compliance-trestle; less than direct evidence satisfies no duty."""

import json
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from markdown_it import MarkdownIt

from reports.export_oscal import export_oscal, oscal_token, safe_token
from reports.model import Report
from reports.verdict import Verdict
from tests.reports.export_cases import SAMPLE, WAIVER, verdict_on, with_rows
from tests.reports.hostile import hostile, report_of

MARKUP = {"title", "description", "remarks", "prose"}
HARMLESS = {"text", "code_inline", "softbreak"}
Reader = Callable[[bytes], Any]


@pytest.fixture(scope="session")
def read() -> Reader:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its dependencies' own
        module = pytest.importorskip("trestle.oscal.assessment_results", reason="compliance-trestle reads OSCAL")
    return lambda data: module.Model.model_validate(json.loads(data)).assessment_results


def results(report: Report, verdict: Verdict | None = None) -> dict[str, Any]:
    [result] = json.loads(export_oscal(report, verdict))["assessment-results"]["results"]
    assert isinstance(result, dict)
    return result


def markup(value: object, name: str = "") -> list[str]:
    """Return every string that OSCAL reads as markup."""
    if isinstance(value, dict):
        return [text for key, member in value.items() for text in markup(member, key)]
    if isinstance(value, list):
        return [text for member in value for text in markup(member, name)]
    return [value] if name in MARKUP and isinstance(value, str) else []


def test_trestle_reads_it(read: Reader) -> None:
    for report in (SAMPLE.report, with_rows(), SAMPLE.report.model_copy(update={"findings": (), "evidence": ()})):
        for verdict in (None, verdict_on(report, waivers=[WAIVER])):
            loaded = read(export_oscal(report, verdict))
            assert loaded.metadata.oscal_version.root.root == "1.2.1"
            assert len(loaded.results[0].observations or ()) == len(report.findings)
            assert len(loaded.results[0].findings or ()) == max(len(report.controls) - 1, 0)


def test_trestle_would_notice(read: Reader) -> None:
    broken = json.loads(export_oscal(with_rows()))
    broken["assessment-results"]["results"][0]["findings"][0]["target"]["status"]["state"] = "perhaps"
    with pytest.raises(ValueError, match="satisfied"):
        read(json.dumps(broken).encode())


def test_only_direct_support_satisfies() -> None:
    told = {one["title"]: one["target"]["status"] for one in results(with_rows())["findings"]}
    assert {title.replace("\\", ""): (s["state"], s["reason"]) for title, s in told.items()} == {
        "EU-AIA:12(1)": ("satisfied", "pass"),
        "EU-AIA:15(3)": ("not-satisfied", "other"),
        "EU-AIA:15(5)#confidentiality": ("not-satisfied", "fail"),
        "EU-AIA:11(1)": ("not-satisfied", "other"),
        "EU-AIA:14(1)": ("not-satisfied", "other"),
    }


def test_a_duty_that_is_not_the_systems_is_left_out_and_named() -> None:
    [selection] = results(with_rows())["reviewed-controls"]["control-selections"]
    assert selection["exclude-controls"] == [{"control-id": "eu-aia-53.1"}]
    assert {"control-id": "eu-aia-15.5-confidentiality"} in selection["include-controls"]


def test_duties_point_at_the_observations_they_rest_on() -> None:
    result = results(with_rows())
    by_uuid = {one["uuid"]: one for one in result["observations"]}
    [duty] = [one for one in result["findings"] if one["target"]["target-id"] == "eu-aia-15.5-confidentiality_obj"]
    cited = [by_uuid[one["observation-uuid"]] for one in duty["related-observations"]]
    checks = {prop["value"] for one in cited for prop in one["props"] if prop["name"] == "check"}
    assert checks == {"attack.linear", "attack.labels"}
    assert "own question" in duty["target"]["description"]


def test_a_waived_failure_stays_visible() -> None:
    observed = results(SAMPLE.report, verdict_on(SAMPLE.report, waivers=[WAIVER]))["observations"]
    waived = {
        prop["value"] for one in observed for prop in one["props"] if prop["name"] == "check"
        if any(p["name"] == "waiver" and p["value"] == "W-7" for p in one["props"])
    }  # fmt: skip
    assert waived == {"attack.linear"}


def test_identifiers_follow_from_the_report_alone() -> None:
    first, again = export_oscal(with_rows()), export_oscal(Report.model_validate(with_rows().model_dump()))
    assert first == again
    said = json.loads(export_oscal(SAMPLE.report))["assessment-results"]
    assert said["metadata"]["version"] == SAMPLE.statement.sha256[:12]
    other = json.loads(export_oscal(SAMPLE.report, report_sha256="0" * 64))["assessment-results"]
    assert said["uuid"] != other["uuid"]
    assert {said["uuid"][14], other["uuid"][14]} == {"5"}


def test_every_identifier_is_used_once() -> None:
    document = json.loads(export_oscal(with_rows()))["assessment-results"]
    result = document["results"][0]
    made = [document["uuid"], result["uuid"], document["back-matter"]["resources"][0]["uuid"]]
    made += [one["uuid"] for one in (*result["observations"], *result["findings"])]
    assert len(set(made)) == len(made)


@pytest.mark.parametrize(
    ("control", "token"),
    [
        ("EU-AIA:15(5)#confidentiality", "eu-aia-15.5-confidentiality"),
        ("EU-AIA:annex-IV(2)(g)", "eu-aia-annex-iv.2.g"),
        ("GDPR:17(1)", "gdpr-17.1"),
    ],
)
def test_tokens_are_spelled_as_the_specification_says(control: str, token: str) -> None:
    assert oscal_token(control) == safe_token(control) == token


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(word=hostile)
@example(word="# [a](x) <b>")
def test_hostile_strings_stay_text(read: Reader, word: str) -> None:
    sample, verdict = report_of(word)
    data = export_oscal(sample.report, verdict)
    read(data)
    for text in markup(json.loads(data)):
        [*_, inline, _] = MarkdownIt("commonmark").enable("strikethrough").parse(text)
        assert {token.type for token in inline.children or ()} <= HARMLESS
