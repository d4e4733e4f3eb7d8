"""The catalogue: every entry stands in the law, every citation is answered, and nothing costs more than it must."""

import json
import re
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

import compliance
from compliance.catalogue import (
    ROLES,
    Control,
    all_controls,
    conditions,
    law_versions,
    load_catalogue,
)
from compliance.citation import check_citation, parse_citation, places
from compliance.errors import CatalogueError, CitationError
from compliance.evidence import LEVELS
from compliance.law_files import CONTROLS, STRUCTURE, TIMELINE, law_file
from compliance.oscal import catalog
from reports.export_oscal import oscal_token

NEWEST = load_catalogue()
OLDEST = load_catalogue("2024")
KINDS = {
    *("reconstruction", "membership", "robustness", "dp", "secagg", "unlearning", "accuracy"),
    *("signature", "thresholds", "document", "log", "energy", "attestation"),
}


def ids(controls: tuple[Control, ...]) -> list[str]:
    return [control.id for control in controls]


def test_there_are_140_duties_in_each_version() -> None:
    assert law_versions() == ("2024", "2026-07-27")
    assert [len(load_catalogue(version).controls) for version in law_versions()] == [140, 140]
    assert len(all_controls()) == len({control.id for control in all_controls()}) == 143
    only_old, only_new = set(OLDEST.controls) - set(NEWEST.controls), set(NEWEST.controls) - set(OLDEST.controls)
    assert {c.id for c in only_old} == {"EU-AIA:4#provider", "EU-AIA:4#deployer", "EU-AIA:10(5)"}
    assert {c.id for c in only_new} == {"EU-AIA:4(1)#provider", "EU-AIA:4(1)#deployer", "EU-AIA:4a(1)"}


@pytest.mark.parametrize("control", all_controls(), ids=lambda control: control.id)
def test_every_entry_is_whole_and_stands_in_the_law(control: Control) -> None:
    for version in control.law_versions:
        for place in control.cited:
            assert check_citation(place, NEWEST.structure, version).status == "ok", place
    assert control.role in ROLES and control.text and control.rule in NEWEST.timeline["rules"]
    assert control.ceiling in LEVELS and set(control.evidence_kinds) <= KINDS and control.evidence_kinds
    bare = control.id.partition("#")[0]
    assert [str(place) for place in parse_citation(bare)] == list(control.citations)
    assert control.id == bare + (f"#{control.aspect}" if control.aspect else "")
    if control.subparagraph is not None:
        [place] = control.cited
        counted = NEWEST.structure["instruments"]["EU-AIA"]["versions"][control.law_versions[-1]]["subparagraphs"]
        assert control.subparagraph <= counted[str(place).removeprefix("EU-AIA:")]
    assert (control.repealed_on is None) == (control.replaced_by is None)
    if control.replaced_by is not None:
        assert control.replaced_by in ids(NEWEST.controls)


@pytest.mark.parametrize("name", [CONTROLS, STRUCTURE, TIMELINE])
def test_each_law_file_names_its_source_by_eli_address(name: str) -> None:
    text = json.dumps(law_file(name))
    for address in ("reg/2024/1689/oj", "reg/2024/1689/2026-07-27", "reg/2026/1744/oj", "reg/2016/679/oj"):
        assert f"http://data.europa.eu/eli/{address}" in text
    date.fromisoformat(law_file(TIMELINE)["checked_on"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("EU-AIA:15(5)#confidentiality", ["EU-AIA:15(5)#confidentiality"]),
        ("Art. 15(4) third subparagraph", ["EU-AIA:15(4)#continued-learning"]),
        ("EU-AIA:9(5)(a)", ["EU-AIA:9(5)"]),  # nothing there: the nearest above
        ("Art. 43(2)", ["EU-AIA:43(1)-(3)"]),
        ("Art. 17(1)(h)", ["EU-AIA:17(1)(g)-(i)"]),
        ("EU-AIA:17(1)(g)-(i)", ["EU-AIA:17(1)(g)-(i)"]),
        ("EU-AIA:13(3)(b)(vii)", []),
        ("EU-AIA:9(3)", []),
        ("GDPR Art. 32", ["GDPR:32(1)(a)", "GDPR:32(1)(b)", "GDPR:32(1)(d)"]),
        ("GDPR:30(1)(g)", ["GDPR:30"]),
        ("Art. 10(5)", []),  # deleted
        ("Annex IV(10)", []),  # never there
        ("EU-AIA:15(5)#confidential", []),
    ],
)
def test_a_citation_leads_to_the_duties_there_or_below_else_the_nearest_above(text: str, expected: list[str]) -> None:
    assert ids(NEWEST.resolve(text)) == expected


def test_an_article_answers_with_all_of_itself() -> None:
    assert ids(NEWEST.resolve("EU-AIA:15")) == [c for c in ids(NEWEST.controls) if c.startswith("EU-AIA:15(")]
    assert len(NEWEST.resolve("Annex IV")) == 23
    for control in NEWEST.controls:
        assert control in NEWEST.resolve(control.id)
        assert control in NEWEST.resolve(str(control.cited[0].whole))


