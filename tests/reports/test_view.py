"""The view: what comes first, what is grouped, what is kept back, and what is said of everything that is not there."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.model import (
    Claims,
    Confidentiality,
    ControlRow,
    Federation,
    Interval,
    Measurement,
    Severity,
    Status,
    Strength,
)
from reports.verdict import Judgement, Outcome, Verdict
from reports.view import GRAVEST, Signer, scope_sentence, view_of
from tests.reports.sample_plots import Shelves
from tests.reports.sample_report import Sample, assemble, finding, sample, skipped
from tests.reports.sample_system import artifact, sample_provenance, sample_system

SAMPLE = sample()


def small(*findings: object, **attributes: object) -> Sample:
    return assemble(findings, Shelves(), **attributes)  # type: ignore[arg-type]


def found(check: str, status: Status, severity: Severity = Severity.MEDIUM, **more: object) -> object:
    return finding(check, "It holds", status, f"{check} said something.", severity=severity, **more)


def test_the_tallies_count_every_finding_once() -> None:
    view = view_of(SAMPLE.statement)
    assert [(tally.word, tally.count) for tally in view.tallies] == [
        ("passed", 3),
        ("failed", 4),
        ("inconclusive", 1),
        ("not tested", 8),
        ("error", 1),
    ]
    assert sum(tally.count for tally in view.tallies) == len(SAMPLE.report.findings)


def test_the_gravest_come_first_and_are_at_most_five() -> None:
    made = small(
        found("a.low", Status.FAIL, Severity.LOW),
        found("a.critical", Status.FAIL, Severity.CRITICAL),
        found("b.error", Status.ERROR, Severity.CRITICAL),
        found("b.unclear", Status.INCONCLUSIVE, Severity.CRITICAL),
        found("c.pass", Status.PASS, Severity.CRITICAL),
        found("c.high", Status.FAIL, Severity.HIGH),
        found("d.high", Status.FAIL, Severity.HIGH),
        skipped("e.skip", "t", "budget", "s"),
    )
    view = view_of(made.statement)
    assert [one.check for one in view.gravest] == ["a.critical", "c.high", "d.high", "a.low", "b.error"]
    assert len(view.gravest) == GRAVEST


def test_passed_and_skipped_checks_are_never_grave() -> None:
    made = small(found("a.pass", Status.PASS), skipped("b.skip", "t", "budget", "s"))
    assert view_of(made.statement).gravest == ()


def test_what_held_fills_the_room_that_failures_leave() -> None:
    strong = finding("c.exact", "t", Status.PASS, "s", severity=Severity.HIGH, strength=Strength.EXACT)
    made = small(
        found("a.fail", Status.FAIL),
        found("b.low", Status.PASS, Severity.LOW),
        found("b.high", Status.PASS, Severity.HIGH),
        strong,
        skipped("e.skip", "t", "budget", "s"),
    )
    assert [one.check for one in view_of(made.statement).held] == ["c.exact", "b.high", "b.low"]
    assert view_of(SAMPLE.statement).held == ()  # five grave findings leave no room


def test_the_number_beside_a_finding_is_the_one_with_a_limit() -> None:
    view = view_of(SAMPLE.statement)
    linear = view.gravest[0]
    assert linear.key_number is not None
    assert (linear.key_number.name, linear.key_number.quantity, linear.key_number.limit) == (
        "reconstruction_rate",
        "1 [0.9404, 1]",
        "≤ 0.05",
    )


def test_what_was_not_tested_is_grouped_by_why() -> None:
    groups = view_of(SAMPLE.statement).untested
    assert [len(group.checks) for group in groups] == [4, 2, 1, 1]
    assert groups[0].sentence == "It needs a recorded round; system.toml names no transcript."
    assert sum(len(group.checks) for group in groups) == 8


def test_every_finding_stands_in_one_place() -> None:
    view = view_of(SAMPLE.statement)
    asked = [one.check for group in view.groups for one in group.findings]
    assert sorted(asked + [one.check for one in view.skipped]) == [one.check for one in SAMPLE.report.findings]
    assert [group.severity for group in view.groups] == ["critical", "high", "medium", "low"]


def test_the_scope_names_subject_size_auditor_day_effort_and_law() -> None:
    assert scope_sentence(SAMPLE.statement) == (
        "Tested: model.safetensors (sha256 9d75c1098fc5…), 10 clients, 16 rounds, "
        "by A. Auditor (Audit Office, external), on 2026-11-21; effort smoke; law as of 2024."
    )


def test_the_scope_says_what_is_not_known() -> None:
    system = sample_system().model_copy(update={"model": None, "federation": None, "law_version": None})
    provenance = sample_provenance().model_copy(update={"auditor": None})
    sentence = scope_sentence(small(system=system, provenance=provenance).statement)
    assert sentence.startswith("Tested: system.toml (sha256 ")
    assert "by nobody named" in sentence
    assert sentence.endswith("no version of the law declared.")


def test_the_verify_line_quotes_names_and_counts_what_it_leaves_out() -> None:
    system = sample_system()
    assert system.model is not None
    assert system.federation is not None
    checkpoint = artifact("model; rm -rf.safetensors", "model.checkpoint")
    rounds = tuple(artifact(f"round{i}", "transcript") for i in range(4))
    secure = system.federation.secure_aggregation
    assert secure is not None
    federation = system.federation.model_copy(
        update={"secure_aggregation": secure.model_copy(update={"transcripts": rounds})}
    )
    model = system.model.model_copy(update={"checkpoint": checkpoint})
    view = view_of(small(system=system.model_copy(update={"model": model, "federation": federation})).statement)
    assert view.verify_line == (
        "fedaudit verify BUNDLE --trust trust.toml "
        "--subject 'model; rm -rf.safetensors' --subject round0 --subject round1"
    )
    assert view.more_subjects == 2


def test_the_line_that_asks_again_has_check_seed_and_effort() -> None:
    linear = view_of(SAMPLE.statement).gravest[0]
    assert linear.reproduce == (
        "fedaudit run system.toml -o again --only attack.linear --seed 3141592653589793 --effort smoke"
    )


# --- evidence: who may see what ------------------------------------------------------------------------------------


def asked_for(include: Confidentiality, withheld: set[str] | None = None) -> tuple[set[str], list[str]]:
    """Return the confidentialities of what a full drawing looked up, and the notes under the figures."""
    seen: set[str] = set()

    def lookup(sha256: str) -> bytes | None:
        seen.add(str(by_digest[sha256].confidentiality))
        return SAMPLE.contents[sha256]

    by_digest = {piece.sha256: piece for piece in SAMPLE.report.evidence}
    view = view_of(SAMPLE.statement, lookup=lookup, include=include, withheld=withheld or set())
    figures = [figure for group in view.groups for one in group.findings for figure in one.figures]
    for piece in SAMPLE.report.evidence:
        view.shelf.content(piece.sha256)
    return seen, [figure.note for figure in figures if figure.note]


def test_restricted_content_is_not_even_looked_up_unless_included() -> None:
    seen, notes = asked_for(Confidentiality.INTERNAL)
    assert seen == {"public", "internal"}
    assert len(notes) == 1
    assert notes[0].startswith("27 of 27 images not shown here: restricted evidence")
    seen, notes = asked_for(Confidentiality.RESTRICTED)
    assert seen == {"public", "internal", "restricted"}  # positive control: the same drawing does look
    assert notes == []


def test_withheld_evidence_is_marked_and_not_looked_up() -> None:
    plots = {p.sha256 for p in SAMPLE.report.evidence if p.media_type.endswith("plot+json")}
    view = view_of(SAMPLE.statement, lookup=SAMPLE.contents.__getitem__, withheld=plots)
    assert {row.sha256 for row in view.evidence if row.state == "withheld"} == plots
    figures = [figure for group in view.groups for one in group.findings for figure in one.figures]
    assert all(figure.plot is None and figure.note for figure in figures)


def test_a_plot_that_is_none_or_too_large_is_said_so() -> None:
    shelves = Shelves()
    broken = shelves.put(b"{}", "application/vnd.fedaudit.plot+json", Confidentiality.INTERNAL, "broken")
    large = shelves.put(b" " * 5_000_000, "application/vnd.fedaudit.plot+json", Confidentiality.INTERNAL, "large")
    made = assemble([found("a.fail", Status.FAIL, evidence=(broken, large))], shelves)  # type: ignore[list-item]
    [one] = view_of(made.statement, lookup=made.contents.get).gravest
    assert [figure.note for figure in one.figures] == [
        "This evidence says it is a plot and does not read as one.",
        "This plot is absent or too large; it is not drawn here.",
    ]


# --- claims, limits, law, verdict ----------------------------------------------------------------------------------


def test_claims_stand_beside_what_was_measured_of_them() -> None:
    rows = {row.source: row for row in view_of(SAMPLE.statement).claims}
    assert [(one.text, one.word) for one in rows["claims.epsilon"].measured] == [
        ("epsilon accounted 41.73 nats", "failed")
    ]
    assert rows["claims.privacy_unit"].measured == ()
    assert rows["federation.differential_privacy.delta"].claimed == "1e\u22125"


def test_a_chosen_seed_is_a_limit_and_a_derived_one_is_none() -> None:
    chosen = sample_provenance().model_copy(update={"seed_source": "chosen"})
    assert "chosen by hand" in view_of(small(provenance=chosen).statement).limits[0].text
    assert view_of(small().statement).limits == ()


def test_a_limitation_that_two_checks_state_is_said_once() -> None:
    limits = {limit.text: limit.checks for limit in view_of(SAMPLE.statement).limits}
    assert limits["Planted canary records stand for people's records of the same kind."] == (
        "attack.labels",
        "attack.linear",
    )


def row(control: str, state: str, applicability: str, day: date | None) -> ControlRow:
    return ControlRow(
        control=control,
        title="The duty",
        role="provider",
        law_version="2024",
        applies_from=day,
        applicability=applicability,  # type: ignore[arg-type]
        applicability_reason="why",
        ceiling="partial",
        state=state,  # type: ignore[arg-type]
        next_step="Somebody does something.",
    )


def test_duties_without_evidence_are_those_that_apply_by_date() -> None:
    rows = (
        row("EU-AIA:15(5)", "insufficient", "applies", None),
        row("EU-AIA:9(8)", "contradicted", "not_yet", date(2027, 8, 2)),
        row("EU-AIA:10(2)", "not-assessed", "applies", date(2026, 8, 2)),
        row("EU-AIA:11(1)", "supported", "applies", date(2026, 8, 2)),
        row("EU-AIA:4", "not-assessed", "repealed", None),
        row("EU-AIA:5", "not-assessed", "not_addressed", None),
    )
    view = view_of(small(controls=rows).statement)
    assert view.law_table
    assert [(gap.paragraph.id, gap.word) for gap in view.gaps] == [
        ("EU-AIA:10(2)", "not assessed"),
        ("EU-AIA:9(8)", "evidence against"),
        ("EU-AIA:15(5)", "not enough evidence"),
    ]
    assert len(view.duties) == 6
    assert [(due.day, due.count) for due in view.due] == [("2026-08-02", 1), ("2027-08-02", 1), ("", 1)]
    assert {cell.state: cell.count for cell in view.law_tally} == {
        "supported": 1,
        "contradicted": 1,
        "insufficient": 1,
        "not-assessed": 1,
    }


def test_duties_of_one_article_are_counted_by_state_and_only_where_they_apply_or_will() -> None:
    rows = (
        row("EU-AIA:15(5)#confidentiality", "insufficient", "applies", None),
        row("EU-AIA:15(1)", "contradicted", "not_yet", None),
        row("EU-AIA:annex-IV(2)(g)", "supported", "applies", None),
        row("EU-AIA:9(8)", "supported", "condition_unknown", None),
        row("EU-AIA:4", "not-assessed", "repealed", None),
    )
    view = view_of(small(controls=rows).statement)
    counted = [(one.paragraph.label, one.total, [cell.count for cell in one.cells]) for one in view.articles]
    assert counted == [("AI Act Art. 15", 2, [0, 1, 1, 0]), ("AI Act Annex IV", 1, [1, 0, 0, 0])]
    assert view.undeclared == 1


def test_on_one_day_evidence_against_a_duty_comes_first() -> None:
    rows = [row(f"EU-AIA:{n}", state, "applies", None) for n, state in ((9, "not-assessed"), (15, "contradicted"))]
    assert [gap.paragraph.id for gap in view_of(small(controls=tuple(rows)).statement).gaps] == [
        "EU-AIA:15",
        "EU-AIA:9",
    ]


def test_paragraphs_stand_in_the_order_of_the_law_with_the_gravest_finding_first() -> None:
    view = view_of(SAMPLE.statement)
    assert [one.paragraph.label for one in view.paragraphs] == [
        "AI Act Art. 11(1)",
        "AI Act Art. 12(1)",
        "AI Act Art. 15(3)",
        "AI Act Art. 15(5)",
        "AI Act Art. 15(5), confidentiality",
        "AI Act Annex IV(1)(c)",
        "AI Act Annex IV(2)(g)",
        "GDPR Art. 32(1)(a)",
    ]
    assert [link.word for link in view.paragraphs[4].links] == ["failed", "failed", "failed", "inconclusive"]


@given(st.lists(st.from_regex(r"(EU-AIA|GDPR|X):(annex-)?[\w²³①()#-]{0,12}", fullmatch=True), min_size=1, max_size=6))
def test_any_control_can_be_put_in_order(controls: list[str]) -> None:
    made = small(found("a.fail", Status.FAIL, controls=tuple(controls)))
    assert {one.paragraph.id for one in view_of(made.statement).paragraphs} == set(controls)


@pytest.mark.parametrize(
    ("outcome", "sentence"), [("fail", "1 of 2 judgements blocks"), ("warn", "none of 2 judgements blocks")]
)
def test_a_verdict_lists_what_is_not_plainly_satisfied(outcome: str, sentence: str) -> None:
    def judgement(word: Outcome, check: str) -> Judgement:
        return Judgement(rule="findings", check=check, outcome=word, code="c", message="m")

    verdict = Verdict(
        result="failed",  # type: ignore[arg-type]
        system="ward-triage",
        policy_name="house",
        policy_sha256="0" * 64,
        today=date(2026, 11, 22),
        judgements=(judgement(Outcome.OK, "a.a"), judgement(Outcome(outcome), "b.b")),
        waivers=(),
    )
    shown = view_of(SAMPLE.statement, verdict=verdict).verdict
    assert shown is not None
    assert shown.sentence == sentence
    assert [(one.outcome, one.subject) for one in shown.rows] == [(outcome, "b.b")]


def test_signers_are_shown_as_given() -> None:
    signers = [Signer("ab" * 32, "auditor")]
    assert view_of(SAMPLE.statement, signers=signers).signers == tuple(signers)


def test_a_claim_without_a_federation_and_an_interval_without_limit_are_shown() -> None:
    system = sample_system().model_copy(update={"federation": Federation(), "claims": Claims(accuracy=0.9)})
    accuracy = Measurement(
        name="accuracy", value=0.91, interval=Interval(low=0.9, high=0.92, confidence=0.99), method="counted"
    )
    made = small(found("integrity.accuracy", Status.PASS, measurements=(accuracy,)), system=system)
    view = view_of(made.statement)
    assert [(claim.name, claim.measured[0].text) for claim in view.claims] == [
        ("accuracy", "accuracy 0.91 [0.9, 0.92]")
    ]
    number = view.groups[0].findings[0].numbers[0]
    assert (number.confidence, number.limit, number.control, number.n) == ("99 %", "", "", "")
