"""Citations: every place of the law in five spellings, every place beyond refused, garbage met with one error."""

import contextlib
import json
import re
import string
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import compliance
from compliance.citation import (
    Citation,
    CitationError,
    CitationStatus,
    check_citation,
    find_citations,
    parse_citation,
    places,
    versions_of,
)

STRUCTURE = json.loads((Path(compliance.__file__).parent / "law" / "law_structure.json").read_text())
NEWEST = "2026-07-27"
EDITIONS = [(name, version) for name in STRUCTURE["instruments"] for version in versions_of(STRUCTURE, name)]
ROMAN = ["i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix"]
REFUSED = ("no_such_article", "no_such_annex", "no_such_paragraph", "no_such_point")


def status(text: str, version: str = NEWEST) -> CitationStatus:
    [place] = parse_citation(text)
    return check_citation(place, STRUCTURE, version)


def spellings(place: Citation) -> Iterator[str]:
    """Yield five ways to write one place."""
    head, *rest = place.path
    title = {"EU-AIA": "Regulation (EU) 2024/1689", "GDPR": "Regulation (EU) 2016/679"}[place.instrument]
    short = {"EU-AIA": "AIA", "GDPR": "GDPR"}[place.instrument]
    yield str(place)
    yield str(place).upper() + " "
    if not head.startswith("annex-"):
        yield f"{short} Art. {head}" + "".join(f" ({part})" for part in rest)
        words = ["paragraph" if index == 0 and part[0].isdigit() else "point" for index, part in enumerate(rest)]
        worded = "".join(f", {word} ({part})" for word, part in zip(words, rest, strict=True))
        yield f"Article {head}{worded} of {title}"
        yield f"art {head}{''.join(f'({part})' for part in rest)}, {title}."
        return
    roman = head.removeprefix("annex-")
    section = rest.pop(0).removeprefix(".") if rest and rest[0].startswith(".") else ""
    points = "".join(f"({part})" for part in rest)
    yield f"{short} Annex {roman}{f', Section {section}' if section else ''}{points}"
    yield f"annex {roman}{f' section {section},' if section else ','} point {points}".removesuffix(
        ", point "
    ).removesuffix(" point ")
    dotted = [*([section] if section else []), *rest]
    joint = " " if dotted and dotted[0].isdigit() else "." if dotted else ""
    yield f"Annex {roman}{joint}{'.'.join(dotted)} of the AI Act"


def nodes() -> Iterator[tuple[Citation, str]]:
    for instrument, version in EDITIONS:
        yield from ((place, version) for place in places(STRUCTURE, instrument, version))


def test_every_place_of_every_version_exists_in_five_spellings() -> None:
    seen = 0
    for place, version in nodes():
        for text in spellings(place):
            assert parse_citation(text) == (place,), text
        assert check_citation(place, STRUCTURE, version).status == "ok", place
        seen += 1
    assert seen > 1500


def children(place: Citation, version: str) -> list[str]:
    table = STRUCTURE["instruments"][place.instrument]["versions"][version]
    head, *rest = place.path
    if not head.startswith("annex-"):
        tree = table["articles"][head]
    else:
        annex = table["annexes"][head.removeprefix("annex-")]
        if not rest:
            tree = annex.get("points", {})
        else:
            tree = annex["sections"][rest.pop(0)[1:]] if rest[0].startswith(".") else annex["points"]
    for part in rest:
        tree = tree[part]
    return ["null"] if tree is None else list(tree)


def following(numbers: list[str], parent: str) -> str:
    """Return the number after the last one, in the kind that stands there; the first one where none stands."""
    if plain := [int(number) for number in numbers if number.isdigit()]:
        return str(max(plain) + 1)
    if parent.isalpha() and len(parent) <= 2:
        return ROMAN[max([ROMAN.index(number) for number in numbers], default=-1) + 1]
    letters = [number for number in numbers if len(number) == 1]
    return chr(ord(max(letters)) + 1) if letters else "a"


def test_the_number_after_the_last_is_refused_everywhere() -> None:
    refused, known = 0, {place for place, _version in nodes()}
    for place, version in nodes():
        numbers = children(place, version)
        if numbers == ["null"] or (not numbers and place.path[0] in ("annex-I", "annex-VIII", "annex-XI")):
            continue
        beyond = Citation(place.instrument, (*place.path, following(numbers, place.path[-1])))
        found = check_citation(beyond, STRUCTURE, version)
        expected = {"deleted", "not_yet_inserted"} if beyond in known else set(REFUSED)
        assert found.status in expected, beyond
        refused += found.status in REFUSED
    assert refused > 1400