def test_what_is_no_citation_resolves_to_an_error() -> None:
    with pytest.raises(CitationError):
        NEWEST.resolve("hello")
    [status] = NEWEST.check("hello")
    assert (status.status, status.citation) == ("unparsable", None)


@pytest.mark.parametrize(
    ("text", "version", "status", "successor"),
    [
        ("EU-AIA:15(5)#confidentiality", None, "ok", None),
        ("EU-AIA:15(5)#confidential", None, "no_such_point", None),
        ("EU-AIA:10(5)", None, "deleted", "EU-AIA:4a(1)"),
        ("EU-AIA:4#provider", "2024", "ok", None),
        ("EU-AIA:4(1)#provider", "2024", "not_yet_inserted", None),
    ],
)
def test_a_citation_is_checked_with_its_aspect(
    text: str, version: str | None, status: str, successor: str | None
) -> None:
    [found] = load_catalogue(version).check(text)
    assert (found.status, found.successor) == (status, successor)


def test_a_range_is_checked_at_every_member() -> None:
    assert [one.status for one in NEWEST.check("Art. 10(2)(g)-(i)")] == ["ok", "ok", "no_such_point"]


def test_a_glob_without_a_match_is_an_error_that_names_a_near_one() -> None:
    assert ids(NEWEST.select(["EU-AIA:9(?)"])) == [
        "EU-AIA:9(1)",
        "EU-AIA:9(5)",
        "EU-AIA:9(6)",
        "EU-AIA:9(8)",
        "EU-AIA:9(9)",
    ]
    assert ids(NEWEST.select(["EU-AIA:12(*", "EU-AIA:12(3)"])).count("EU-AIA:12(3)") == 1
    with pytest.raises(CatalogueError, match=re.escape("EU-AIA:15(9)")) as caught:
        NEWEST.select(["EU-AIA:9*", "EU-AIA:15(9)"])
    assert "Did you mean" in caught.value.hint
    with pytest.raises(CatalogueError):
        NEWEST.get("EU-AIA:10(5)")
    with pytest.raises(CatalogueError, match="2023") as unknown:
        load_catalogue("2023")
    assert "2024, 2026-07-27" in unknown.value.hint


@pytest.mark.parametrize(
    ("on", "version"),
    [("2020-01-01", "2024"), ("2026-07-26", "2024"), ("2026-07-27", "2026-07-27"), ("2040-01-01", "2026-07-27")],
)
def test_the_newest_version_in_force_is_taken(on: str, version: str) -> None:
    assert load_catalogue(on=date.fromisoformat(on)).version == version


@pytest.mark.parametrize("version", law_versions())
def test_every_place_of_a_touched_article_is_covered_or_listed(version: str) -> None:
    catalogue = load_catalogue(version)
    listed = set(catalogue.uncovered())
    cited = {place for control in catalogue.controls for place in control.cited}
    wholes = {place.whole for place in cited}
    for instrument, edition in (("EU-AIA", version), ("GDPR", "2016")):
        for place in places(catalogue.structure, instrument, edition):
            beside = [one for one in cited if one.whole == place.whole] if place.whole in wholes else []
            near = any(one.lies_within(place) or place.lies_within(one) for one in beside)
            assert (str(place) in listed) == (bool(beside) and not near), place
    assert {"EU-AIA:9(3)", "EU-AIA:13(3)(b)(vii)", "GDPR:32(2)"} <= listed


def test_the_words_a_duty_can_hang_on_are_those_of_the_specification() -> None:
    assert set(conditions()) == {
        *("remote-biometric-identification", "special-category-data", "generates-content", "systemic-risk"),
        *("personal-data", "public-authority", "workplace", "decides-on-persons", "third-country-provider"),
    }


def test_the_catalogue_loads_no_client_and_no_numerical_library() -> None:
    script = (
        "import sys, compliance.catalogue, compliance.citation, compliance.timeline, compliance.oscal\n"
        "heavy = {'torch', 'numpy', 'scipy', 'httpx', 'pydantic', 'jinja2'}\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & heavy))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_control_becomes_one_oscal_control_with_a_token_of_its_own() -> None:
    assert oscal_token("EU-AIA:15(5)#confidentiality") == "eu-aia-15.5-confidentiality"  # the specification's example
    assert oscal_token("EU-AIA:17(1)(g)-(i)") == "eu-aia-17.1.g-i"
    document = catalog(NEWEST)["catalog"]
    groups = document["groups"]  # type: ignore[index]
    found = [control["id"] for group in groups for control in group["controls"]]
    assert sorted(found) == sorted({oscal_token(control.id) for control in NEWEST.controls})
    token = re.compile(r"[^\W\d][\w.-]*")  # OSCAL 1.2.1, datatype token: (\p{L}|_)(\p{L}|\p{N}|[.\-_])*
    assert all(token.fullmatch(name) for name in [*found, *(group["id"] for group in groups)])
    assert catalog(NEWEST) == catalog(load_catalogue("2026-07-27"))
    assert catalog(NEWEST)["catalog"]["uuid"] != catalog(OLDEST)["catalog"]["uuid"]  # type: ignore[index]


def test_the_law_files_lie_in_the_package() -> None:
    assert (Path(compliance.__file__).parent / "law" / CONTROLS).is_file()
