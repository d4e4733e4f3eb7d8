"""`compliance.annex-iv`: fails on a contradiction, passes when only a person is missing, and keeps the file."""

import json
from pathlib import Path

import pytest

from compliance.annex_iv_points import CLAIMED
from compliance.catalogue import load_catalogue
from compliance.checks.annex_iv import annex_iv
from reports.model import Claims, Confidentiality, Finding, Interval, Measurement, Status, Strength, System
from tests.compliance.audited import Shelf, ask, document, finding, system

POINTS = [control for control in load_catalogue().controls if control.id.startswith("EU-AIA:annex-IV")]


def measured(accuracy: float) -> Finding:
    figure = Measurement(
        name="accuracy", value=accuracy, n=900, control=0.1, method="held-out records",
        interval=Interval(low=accuracy - 0.02, high=accuracy + 0.02, confidence=0.95),
    )  # fmt: skip
    return finding("integrity.accuracy", measurements=(figure,), strength=Strength.STATISTICAL)


def shown_by_documents() -> list[Finding]:
    """Return a pass of an admitted reader for every point that documents can show, and a test for each other kind."""
    read = [
        finding("compliance.documents", key=f"control={one.id}", strength=Strength.DOCUMENT, controls=(one.id,))
        for one in POINTS
        if one.ceiling != "attestation"
    ]
    tested = ("attack.linear", "dp.accounting", "secagg.transcript", "unlearning.llm.verdict", "integrity.artifacts")
    return [*read, *(finding(check, strength=Strength.EXACT) for check in tested), measured(0.9)]


def test_it_passes_when_nothing_is_missing_but_what_a_person_brings(tmp_path: Path) -> None:
    plan = finding("compliance.thresholds", strength=Strength.EXACT)
    [found] = ask(annex_iv, system(), tmp_path, [*shown_by_documents(), plan])
    assert (found.status, found.detail, found.remedy) == (Status.PASS, "", None)


@pytest.mark.parametrize("point", [f"1({x})" for x in "abcdegh"] + ["2(e)", "2(h)", "3", "7", "9"])
def test_one_point_that_nothing_shows_withholds_the_pass(tmp_path: Path, point: str) -> None:
    control = f"EU-AIA:annex-IV({point.replace('(', ')(', 1)}" if "(" in point else f"EU-AIA:annex-IV({point})"
    tested = ("integrity.accuracy", "attack.linear", "secagg.transcript") if point in ("3", "2(h)") else ()
    left = [one for one in shown_by_documents() if one.key != f"control={control}" and one.check not in tested]
    [found] = ask(annex_iv, system(), tmp_path, left)
    declared = point == "1(a)"  # the system file names system and version
    assert found.status is (Status.PASS if declared else Status.INCONCLUSIVE)
    assert declared or point in [line.partition(":")[0] for line in found.detail.splitlines()]


@pytest.mark.parametrize(("accuracy", "status"), [(0.5, Status.FAIL), (0.99, Status.INCONCLUSIVE)])
def test_a_contradicted_statement_fails_and_its_true_twin_does_not(
    tmp_path: Path, accuracy: float, status: Status
) -> None:
    claimed = system(claims=Claims(accuracy=0.95))
    [found] = ask(annex_iv, claimed, tmp_path, [measured(accuracy)])
    assert found.status is status
    assert ("Annex IV 3 " in found.summary) == (status is Status.FAIL)
    assert CLAIMED["accuracy"] == ("3",)


def test_a_false_claim_in_a_document_fails_too(tmp_path: Path) -> None:
    written = document(tmp_path, "td.md", "# Results\n\nThe model reaches an accuracy of 0.95 on held-out records.\n")
    shelf = Shelf()
    [found] = ask(annex_iv, system(documents=(written,)), tmp_path, [measured(0.5)], shelf=shelf)
    assert found.status is Status.FAIL
    [digest] = found.evidence
    data, confidentiality = shelf.kept[digest]
    file = json.loads(data)
    assert confidentiality is Confidentiality.CONFIDENTIAL  # it quotes an internal document
    [section] = [one for one in file["sections"] if one["point"] == "3"]
    assert [(one["source"], one["state"]) for one in section["statements"]] == [("td.md", "contradicted")]
    assert "accuracy of 0.95" in section["statements"][0]["text"]


def test_the_file_is_kept_with_its_23_points(tmp_path: Path) -> None:
    shelf = Shelf()
    [found] = ask(annex_iv, system(), tmp_path, shelf=shelf)
    [(data, confidentiality)] = [shelf.kept[digest] for digest in found.evidence]
    assert len(json.loads(data)["sections"]) == 23 and confidentiality is Confidentiality.INTERNAL
    assert (found.status, found.reason) == (Status.INCONCLUSIVE, "no-evidence")
    [figure] = found.measurements
    assert (figure.name, figure.n) == ("annex_iv_points_without_gap", 23)


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        (system(risk_class=None), "missing:system.risk_class"),
        (system(risk_class="limited"), "not-applicable:risk_class"),
    ],
)
def test_a_system_that_is_not_high_risk_is_skipped(tmp_path: Path, declared: System, reason: str) -> None:
    [found] = ask(annex_iv, declared, tmp_path)
    assert (found.status, found.reason) == (Status.SKIPPED, reason)


def test_documents_that_cannot_be_read_are_a_limitation(tmp_path: Path) -> None:
    written = document(tmp_path, "td.md", "text")
    (tmp_path / "td.md").write_bytes(b"\xff\xfe\xff")
    [found] = ask(annex_iv, system(documents=(written,)), tmp_path)
    assert found.status is Status.INCONCLUSIVE
    assert any("could not be read (document." in one for one in found.limitations)


def test_that_no_one_signed_yet_is_said_and_holds_nothing_up(tmp_path: Path) -> None:
    tested = finding("attack.linear", controls=("EU-AIA:annex-IV(2)(g)",))
    [found] = ask(annex_iv, system(), tmp_path, [tested])
    assert "unsigned" not in found.detail
    assert any("signs the report" in one for one in found.limitations)
