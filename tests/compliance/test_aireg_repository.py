"""A copy of AIReg-Bench as a data set: its whole layout, and every place where something may be missing."""

import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pytest

from compliance.aireg_repository import read_repository
from compliance.errors import CalibrationError
from tests.compliance.made_up_repository import ARTICLES, LETTERS, USES, profile_of, rating_of, write_repository


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_repository(tmp_path_factory.mktemp("aireg") / "aireg-bench")


@pytest.fixture
def copy(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "copy"))


def refused(folder: Path) -> str:
    with pytest.raises(CalibrationError) as caught:
        read_repository(folder)
    assert (caught.value.code, caught.value.exit_code) == ("aireg.layout", 2)
    assert caught.value.hint
    return caught.value.message


def change(path: Path, edit: Callable[[openpyxl.Workbook], None]) -> None:
    book = openpyxl.load_workbook(path)
    edit(book)
    book.save(path)


def test_every_item_has_its_ratings_profile_text_and_model_scores(sound: Path) -> None:
    found = read_repository(sound)
    assert found.name == "aireg-bench"
    assert [item.id for item in found.items] == [
        f"use{use}-art{article}-{letter}" for use in USES for article in ARTICLES for letter in LETTERS
    ]
    names = {1: ("Q1", "Q2", "Q4"), 6: ("Q1", "Q2", "Q3")}  # in the order of the workbook's sheets
    for item in found.items:
        letter = item.id[-1]
        assert item.annotators == names[item.use]
        assert item.human == tuple(rating_of(name, item.use, item.article, letter) for name in item.annotators)
        assert item.reference == sorted(item.human)[1]
        complies = profile_of(item.use, item.article, letter) == "Compliance"
        assert item.profile == ("compliant" if complies else "violation")
        assert item.text is not None
        assert ("not" in item.text) is not complies
        assert item.scores == {"tiny": 3}


def test_without_scores_of_models_it_is_read_all_the_same(copy: Path) -> None:
    shutil.rmtree(copy / "llm_annotations")
    assert all(item.scores == {} for item in read_repository(copy).items)


def test_a_formula_is_not_read_but_the_value_that_was_stored_with_it(copy: Path) -> None:
    """openpyxl stores none, so the model's score is missing; it is never computed here."""

    def formula(book: openpyxl.Workbook) -> None:
        book["tiny"]["B3"] = "=1+1"

    change(copy / "llm_annotations/tiny_annotations.xlsx", formula)
    assert read_repository(copy).items[0].scores == {"tiny": None}


@pytest.mark.parametrize(
    "lost",
    [
        "human_annotations.xlsx",
        "human_annotations_disaggregated.xlsx",
        "rand_assign.txt",
        "documentation/Article12/Use6/System2/Violation_1.txt",
    ],
)
def test_a_missing_file_is_named(copy: Path, lost: str) -> None:
    (copy / lost).unlink()
    message = refused(copy)
    assert lost in message
    assert "no such file" in message


def test_a_missing_sheet_is_named(copy: Path) -> None:
    change(copy / "human_annotations.xlsx", lambda book: book.remove(book["Iter 2"]))
    assert "human_annotations.xlsx: has no sheet 'Iter 2'; it has 'Iter 1', 'Iter 3'" in refused(copy)


@pytest.mark.parametrize(
    ("file", "sheet"),
    [
        ("human_annotations.xlsx", "Iter 3"),
        ("human_annotations_disaggregated.xlsx", "Annotator Q2"),
        ("llm_annotations/tiny_annotations.xlsx", "tiny"),
    ],
)
def test_a_missing_row_is_named_with_file_and_sheet(copy: Path, file: str, sheet: str) -> None:
    change(copy / file, lambda book: book[sheet].delete_rows(5))
    message = refused(copy)
    assert f"{file}: sheet {sheet!r}: has no row 'Art 9 / Scenario C'" in message


