"""The officer's page in the view: duties by day, by state and by what would close them; articles with their proof."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from reports.model import ControlRow, Finding, Strength
from reports.view import View, view_of
from reports.view_law import MOST_LINKS
from tests.reports.sample_plots import Shelves
from tests.reports.sample_report import assemble, sample

SAMPLE = sample()
FOUND = {finding.check: finding for finding in SAMPLE.report.findings}
STATES = ("supported", "contradicted", "insufficient", "not-assessed")


def row(control: str, state: str = "insufficient", **more: Any) -> ControlRow:
    given_ = {
        "control": control,
        "title": f"Duty {control}",
        "role": "provider",
        "law_version": "2024",
        "applicability": "applies",
        "applicability_reason": "why",
        "ceiling": "partial",
        "state": state,
        "next_step": "Somebody does something.",
    }
    return ControlRow.model_validate(given_ | more)


def seen(rows: Sequence[ControlRow], findings: Sequence[Finding] = ()) -> View:
    return view_of(assemble(findings, Shelves(), controls=tuple(rows)).statement)


def test_duties_that_one_act_would_close_stand_together_within_a_state() -> None:
    view = seen([row("EU-AIA:9", "not-assessed"), row("EU-AIA:10"), row("EU-AIA:15", "not-assessed")])
    [due] = view.due
    assert [(one.word, one.count, [[d.paragraph.id for d in s.duties] for s in one.steps]) for one in due.states] == [
        ("not enough evidence", 1, [["EU-AIA:10"]]),
        ("not assessed", 2, [["EU-AIA:9", "EU-AIA:15"]]),
    ]


def test_what_differs_between_duties_only_by_their_own_title_is_one_step() -> None:
    step = "The provider describes how this is done: {}. Then the auditor asks again."
    rows = [row(c, next_step=step.format(f"Duty {c}"), missing=(f"kind{c[-1]}",)) for c in ("EU-AIA:9", "EU-AIA:8")]
    [due] = seen(rows).due
    [one] = due.states[0].steps
    assert one.next_step == "The provider describes how this is done."
    assert [duty.missing for duty in one.duties] == ["kind9", "kind8"]  # what is missing stays with each duty


def test_two_who_must_act_are_two_steps_though_the_words_are_alike() -> None:
    [due] = seen([row("EU-AIA:9"), row("GDPR:5", role="controller")]).due
    assert [step.role for step in due.states[0].steps] == ["provider", "controller"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(STATES),
            st.sampled_from((None, date(2025, 2, 2), date(2027, 12, 2))),
            st.sampled_from(("provider", "controller")),
            st.sampled_from(("It acts.", "It waits.")),
        ),
        max_size=12,
    )
)
def test_every_duty_without_evidence_stands_on_the_page_once(
    drawn: list[tuple[str, date | None, str, str]],
) -> None:
    rows = [
        row(f"EU-AIA:{number}", state, applies_from=day, role=role, next_step=step)
        for number, (state, day, role, step) in enumerate(drawn)
    ]
    view = seen(rows)
    shown = [d.paragraph.id for due in view.due for s in due.states for step in s.steps for d in step.duties]
    assert sorted(shown) == sorted(one.control for one in rows if one.state != "supported")
    assert sum(due.count for due in view.due) == len(shown)
    assert [due.day for due in view.due] == sorted({due.day for due in view.due}, key=lambda day: day or "no day")


def test_an_article_names_the_best_proof_of_each_state_and_its_gravest_findings() -> None:
    prints = [FOUND[check].fingerprint for check in ("integrity.accuracy", "secagg.parameters", "attack.membership")]
    view = seen(
        [
            row("EU-AIA:15(1)", "supported", strength=Strength.SCREENING, findings=prints[:1]),
            row("EU-AIA:15(3)", "supported", strength=Strength.EXACT, findings=prints[:1]),
            row("EU-AIA:15(5)", "contradicted", strength=Strength.STATISTICAL, findings=prints),
        ],
        SAMPLE.report.findings,
    )
    [article] = view.articles
    letters = {cell.state: (cell.count, cell.letters) for cell in article.cells}
    assert letters["supported"] == (2, "E C")
    assert letters["contradicted"] == (1, "S")
    assert letters["not-assessed"] == (0, "")
    assert [link.check for link in article.links] == ["secagg.parameters", "attack.membership", "integrity.accuracy"]
    assert article.more == 0


def test_beyond_a_few_findings_an_article_counts_the_rest() -> None:
    prints = [finding.fingerprint for finding in SAMPLE.report.findings]
    [article] = seen([row("EU-AIA:15", findings=prints)], SAMPLE.report.findings).articles
    assert len(article.links) == MOST_LINKS
    assert article.more == len(prints) - MOST_LINKS


def test_what_is_missing_is_named_as_people_name_it() -> None:
    [duty] = seen([row("EU-AIA:15", missing=("dp", "secagg", "document", "somebody-else-s"))]).duties
    assert duty.missing == "differential privacy, secure aggregation, document, somebody-else-s"
