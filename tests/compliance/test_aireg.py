"""Items that experts rated: what a scores file may hold, and what is shipped."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from compliance.aireg import ARTICLES, Dataset, dataset_of, read_scores, shipped_dataset
from compliance.errors import CalibrationError

SHIPPED_SCORES = Path(__file__).parents[2] / "compliance/data/aireg_scores.json"
SOUND = {
    "id": "a", "use": 1, "article": 9, "profile": "compliant", "human": [2, None, 5], "annotators": ["X", "Y", "Z"],
    "scores": {"model": 4},
}  # fmt: skip


def read(folder: Path, *items: object, **more: object) -> Dataset:
    path = folder / "scores.json"
    path.write_text(json.dumps({"schema": "fedaudit.aireg-scores/1", "items": list(items), **more}))
    return read_scores(path)


def refused(folder: Path, *items: object, **more: object) -> CalibrationError:
    with pytest.raises(CalibrationError) as caught:
        read(folder, *items, **more)
    assert caught.value.exit_code == 2
    return caught.value


def test_the_reference_is_the_lower_median_of_the_ratings_that_are_there(tmp_path: Path) -> None:
    [item] = read(tmp_path, SOUND).items
    assert (item.reference, item.human, item.scores) == (2, (2, None, 5), {"model": 4})


def test_the_shipped_excerpts_are_those_of_uses_1_to_4_with_their_texts() -> None:
    shipped, scores = shipped_dataset(), read_scores(SHIPPED_SCORES)
    assert [item.id for item in shipped.items] == [item.id for item in scores.items if item.use <= 4]
    assert all(item.text and item.text.strip() for item in shipped.items)
    assert {item.article for item in shipped.items} == set(ARTICLES)
    published = {item.id: (item.human, item.annotators, item.profile) for item in scores.items}
    assert all((item.human, item.annotators, item.profile) == published[item.id] for item in shipped.items)
    assert len(scores.items) == 120
    assert scores.raters() == ("GPT-4o", "Gemma 3", "o3 mini")


def test_the_digest_knows_items_and_ratings_and_neither_their_order_nor_other_raters(tmp_path: Path) -> None:
    other = SOUND | {"id": "b"}
    whole = read(tmp_path, SOUND, other)
    assert read(tmp_path, other, SOUND).sha256 == whole.sha256
    assert read(tmp_path, SOUND | {"scores": {}}, other).sha256 == whole.sha256
    for change in ({"human": [2, None, 4]}, {"text": "words"}, {"article": 10}, {"profile": "violation"}):
        assert read(tmp_path, SOUND | change, other).sha256 != whole.sha256
    assert whole.first(1).sha256 == dataset_of("scores.json", whole.items[:1]).sha256 != whole.sha256


def test_an_item_that_no_expert_rated_is_left_out_and_named(tmp_path: Path) -> None:
    found = read(tmp_path, SOUND, SOUND | {"id": "unrated", "human": [None, None, None]})
    assert [item.id for item in found.items] == ["a"]
    assert found.unrated == ("unrated",)


@pytest.mark.parametrize(
    ("change", "code", "told"),
    [
        ({"human": [2, 7, 5]}, "value", r"item 'a': human\[1\]: .*7"),
        ({"human": [2, True, 5]}, "value", r"item 'a': human\[1\]"),
        ({"human": [2, 3.5, 5]}, "value", r"item 'a': human\[1\]"),
        ({"human": ["2", 3, 5]}, "value", r"item 'a': human\[0\]"),
        ({"human": []}, "value", "item 'a': human"),
        ({"scores": {"model": 0}}, "value", r"item 'a': scores.model"),
        ({"profile": "sound"}, "value", "item 'a': profile: 'sound' is not one of compliant, violation"),
        ({"annotators": ["X"]}, "value", "item 'a': annotators: names 1, but human holds 3"),
        ({"median": 5}, "value", "item 'a': median: is 5, but the lower median of human is 2"),
        ({"text": "a\x00b"}, "value", "item 'a': text: .*U\\+0000"),
        ({"use": 0}, "value", "item 'a': use"),
        ({"article": "9"}, "value", "item 'a': article"),
        ({"grade": 3}, "unknown_key", "item 'a': grade: is not a known key"),
        ({"id": 7}, "value", r"items\[0\]: id"),
        ({"id": ""}, "value", "item '': id"),
    ],
)
def test_what_is_wrong_with_an_item_is_told_with_its_id(
    tmp_path: Path, change: dict[str, Any], code: str, told: str
) -> None:
    error = refused(tmp_path, SOUND | change)
    assert error.code == f"scores.{code}"
    assert re.search(told, error.message), error.message
    assert "scores.json" in error.message
    assert error.hint


def test_a_missing_key_an_id_twice_and_no_item_are_refused(tmp_path: Path) -> None:
    without = {key: value for key, value in SOUND.items() if key != "profile"}
    assert refused(tmp_path, without).code == "scores.missing_key"
    assert "'a'" in refused(tmp_path, SOUND, SOUND).message
    assert refused(tmp_path, SOUND, SOUND).code == "scores.duplicate"
    assert refused(tmp_path).code == "scores.empty"
    assert refused(tmp_path, SOUND | {"human": [None]} | {"annotators": []}).code == "scores.empty"
    assert refused(tmp_path, "an item").code == "scores.value"
    assert refused(tmp_path, SOUND, rows=[]).code == "scores.unknown_key"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "syntax"),
        (b"[]", "syntax"),
        (b"{}", "schema"),
        (b'{"schema": "fedaudit.aireg-scores/2", "items": []}', "schema"),
        (b'{"schema": "fedaudit.aireg-scores/1"}', "missing_key"),
        (b'{"schema": "fedaudit.aireg-scores/1", "items": [], "items": []}', "syntax"),
        (b'{"schema": "fedaudit.aireg-scores/1", "items": [NaN]}', "syntax"),
        (b"\xff\xfe", "syntax"),
    ],
)
def test_what_is_no_scores_file_is_refused(tmp_path: Path, content: bytes, code: str) -> None:
    path = tmp_path / "scores.json"
    path.write_bytes(content)
    with pytest.raises(CalibrationError) as caught:
        read_scores(path)
    assert caught.value.code == f"scores.{code}"


def test_a_file_that_is_not_there_or_too_large_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="there is no such file"):
        read_scores(tmp_path / "scores.json")
    with pytest.raises(CalibrationError, match="there is no such file"):
        read_scores(tmp_path)
    large = tmp_path / "large.json"
    with large.open("wb") as file:
        file.truncate((32 << 20) + 1)
    with pytest.raises(CalibrationError, match="larger than 32 MiB"):
        read_scores(large)


def test_reading_scores_and_calibrating_load_neither_torch_nor_openpyxl_nor_httpx() -> None:
    code = (
        "import sys, compliance.calibration, compliance.aireg_repository, audit.cli.compliance_calibrate\n"
        "print(sorted({'torch', 'openpyxl', 'pypdf', 'httpx', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