@pytest.mark.parametrize("value", [7, 0, 2.5, "four", True])
def test_what_is_no_rating_is_named_with_its_cell(copy: Path, value: object) -> None:
    def write(book: openpyxl.Workbook) -> None:
        book["Iter 1"]["G4"] = value

    change(copy / "human_annotations.xlsx", write)
    message = refused(copy)
    assert "human_annotations.xlsx: sheet 'Iter 1', cell G4: holds" in message
    assert "expected is a rating from 1 to 5" in message


def test_a_sheet_without_the_heads_is_refused(copy: Path) -> None:
    change(copy / "human_annotations.xlsx", lambda book: book["Iter 1"].delete_rows(1))
    assert "sheet 'Iter 1': no column has 'Compliance [1-5]' below 'Use 1'" in refused(copy)


def test_uses_that_differ_between_iterations_are_refused(copy: Path) -> None:
    change(copy / "human_annotations.xlsx", lambda book: book["Iter 2"].delete_cols(7, 5))
    assert "sheet 'Iter 2': has the uses (1,); expected are (1, 6)" in refused(copy)


def test_ratings_that_no_annotator_gave_are_refused(copy: Path) -> None:
    def write(book: openpyxl.Workbook) -> None:
        book["Iter 1"]["B3"] = 6 - book["Iter 1"]["B3"].value if book["Iter 1"]["B3"].value != 3 else 1

    change(copy / "human_annotations.xlsx", write)
    assert "nobody gave the ratings of use 1 in 'Iter 1' of human_annotations.xlsx" in refused(copy)


def test_a_missing_assignment_is_named(copy: Path) -> None:
    path = copy / "rand_assign.txt"
    path.write_text(path.read_text().replace("Use 6, Article 14", "Use 7, Article 14"))
    assert "rand_assign.txt: expected is a line such as '1 -- A' below 'Use 6, Article 14'" in refused(copy)


def test_an_item_that_nobody_rated_is_left_out_and_named(copy: Path) -> None:
    for file in ("human_annotations.xlsx", "human_annotations_disaggregated.xlsx"):

        def empty(book: openpyxl.Workbook) -> None:
            for sheet in book.worksheets:
                sheet["B3"] = None

        change(copy / file, empty)
    found = read_repository(copy)
    assert found.unrated == ("use1-art9-A",)
    assert len(found.items) == 29


def test_what_is_no_folder_or_no_workbook_is_refused(copy: Path) -> None:
    assert "there is no such folder" in refused(copy / "elsewhere")
    (copy / "human_annotations.xlsx").write_bytes(b"PK\x03\x04 no archive")
    assert "is no sound archive" in refused(copy)
    with zipfile.ZipFile(copy / "human_annotations.xlsx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", "no workbook" * 9)
    assert "is no sound workbook" in refused(copy)
    whole = (copy / "human_annotations.xlsx").read_bytes()
    at = whole.index(b"a.txt") + 5
    (copy / "human_annotations.xlsx").write_bytes(whole[:at] + b"\xff" * 4 + whole[at + 4 :])
    assert "is no sound archive (error)" in refused(copy)  # zlib's


def test_a_workbook_that_declares_entities_or_unpacks_beyond_bounds_is_refused(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = copy / "human_annotations.xlsx"
    whole = path.read_bytes()
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("xl/evil.xml", '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>')
    assert "declares a document type" in refused(copy)
    path.write_bytes(whole)
    monkeypatch.setattr("compliance.aireg_workbook.LARGEST_UNPACKED", 1000)
    assert "unpacks to more than" in refused(copy)


def test_a_text_that_is_not_utf_8_is_refused(copy: Path) -> None:
    (copy / "documentation/Article9/Use1/System1/Compliance.txt").write_bytes(b"\xff\xff")
    assert "Compliance.txt: is not UTF-8" in refused(copy)


def test_without_openpyxl_the_mend_names_the_extra(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(CalibrationError) as caught:
        read_repository(sound)
    assert (caught.value.code, caught.value.exit_code) == ("extra.missing", 2)
    assert "fedaudit[aireg]" in caught.value.hint
