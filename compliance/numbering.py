"""Does a cited place exist? The numbering of every version of the law, walked.

Pure: the table is handed in (`compliance/law/law_structure.json`: numbers only, no text). `null` in it says that a
level exists but its numbers are not tabulated; what lies below is answered `unchecked`, never invented.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date
from typing import Any, Literal, TypeAlias

from compliance.cited import Citation, CitationStatus

Structure: TypeAlias = Mapping[str, Any]
"""The numbering table, `fedaudit.law-structure/1`."""
_Missing: TypeAlias = Literal["no_such_article", "no_such_annex", "no_such_paragraph", "no_such_point"]
_LEVEL: Mapping[_Missing, str] = {
    "no_such_article": "no such article",
    "no_such_annex": "no such annex",
    "no_such_paragraph": "no such paragraph",
    "no_such_point": "no such point",
}


def versions_of(structure: Structure, instrument: str) -> tuple[str, ...]:
    """Return the versions of an instrument, oldest first; none where it is not tabulated."""
    versions = structure["instruments"].get(instrument, {}).get("versions", {})
    return tuple(sorted(versions, key=lambda name: versions[name]["in_force"]))


def check_citation(citation: Citation, structure: Structure, version: str) -> CitationStatus:
    """Say whether a cited place exists in one version of the law, and what became of it if not.

    Args:
        citation: The place; its aspect is not looked at.
        structure: The numbering table.
        version: Of the AI Act; an instrument without that version is read in its newest.
    """
    versions = versions_of(structure, citation.instrument)
    if not versions:
        return CitationStatus(
            "unparsable", None, None, f"{citation.instrument} is not in the numbering table", citation
        )
    here = version if version in versions else versions[-1]
    found = _found(citation, structure, here)
    if found == "ok":
        return CitationStatus("ok", None, None, f"{citation} exists in the version {here}.", citation)
    if found == "unchecked":
        return CitationStatus(
            "unchecked", None, None, f"{citation.whole} exists; the numbers below it are not tabulated.", citation
        )
    position = versions.index(here)
    for earlier in reversed(range(position)):
        if _stands(citation, structure, versions[earlier]):
            return _deleted(citation, structure, _in_force(structure, citation, versions[earlier + 1]))
    for later in versions[position + 1 :]:
        if _stands(citation, structure, later):
            on = _in_force(structure, citation, later)
            message = f"{citation} is not in the version {here}; it is inserted on {on}."
            return CitationStatus("not_yet_inserted", on, None, message, citation)
    return CitationStatus(found, None, None, f"{citation}: {_LEVEL[found]} in the version {here}.", citation)


def places(structure: Structure, instrument: str, version: str) -> Iterator[Citation]:
    """Yield every tabulated place of one version: articles and annexes, with all that lies below them."""
    table = structure["instruments"][instrument]["versions"][version]
    for number, below in table["articles"].items():
        yield from _below(Citation(instrument, (number,)), below)
    for number, annex in table["annexes"].items():
        whole = Citation(instrument, (f"annex-{number}",))
        yield whole
        for section, points in annex.get("sections", {}).items():
            yield from _below(replace(whole, path=(*whole.path, f".{section}")), points)
        for point, deeper in (annex.get("points") or {}).items():
            yield from _below(replace(whole, path=(*whole.path, point)), deeper)


def _below(place: Citation, tree: Mapping[str, Any] | None) -> Iterator[Citation]:
    yield place
    for part, deeper in (tree or {}).items():
        yield from _below(replace(place, path=(*place.path, part)), deeper)


def _stands(citation: Citation, structure: Structure, version: str) -> bool:
    return _found(citation, structure, version) in ("ok", "unchecked")


def _found(citation: Citation, structure: Structure, version: str) -> _Missing | Literal["ok", "unchecked"]:
    table = structure["instruments"][citation.instrument]["versions"][version]
    head, *rest = citation.path
    if head.startswith("annex-"):
        annex = table["annexes"].get(head.removeprefix("annex-"))
        if annex is None:
            return "no_such_annex"
        found = _in_annex(annex, rest)
    elif head not in table["articles"]:
        return "no_such_article"
    else:
        found = _walked(table["articles"][head], rest)
    if found != "ok" or not citation.subparagraph:
        return found
    known = table.get("subparagraphs", {}).get(str(Citation("", citation.path)).removeprefix(":"))
    if known is None:
        return "unchecked"
    return "ok" if citation.subparagraph <= known else "no_such_point"


def _in_annex(annex: Mapping[str, Any], rest: list[str]) -> _Missing | Literal["ok", "unchecked"]:
    if not rest:
        return "ok"
    if rest[0].startswith("."):
        sections = annex.get("sections", {})
        section = rest[0].removeprefix(".")
        return _walked(sections[section], rest[1:]) if section in sections else "no_such_point"
    found = _walked(annex.get("points", {}), rest)
    return "no_such_point" if found == "no_such_paragraph" else found


def _walked(tree: Mapping[str, Any] | None, rest: list[str]) -> _Missing | Literal["ok", "unchecked"]:
    for depth, part in enumerate(rest):
        if tree is None:
            return "unchecked"
        if part not in tree:
            return "no_such_paragraph" if depth == 0 and part[:1].isdigit() else "no_such_point"
        tree = tree[part]
    return "ok"


def _deleted(citation: Citation, structure: Structure, on: date) -> CitationStatus:
    successor = next((move["to"] for move in structure["moved"] if _moved_with(citation, move["from"])), None)
    where = f"; see {successor}" if successor else ""
    return CitationStatus("deleted", on, successor, f"{citation} was deleted on {on}{where}.", citation)


def _moved_with(citation: Citation, origin: str) -> bool:
    """Tell whether the cited place is `origin` or a part of it, both in canonical form."""
    place = str(Citation(citation.instrument, citation.path))
    return place == origin or place.startswith(f"{origin}(")


def _in_force(structure: Structure, citation: Citation, version: str) -> date:
    return date.fromisoformat(structure["instruments"][citation.instrument]["versions"][version]["in_force"])
