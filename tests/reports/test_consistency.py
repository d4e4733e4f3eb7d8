"""The rules of inner consistency one by one, on reports that no file ever held.

Which code they lead to stands in `conformance/report_cases.py`; here, that each rule says what is wrong, and only that.
"""

from typing import Any

import pytest

from reports.consistency import RULES, inconsistencies
from reports.model import Confidentiality, Evidence, Finding, Report, Status, Strength, Threshold, evidence_path
from tests.reports.conformance.world import finding, measurement, sound_report

SOUND = sound_report("12" * 32)


def with_findings(*findings: Finding) -> Report:
    return SOUND.model_copy(update={"findings": findings, "controls": ()})


def said(report: Report) -> list[str]:
    return list(inconsistencies(report))


def measured(status: Status = Status.PASS, strength: Strength = Strength.STATISTICAL, **changed: Any) -> Report:
    return with_findings(finding("a.b", status, strength, (measurement().model_copy(update=changed),)))


def test_a_sound_report_agrees_with_itself() -> None:
    assert said(SOUND) == []


def test_every_contradiction_is_told_in_the_order_of_the_rules() -> None:
    last = finding("a.c", Status.FAIL, Strength.EXACT)
    first = finding("a.b", Status.FAIL, Strength.EXACT, cites=("0" * 64,))
    chosen = SOUND.provenance.model_copy(update={"root_seed": 7})
    sentences = said(with_findings(last, first, first).model_copy(update={"provenance": chosen}))
    assert len(sentences) == 5
    assert sentences[0].startswith("the finding a.c stands before a.b;")
    assert sentences[1].startswith("the finding a.b stands twice;")
    assert sentences[2] == "a.b cites the evidence 000000000000, which the report does not list"
    assert sentences[4].startswith("the root seed 7 is not derived")


@pytest.mark.parametrize(
    ("op", "limit", "breaks"), [("<=", 0.1, True), ("<=", 0.2, False), (">=", 0.3, True), (">=", 0.2, False)]
)
def test_a_pass_keeps_its_limit_and_equality_satisfies(op: Any, limit: float, breaks: bool) -> None:
    report = measured(value=0.2, threshold=Threshold(op=op, limit=limit))
    assert bool(said(report)) == breaks
    assert said(measured(Status.FAIL, value=0.2, threshold=Threshold(op=op, limit=limit))) == []


@pytest.mark.parametrize("absent", [{"interval": None}, {"n": None}, {"n": 0}, {"control": None}])
def test_only_a_statistical_pass_must_show_that_it_could_have_failed(absent: dict[str, Any]) -> None:
    assert len(said(measured(**absent))) == 1
    for strength in (Strength.EXACT, Strength.SCREENING, Strength.DOCUMENT):
        assert said(measured(strength=strength, **absent)) == []
    for status in (Status.FAIL, Status.INCONCLUSIVE, Status.SKIPPED, Status.ERROR):
        assert said(measured(status=status, **absent)) == []


def test_an_interval_that_ends_below_its_start_is_told_though_no_schema_has_looked() -> None:
    interval = measurement().interval
    assert interval is not None
    backwards = interval.model_copy(update={"low": interval.high, "high": interval.low})
    assert said(measured(interval=backwards)) == ["the interval of recovered_records in a.b ends below its start"]


def test_one_earned_measurement_among_others_is_enough() -> None:
    bare = measurement().model_copy(update={"control": None})
    assert said(with_findings(finding("a.b", Status.PASS, Strength.STATISTICAL, (bare, measurement())))) == []


def test_a_control_of_zero_is_a_control() -> None:
    assert said(measured(control=0.0)) == []


@pytest.mark.parametrize(("size", "word", "sound"), [(32, "confidential", True), (4000, "restricted", True)])
@pytest.mark.parametrize(("less", "weaker"), [(31, "restricted"), (4000, "internal"), (4000, "public")])
def test_what_is_salted_holds_a_salt_and_may_be_withheld(
    size: int, word: str, sound: bool, less: int, weaker: str
) -> None:
    assert (said(salted(size, word)) == []) == sound
    assert len(said(salted(less, weaker))) == 1


def salted(size: int, word: str) -> Report:
    sha256 = "ab" * 32
    piece = Evidence(
        sha256=sha256,
        path=evidence_path(sha256, ".json.salted"),
        size=size,
        media_type="application/json",
        confidentiality=Confidentiality(word),
        name="scores",
        salted=True,
    )
    return SOUND.model_copy(update={"evidence": (piece,)})


def test_there_is_a_rule_for_each_sentence_of_the_specification_and_one_for_salts() -> None:
    assert len(RULES) == 11
