import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from compliance.catalogue import load_catalogue
from compliance.checks.citations import CHECKS_KEY, citations, in_checks
from reports.check import Check, Context, discover
from reports.model import Effort, Finding, Status, System
from tests.compliance.audited import Shelf, document, system

TODAY = datetime(2026, 11, 21, 9, tzinfo=UTC)


def answers(
    declared: System, folder: Path, *, controls: tuple[str, ...] = ("EU-AIA:15(5)",), now: datetime = TODAY
) -> tuple[dict[str, Finding], Shelf]:
    """Ask the check with one made-up check beside it."""
    cited = Check("made.up", "It holds", lambda _system, _ctx: iter(()), controls=controls)
    shelf = Shelf()
    context = Context(
        check=citations, system=declared, seed=7, effort=Effort.SMOKE, folder=folder, now=now, store=shelf,
        shared={CHECKS_KEY: (cited,)},
    )  # fmt: skip
    return {one.key: one for one in citations.ask(declared, context)}, shelf


def test_a_deleted_paragraph_fails_and_names_what_took_its_place(tmp_path: Path) -> None:
    written = document(tmp_path, "td.md", "Bias is corrected under Art. 10(5), see also Article 15(5).")
    found, shelf = answers(system(documents=(written,)), tmp_path)
    wrong = found["documents"]
    assert wrong.status is Status.FAIL
    assert "1 of 2 citations" in wrong.summary
    assert wrong.remedy is not None
    assert wrong.remedy.value == "EU-AIA:4a(1)"
    rows = json.loads(shelf.kept[wrong.evidence[0]][0])
    assert [(row["status"], row["start"]) for row in rows] == [("deleted", 24), ("ok", 45)]


def test_the_same_paragraph_passes_under_the_law_that_held_it(tmp_path: Path) -> None:
    """The negative control: nothing but the law version differs."""
    written = document(tmp_path, "td.md", "Bias is corrected under Art. 10(5), see also Article 15(5).")
    found, _ = answers(system(documents=(written,), law_version="2024"), tmp_path)
    assert found["documents"].status is Status.PASS
    before, _ = answers(system(documents=(written,)), tmp_path, now=datetime(2026, 7, 1, tzinfo=UTC))
    assert before["documents"].status is Status.PASS


@pytest.mark.parametrize("wrong", ["Annex IV(10)", "Art. 15(9)", "Article 400", "Annex XX", "Art. 5(1)(z)"])
def test_a_paragraph_that_never_existed_fails(tmp_path: Path, wrong: str) -> None:
    written = document(tmp_path, "td.md", f"As {wrong} of the AI Act asks.")
    found, _ = answers(system(documents=(written,)), tmp_path)
    assert found["documents"].status is Status.FAIL
    assert found["documents"].severity == "low"


def test_a_range_fails_where_one_member_does_not_exist(tmp_path: Path) -> None:
    good, bad = (document(tmp_path, f"{name}.md", f"See Art. 10(2)({name})-(g).") for name in ("f", "a"))
    found, _ = answers(system(documents=(good, bad)), tmp_path)
    assert found["documents"].status is Status.PASS
    worse = document(tmp_path, "worse.md", "See Art. 10(2)(g)-(k).")
    found, _ = answers(system(documents=(good, worse)), tmp_path)
    assert found["documents"].status is Status.FAIL


def test_what_cites_nothing_is_skipped(tmp_path: Path) -> None:
    written = document(tmp_path, "td.md", "A model of wards.")
    found, _ = answers(system(documents=(written,)), tmp_path, controls=())
    assert {key: one.status for key, one in found.items()} == {
        "documents": Status.SKIPPED, "checks": Status.SKIPPED,
    }  # fmt: skip
    found, _ = answers(system(), tmp_path)
    assert {key: one.status for key, one in found.items()} == {"checks": Status.PASS}


def test_a_check_that_cites_what_is_gone_fails(tmp_path: Path) -> None:
    found, _ = answers(system(), tmp_path, controls=("EU-AIA:10(5)", "EU-AIA:15(5)#confidentiality"))
    assert found["checks"].status is Status.FAIL
    assert "made.up" in found["checks"].detail


def test_the_words_of_a_confidential_document_stay_in_the_evidence(tmp_path: Path) -> None:
    written = document(tmp_path, "td.md", "Art. 10(5)", classification="confidential")
    found, shelf = answers(system(documents=(written,)), tmp_path)
    assert shelf.kept[found["documents"].evidence[0]][1] == "confidential"


@pytest.mark.slow
@pytest.mark.parametrize("version", ["2024", "2026-07-27"])
def test_every_control_that_our_checks_name_stands_in_each_law_version(version: str) -> None:
    cited = list(in_checks(discover(), load_catalogue(version)))
    assert len(cited) > 50
    assert [one for one in cited if not one.status.stands] == []