@pytest.mark.parametrize(
    ("text", "version", "expected", "successor"),
    [
        ("Annex IV(10)", NEWEST, "no_such_point", None),
        ("Annex IV point 10", "2024", "no_such_point", None),
        ("Art. 10(5)", "2024", "ok", None),
        ("Art. 10(5)", NEWEST, "deleted", "EU-AIA:4a(1)"),
        ("Art. 10(5)(f)", NEWEST, "deleted", "EU-AIA:4a(1)"),
        ("Art. 10(50)", NEWEST, "no_such_paragraph", None),
        ("Annex I(1)", NEWEST, "deleted", "EU-AIA:annex-I(21)"),
        ("Annex VIII Section B 7", NEWEST, "deleted", None),
        ("Art. 4a(1)", "2024", "not_yet_inserted", None),
        ("Art. 4(1)", "2024", "not_yet_inserted", None),
        ("Art. 5(1)(ba)", "2024", "not_yet_inserted", None),
        ("Art. 5(1)(ba)", NEWEST, "ok", None),
        ("Art. 60a", "2024", "not_yet_inserted", None),
        ("Annex XIV", "2024", "not_yet_inserted", None),
        ("Annex XIV(3)", NEWEST, "unchecked", None),
        ("Art. 114", NEWEST, "no_such_article", None),
        ("Art. 0", NEWEST, "no_such_article", None),
        ("GDPR Art. 100", NEWEST, "no_such_article", None),
        ("GDPR Annex I", NEWEST, "no_such_annex", None),
        ("Annex XX", NEWEST, "no_such_annex", None),
        ("Art. 15(6)", NEWEST, "no_such_paragraph", None),
        ("Art. 15(5)(a)", NEWEST, "no_such_point", None),
        ("Art. 13(3)(b)(viii)", NEWEST, "no_such_point", None),
        ("EU-AIA:13(3)(b)(vii)", NEWEST, "ok", None),
        ("Annex XI 3.1", NEWEST, "no_such_point", None),
        ("Annex XI Section 1 point 2(f)", NEWEST, "no_such_point", None),
        ("Art. 15(4) third subparagraph", NEWEST, "ok", None),
        ("Art. 15(4) fourth subparagraph", NEWEST, "no_such_point", None),
        ("Art. 9(2) second subparagraph", NEWEST, "unchecked", None),
        ("GDPR:12(3)", NEWEST, "unchecked", None),
        ("GDPR:32(1)(e)", NEWEST, "no_such_point", None),
    ],
)
def test_what_does_not_exist_is_told_apart_from_what_went_or_comes(
    text: str, version: str, expected: str, successor: str | None
) -> None:
    found = status(text, version)
    assert (found.status, found.successor) == (expected, successor)
    dated = found.status in ("deleted", "not_yet_inserted")
    assert str(found.on) == (NEWEST if dated else "None")


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("Art. 15(5)", "EU-AIA:15(5)"),
        ("Article 15 (5)", "EU-AIA:15(5)"),
        ("Art 15 para 5", "EU-AIA:15(5)"),
        ("Article 15, paragraph 5, point (a)", "EU-AIA:15(5)(a)"),
        ("AI Act Art. 15(5)", "EU-AIA:15(5)"),
        ("AIA-15(5)", "EU-AIA:15(5)"),
        ("EU AI Act Annex IV 2(g)", "EU-AIA:annex-IV(2)(g)"),
        ("Annex IV(2)(g)", "EU-AIA:annex-IV(2)(g)"),
        ("Annex IV, point 2(g)", "EU-AIA:annex-IV(2)(g)"),
        ("Annex XI 1.2(e)", "EU-AIA:annex-XI.1(2)(e)"),
        ("Annex XI, Section 1, point 2(e)", "EU-AIA:annex-XI.1(2)(e)"),
        ("Annex VII 4.7", "EU-AIA:annex-VII(4)(7)"),
        ("GDPR Art. 32(1)(d)", "GDPR:32(1)(d)"),
        ("Art. 5(1)(ba)", "EU-AIA:5(1)(ba)"),
        ("Article 17(1) GDPR", "GDPR:17(1)"),
        ("EU-AIA:15(5)#confidentiality", "EU-AIA:15(5)#confidentiality"),
        ("Art. 15(4) third subparagraph", "EU-AIA:15(4) subparagraph 3"),
        ("Article 15(4), 3rd sub-paragraph", "EU-AIA:15(4) subparagraph 3"),
        ("  ART. 15 ( 5 ).", "EU-AIA:15(5)"),
    ],
)
def test_every_spelling_of_the_specification_is_read(text: str, canonical: str) -> None:
    assert [str(place) for place in parse_citation(text)] == [canonical]


