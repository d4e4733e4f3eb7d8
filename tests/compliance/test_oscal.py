"""The catalogue as OSCAL 1.2.1: read by compliance-trestle, with every duty, its words and where they stand."""

import json
import re
import uuid
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from markdown_it import MarkdownIt

from compliance.catalogue import law_versions, load_catalogue
from compliance.oscal import catalog

HARMLESS = {"text", "softbreak"}
Reader = Callable[[object], Any]


@pytest.fixture(scope="module")
def read() -> Reader:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its dependencies' own
        module = pytest.importorskip("trestle.oscal.catalog", reason="compliance-trestle reads OSCAL")
    return lambda document: module.Model.model_validate(json.loads(json.dumps(document))).catalog


def members(value: object, wanted: str) -> Iterator[Any]:
    """Yield every member of one name, however deep."""
    for name, one in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        if name == wanted:
            yield one
        yield from members(one, wanted)


@pytest.mark.parametrize("version", law_versions())
def test_trestle_reads_every_duty_of_a_version(read: Reader, version: str) -> None:
    catalogue = load_catalogue(version)
    loaded = read(catalog(catalogue))
    assert loaded.metadata.oscal_version.root.root == "1.2.1"
    told = {control.title: control for group in loaded.groups for control in group.controls}
    assert set(told) == {control.id for control in catalogue.controls}
    for control in catalogue.controls:
        [statement] = told[control.id].parts
        assert statement.prose == control.text
        cited = [one.value for one in told[control.id].props if one.name == "citation"]
        assert cited == list(control.citations)


def test_trestle_would_notice(read: Reader) -> None:
    changes: tuple[dict[str, object], ...] = ({"id": "EU-AIA:15(5)"}, {"parts": []}, {"title": None}, {"more": 1})
    for change in changes:
        document: Any = json.loads(json.dumps(catalog(load_catalogue())))
        document["catalog"]["groups"][0]["controls"][0] |= change
        with pytest.raises(ValueError, match="validation error"):
            read(document)


@pytest.mark.parametrize("version", law_versions())
def test_ids_are_told_once_and_equal_laws_give_equal_documents(version: str) -> None:
    document = catalog(load_catalogue(version))
    ids = [one for name in ("id", "uuid") for one in members(document, name)]
    assert len(ids) == len(set(ids))
    assert {uuid.UUID(one).version for one in members(document, "uuid")} == {5}
    assert json.dumps(document) == json.dumps(catalog(load_catalogue(version)))


def test_words_that_oscal_reads_as_markup_hold_none() -> None:
    document = catalog(load_catalogue())
    for name in ("title", "prose", "remarks"):
        for text in members(document, name):
            kinds = {token.type for token in MarkdownIt().parseInline(text)[0].children or ()}
            assert kinds <= HARMLESS, text


def test_the_law_itself_is_linked_and_its_words_are_not_claimed() -> None:
    document: Any = catalog(load_catalogue())
    links = [one["href"] for resource in document["catalog"]["back-matter"]["resources"] for one in resource["rlinks"]]
    assert links
    assert all(re.match(r"https?://(data\.europa\.eu/eli|eur-lex\.europa\.eu)/", link) for link in links)
    assert "own words" in document["catalog"]["metadata"]["remarks"]
