"""The verdict on the page: rules one by one, findings that only repeat themselves in one row an outcome."""

from datetime import date

from reports.model import fingerprint
from reports.render_html import render_html
from reports.verdict import Judgement, Outcome, Result, Verdict
from reports.view import view_of
from reports.view_verdict import MOST_NAMED, JudgementRow, verdict_view
from tests.reports.page import Page
from tests.reports.sample_report import sample


def judged(check: str, outcome: Outcome, rule: str = "findings", **more: str) -> Judgement:
    of = fingerprint("ward-triage", check, "") if rule == "findings" else None
    return Judgement(
        rule=rule, check=check, fingerprint=of, outcome=outcome, code="c", message=f"{check} says.", **more
    )


def verdict(*judgements: Judgement) -> Verdict:
    return Verdict(
        result=Result.FAILED,
        system="ward-triage",
        policy_name="house",
        policy_sha256="0" * 64,
        today=date(2026, 11, 22),
        judgements=judgements,
        waivers=(),
    )


def rows(*judgements: Judgement) -> list[JudgementRow]:
    return list(verdict_view(verdict(*judgements)).rows)


def test_findings_of_one_outcome_share_a_row_and_rules_keep_theirs() -> None:
    shown = rows(
        judged("a.a", Outcome.FAIL),
        judged("c.c", Outcome.WARN),
        judged("x.x", Outcome.FAIL, "require[0]"),
        judged("b.b", Outcome.FAIL),
        judged("y.y", Outcome.INCOMPLETE, "threshold[1]"),
    )
    assert [(one.outcome, one.rule, one.subject) for one in shown] == [
        ("fail", "findings", "a.a, b.b"),
        ("fail", "require[0]", "x.x"),
        ("incomplete", "threshold[1]", "y.y"),
        ("warn", "findings", "c.c"),
    ]
    assert shown[0].message != shown[3].message == "c.c says."  # a single finding keeps its own words


def test_every_waived_failure_stays_visible_with_its_waiver() -> None:
    shown = rows(judged("a.a", Outcome.WAIVED, waiver="W-7"), judged("b.b", Outcome.WAIVED, waiver="W-8"))
    assert [(one.subject, one.waiver, one.message) for one in shown] == [
        ("a.a", "W-7", "a.a says."),
        ("b.b", "W-8", "b.b says."),
    ]


def test_findings_of_one_check_are_named_once_and_counted() -> None:
    [one] = rows(
        judged("a.a", Outcome.FAIL, key="x"), judged("b.b", Outcome.FAIL, key="x"), judged("a.a", Outcome.FAIL)
    )
    assert one.subject == "a.a (2), b.b · x"
    assert [(named.subject, named.count) for named in one.findings] == [("a.a", 2), ("b.b · x", 1)]


def test_ten_thousand_checks_are_one_row_that_counts_most_of_them() -> None:
    [one] = rows(*(judged(f"a.n{number}", Outcome.FAIL) for number in range(10_000)))
    assert len(one.findings) == MOST_NAMED
    assert one.more == 10_000 - MOST_NAMED
    assert one.subject.endswith(f" and {10_000 - MOST_NAMED:,} more")


def test_each_named_finding_leads_to_its_place_on_the_page() -> None:
    made = sample()
    failed = [one.check for one in made.report.findings if one.status == "fail"]
    judgements = verdict(*(judged(check, Outcome.FAIL) for check in failed))
    page = Page(render_html(view_of(made.statement, verdict=judgements)))
    [table] = [e for e in page.every("table") if (e.attributes.get("class") or "").startswith("policy")]
    assert len(failed) > 1
    assert all(check in table.text for check in failed)
    ids = {element.attributes.get("id") for element in page.elements}
    targets = {(e.attributes["href"] or "")[1:] for e in page.every("a") if "table" in e.path and e.text in failed}
    assert targets <= ids
    assert len(targets) >= len(failed)