@pytest.mark.parametrize(
    ("text", "members"),
    [
        ("Art. 10(2)(f)-(g)", ["10(2)(f)", "10(2)(g)"]),
        ("EU-AIA:17(1)(g)-(i)", ["17(1)(g)", "17(1)(h)", "17(1)(i)"]),
        ("Art. 13(3)(b)(i) to (iii)", ["13(3)(b)(i)", "13(3)(b)(ii)", "13(3)(b)(iii)"]),
        ("EU-AIA:43(1)-(3)", ["43(1)", "43(2)", "43(3)"]),
        ("Articles 9 to 11", ["9", "10", "11"]),
        ("Art. 5(1)(ba)-(bb)", ["5(1)(ba)", "5(1)(bb)"]),
        ("Annex XI.1(1)(a)–(c)", ["annex-XI.1(1)(a)", "annex-XI.1(1)(b)", "annex-XI.1(1)(c)"]),
    ],
)
def test_a_range_is_every_member(text: str, members: list[str]) -> None:
    assert [str(place) for place in parse_citation(text)] == [f"EU-AIA:{member}" for member in members]


@pytest.mark.parametrize(
    "text", ["Art. 10(2)(g)-(f)", "Art. 10(2)(a)-(3)", "Articles 1 to 100", "Art. 13(3)(b)(x)-(b)"]
)
def test_a_range_that_runs_backwards_or_too_far_is_refused(text: str) -> None:
    with pytest.raises(CitationError) as caught:
        parse_citation(text)
    assert caught.value.code == "citation.range"


@pytest.mark.parametrize(
    "text", ["", "15", "2024", "Art.", "Art. (5)", "Annex", "Annex 4", "AI Act", "AI Act 2024", "#x"]
)
def test_what_names_no_place_is_no_citation(text: str) -> None:
    with pytest.raises(CitationError) as caught:
        parse_citation(text)
    assert caught.value.code == "citation.unparsable"


NUMBER = st.integers(1, 199).map(str)
POINT = st.one_of(st.sampled_from(string.ascii_lowercase), st.sampled_from(["ba", "da", "ii", "iii", "vii"]), NUMBER)
ASPECT = st.from_regex(r"\A[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,8}){0,2}\Z")
ARTICLE_PATH = st.tuples(NUMBER, st.lists(POINT, max_size=4)).map(lambda parts: (parts[0], *parts[1]))
ANNEX_PATH = st.one_of(
    st.tuples(st.sampled_from(["IV", "III", "VII", "X"]), st.lists(POINT, max_size=3)).map(
        lambda parts: (f"annex-{parts[0]}", *parts[1])
    ),
    st.lists(POINT, max_size=3).map(lambda parts: ("annex-XI", ".2", *parts)),
    st.lists(POINT, max_size=3).map(lambda parts: ("annex-VIII", ".C", *parts)),
)


@given(
    instrument=st.sampled_from(["EU-AIA", "GDPR"]),
    path=st.one_of(ARTICLE_PATH, ANNEX_PATH),
    aspect=st.one_of(st.just(""), ASPECT),
    subparagraph=st.integers(0, 9),
)
def test_what_is_written_is_read_back(instrument: str, path: tuple[str, ...], aspect: str, subparagraph: int) -> None:
    place = Citation(instrument, path, aspect, subparagraph)
    assert parse_citation(str(place)) == (place,)


PIECES = [
    "Art. ",
    "Annex ",
    "IV",
    "(",
    ")",
    "5",
    "-",
    "(a)",
    "GDPR",
    ":",
    "§",
    "section",
    "#",
    "..",
    "٣",
    "\u202e",
    "\n",
]


@given(st.one_of(st.text(max_size=40), st.lists(st.sampled_from(PIECES), max_size=12).map("".join)))
def test_garbage_raises_nothing_but_a_citation_error(text: str) -> None:
    with contextlib.suppress(CitationError):
        found = parse_citation(text)
        assert all(re.fullmatch(r"[\w.:() #-]+", str(place)) for place in found)
        assert all(check_citation(place, STRUCTURE, NEWEST).message for place in found)


