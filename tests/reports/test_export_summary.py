"""The step summary: the answer first, nothing lost unsaid, and whatever a report holds is text."""

from datetime import date
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from markdown_it import MarkdownIt

from reports.export_summary import LARGEST, export_summary
from reports.model import Report
from reports.verdict import Judgement, Outcome, Result, Verdict
from tests.reports.export_cases import SAMPLE, WAIVER, many, verdict_on
from tests.reports.hostile import hostile, report_of

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
HARMLESS = {"text", "code_inline", "strong_open", "strong_close", "softbreak"}


def text_of(report: Report, verdict: Verdict | None = None) -> str:
    return export_summary(report, verdict).decode()


def shape(markdown: str) -> list[str]:
    return [token.type for token in PARSER.parse(markdown)]


@pytest.mark.parametrize(
    ("keys", "head"),
    [
        ({}, "## ✕ FAILED: `ward-triage 2.3.1`"),
        ({"fail_on": None, "require": [{"check": "secagg.overflow"}]}, "## ◐ INCOMPLETE: `ward-triage 2.3.1`"),
        (
            {"fail_on": None, "on_error": "warn", "require": [{"check": "integrity.artifacts"}]},
            "## ● PASSED: `ward-triage 2.3.1`",
        ),
    ],
)
def test_the_answer_comes_first(keys: dict[str, Any], head: str) -> None:
    assert text_of(SAMPLE.report, verdict_on(SAMPLE.report, **keys)).splitlines()[0] == head


def test_what_blocks_stands_above_what_warns() -> None:
    text = text_of(SAMPLE.report, verdict_on(SAMPLE.report, waivers=[WAIVER]))
    places = [text.index(f"\n| {word} ") for word in ("fail", "incomplete", "waived", "warn")]
    assert places == sorted(places)
    assert "(waiver W-7)" in text


def test_without_a_verdict_the_findings_speak() -> None:
    text = text_of(SAMPLE.report)
    assert "## fedaudit: `ward-triage 2.3.1`" in text
    assert "| failed | critical | attack.linear | " in text
    assert "**Not tested** (8 checks)" in text
    assert SAMPLE.statement.sha256[:12] in text


def test_a_page_that_would_be_too_long_counts_what_it_leaves_out() -> None:
    report = many(7_000)
    judged = tuple(
        Judgement(rule="findings", check="attack.labels", outcome=Outcome.FAIL, code="finding.fail", message="x" * 300)
        for _ in range(4_000)
    )
    verdict = Verdict(
        result=Result.FAILED, system="ward-triage", policy_name="house", policy_sha256="0" * 64, report_sha256="0" * 64,
        waivers=(), judgements=judged, today=date(2026, 11, 22),
    )  # fmt: skip
    for page in (export_summary(report, report_sha256="0" * 64), export_summary(report, verdict)):
        assert LARGEST - 8192 < len(page) <= LARGEST
        assert b"more rows did not fit" in page
        assert b"not legal advice" in page
    assert b"did not fit" not in export_summary(many(10))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(word=hostile)
def test_hostile_strings_stay_text(word: str) -> None:
    plain, plain_verdict = report_of("plain")
    sample, verdict = report_of(word)
    for judged, like in ((verdict, plain_verdict), (None, None)):
        markdown = text_of(sample.report, judged)
        assert shape(markdown) == shape(text_of(plain.report, like))
        inline = {child.type for token in PARSER.parse(markdown) for child in token.children or ()}
        assert inline <= HARMLESS


def test_equal_reports_give_equal_bytes() -> None:
    assert export_summary(SAMPLE.report) == export_summary(Report.model_validate(SAMPLE.report.model_dump()))
