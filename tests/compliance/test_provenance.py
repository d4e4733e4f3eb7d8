"""What is carried from elsewhere is named with its source, and is what it was when that was written."""

import hashlib
import json
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "compliance"
DIGEST = re.compile(r"^\| `([^`]+)` \|.*`([0-9a-f]{64})` \|$", re.MULTILINE)
CARRIED = {"law": {".json", ".txt"}, "data": {".json", ".jsonl"}}


@pytest.mark.parametrize("folder", sorted(CARRIED))
def test_every_file_has_the_digest_that_its_readme_gives(folder: str) -> None:
    told = dict(DIGEST.findall((FOLDER / folder / "README.md").read_text()))
    there = {path.name for path in (FOLDER / folder).iterdir() if path.suffix in CARRIED[folder]}
    assert set(told) == there
    for name, sha256 in told.items():
        assert hashlib.sha256((FOLDER / folder / name).read_bytes()).hexdigest() == sha256, name


def test_the_law_is_named_by_the_eli_addresses_that_the_data_give() -> None:
    told = set(re.findall(r"<(http://data\.europa\.eu/eli/[^>]+)>", (FOLDER / "law/README.md").read_text()))
    structure = json.loads((FOLDER / "law/law_structure.json").read_bytes())
    versions = [one for act in structure["instruments"].values() for one in act["versions"].values()]
    given = {address for one in versions for address in (one["eli"], one.get("amended_by_eli")) if address}
    assert told == given


def test_the_excerpts_are_attributed_as_their_licence_asks() -> None:
    """CC BY 4.0, section 3(a): creators, licence with its address, source, and what was changed."""
    told = (FOLDER / "data/README.md").read_text()
    for asked in (
        "Bill Marino",
        "Nicholas D. Lane",
        "arxiv.org/abs/2510.01474",
        "creativecommons.org/licenses/by/4.0",
        "What was changed",
    ):
        assert asked in told
    source = json.loads((FOLDER / "data/aireg_scores.json").read_bytes())["source"]
    assert "CC BY 4.0" in source
    assert "846d5cc" in source
    assert "846d5cc" in told


def test_the_carried_articles_name_their_source_before_the_first_of_them() -> None:
    text = (FOLDER / "law/articles_2024.txt").read_text()
    assert text.startswith("Source: Regulation (EU) 2024/1689")
    assert "http://data.europa.eu/eli/reg/2024/1689/oj" in text.split("**Article 9**")[0]