@given(st.lists(st.sampled_from([*PIECES, "Art. 15(5) ", "see ", "EU-AIA:9(1), "]), max_size=20).map("".join))
def test_what_is_found_lies_where_it_is_said_to_lie(text: str) -> None:
    end = 0
    for span in find_citations(text):
        assert end <= span.start < span.end
        assert text[span.start : span.end] == span.text
        end = span.end


def test_every_spelling_is_found_in_running_text() -> None:
    known = [place for place, version in nodes() if version == NEWEST][::7]
    for place in known:
        for text in spellings(place):
            written = text.strip().removesuffix(".")
            prose = f"We show below (see {written}) what was done; in 2024 we had 12 clients."
            [span] = find_citations(prose)
            assert span.citation == (place,), prose
            assert span.start == prose.index(written)


@pytest.mark.parametrize(
    "text",
    [
        "Article 7 of Directive 2002/58/EC",
        "Article 16 TFEU",
        "Art. 8 of the Charter of Fundamental Rights",
        "Article 5 of Regulation (EU) 2019/881",
        "Article 3 of the Data Governance Act",
        "Article 5 of the Regulation (EU) 2017/745",
        "Article 5 of the Regulation on machinery",
        "Article 5 of the Medical Devices Regulation",
        "the AI Act 2024 has 113 articles, and party 15 of the start 5",
        "Annexation of 3 rooms; artifact 5; smart 15(5)",
    ],
)
def test_another_law_and_a_mere_number_are_left_out(text: str) -> None:
    assert list(find_citations(text)) == []


@pytest.mark.parametrize("text", ["as Article 10(9) of the Regulation demands", "Article 10(9) of this Act"])
def test_a_law_that_is_not_named_is_ours(text: str) -> None:
    [span] = find_citations(text)
    assert [str(place) for place in span.citation] == ["EU-AIA:10(9)"]


def test_the_law_named_beside_a_place_is_the_one_that_counts() -> None:
    text = "Art. 5, GDPR Art. 6, Article 28 GDPR, Art. 32(1) of the GDPR, Article 9 of the AI Act and Annex IV(10)."
    found = [str(place) for span in find_citations(text) for place in span.citation]
    assert found == ["EU-AIA:5", "GDPR:6", "GDPR:28", "GDPR:32(1)", "EU-AIA:9", "EU-AIA:annex-IV(10)"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Articles 9, 10 and 15 of the AI Act", ["EU-AIA:9", "EU-AIA:10", "EU-AIA:15"]),
        ("Articles 5, 17(1) and 32 GDPR", ["GDPR:5", "GDPR:17(1)", "GDPR:32"]),
        ("Article 6(1)(a), (b) and (c) GDPR", ["GDPR:6(1)(a)", "GDPR:6(1)(b)", "GDPR:6(1)(c)"]),
        ("Article 10(2), points (f) and (g)", ["EU-AIA:10(2)(f)", "EU-AIA:10(2)(g)"]),
        ("Annexes IV and XI", ["EU-AIA:annex-IV", "EU-AIA:annex-XI"]),
        ("Article 15 and 3 more", ["EU-AIA:15"]),  # no plural: the number is of something else
        ("Art. 9(1) and (b)", ["EU-AIA:9(1)"]),  # another kind of number: no sibling
        ("Articles 5, 6 and 7 of the Charter", []),
    ],
)
def test_a_list_names_its_law_once(text: str, expected: list[str]) -> None:
    assert [str(place) for span in find_citations(text) for place in span.citation] == expected


@pytest.mark.parametrize(
    ("name", "instrument"),
    [
        ("the EU AI Act", "EU-AIA"),
        ("the Artificial Intelligence Act", "EU-AIA"),
        ("Regulation (EU) 2024/1689", "EU-AIA"),
        ("the Regulation", "EU-AIA"),  # unnamed: ours
        ("the GDPR", "GDPR"),
        ("the General Data Protection Regulation", "GDPR"),
        ("Regulation (EU) 2016/679", "GDPR"),
    ],
)
def test_a_law_is_known_by_its_names(name: str, instrument: str) -> None:
    [span] = find_citations(f"as Article 5(1) of {name} asks")
    assert [str(place) for place in span.citation] == [f"{instrument}:5(1)"]
