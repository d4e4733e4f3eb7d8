"""The catalogue of duties: what the law asks, in our own words, of whom, and what evidence can say about it.

A duty is one entry in `compliance/law/controls.json`. A catalogue holds those of one version of the AI Act, and of the
GDPR those that belong to every version; it finds the duties behind a citation and lists the paragraphs that have none.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import date
from fnmatch import fnmatchcase
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from compliance.citation import Citation, CitationStatus, Structure, check_citation, parse_citation, places, versions_of
from compliance.errors import CatalogueError, CitationError
from compliance.law_files import CONTROLS, STRUCTURE, TIMELINE, law_file
from compliance.timeline import Applicability, applicability

if TYPE_CHECKING:
    from reports.model import System

Ceiling: TypeAlias = Literal["direct", "partial", "document", "attestation"]
AI_ACT = "EU-AIA"
ROLES = ("provider", "deployer", "importer", "distributor", "gpai-provider", "controller", "processor")
"""Whom a duty can fall on, as system.toml names them."""


@dataclass(frozen=True)
class Control:
    """One duty of the law."""

    id: str
    """Canonical citation, with an aspect or a range where one place holds several duties or several places one."""
    instrument: str
    """`EU-AIA` or `GDPR`."""
    citations: tuple[str, ...]
    """Every place it stands in, canonical."""
    aspect: str | None
    """Tells the duties of one paragraph apart."""
    subparagraph: int | None
    """Where in the paragraph it stands, 1 the first."""
    text: str
    """The duty in our own words."""
    role: str
    """Who must act."""
    rule: str
    """Which dates decide, by the key of timeline.json."""
    condition: str | None
    """The word without which it does not hold, or for a permission is not used."""
    law_versions: tuple[str, ...]
    """Versions of its instrument that hold it."""
    repealed_on: date | None
    """Day of its repeal."""
    replaced_by: str | None
    """Control that took its place."""
    evidence_kinds: tuple[str, ...]
    """What can be evidence for it."""
    polarity: Literal["result", "activity"]
    """Whether a failed test counts against it, or is itself the activity that is owed."""
    ceiling: Ceiling
    """The most that evidence of these kinds can show."""

    @property
    def document_kind(self) -> bool:
        """Whether documents can be evidence for it."""
        return "document" in self.evidence_kinds

    @cached_property
    def cited(self) -> tuple[Citation, ...]:
        """The places it stands in, read."""
        return tuple(place for text in self.citations for place in parse_citation(text))


@dataclass(frozen=True)
class Catalogue:
    """The duties of one version of the law."""

    version: str
    """Of the AI Act, such as `2026-07-27`."""
    controls: tuple[Control, ...]
    """Of this version, in the order of the law."""
    structure: Structure
    """The numbering of all versions."""
    timeline: Mapping[str, Any]
    """The days of application."""

    @cached_property
    def _by_id(self) -> dict[str, Control]:
        return {control.id: control for control in self.controls}

    def get(self, id: str) -> Control:  # noqa: A002  the noun of the design
        """Return one control.

        Raises:
            CatalogueError: `catalogue.control`, there is none of that id in this version.
        """
        if id not in self._by_id:
            mend = _mend(id, self._by_id)
            raise CatalogueError("catalogue.control", f"there is no control {id!r} in the version {self.version}", mend)
        return self._by_id[id]

    def resolve(self, text: str) -> tuple[Control, ...]:
        """Return the controls behind a citation, in the catalogue's order; `get` returns the one of an id.

        Those at the cited place or below it; where there are none, those nearest above. An aspect leaves one of several
        at a place. A place that does not stand in this version has none.

        Raises:
            CitationError: the text is no citation.
        """
        found = {c.id for place in parse_citation(text) if self._checked(place).stands for c in self._at(place)}
        return tuple(control for control in self.controls if control.id in found)

    def check(self, text: str) -> tuple[CitationStatus, ...]:
        """Return what became of a citation, one status for each member of a range; never raises."""
        try:
            return tuple(self._checked(place) for place in parse_citation(text))
        except CitationError as error:
            return (CitationStatus("unparsable", None, None, f"{error.message}.", None),)

    def select(self, globs: Iterable[str]) -> tuple[Control, ...]:
        """Return the controls whose ids match any of the globs, each once, in the catalogue's order.

        Raises:
            CatalogueError: `catalogue.control`, a glob matches none.
        """
        asked = tuple(globs)
        for glob in asked:
            if glob not in self._by_id and not any(fnmatchcase(control.id, glob) for control in self.controls):
                raise CatalogueError(
                    "catalogue.control",
                    f"no control of the version {self.version} matches {glob!r}",
                    _mend(glob, self._by_id),
                )
        return tuple(c for c in self.controls if any(c.id == glob or fnmatchcase(c.id, glob) for glob in asked))

    def uncovered(self) -> tuple[str, ...]:
        """Return the places that no control cites, lies above or lies below, in the articles and annexes it touches."""
        cited = [place for control in self.controls for place in control.cited]
        touched = {(place.instrument, place.path[0]) for place in cited}
        covered = {(place.instrument, place.path[:n]) for place in cited for n in range(len(place.path) + 1)}
        known = set(cited)
        return tuple(
            str(place)
            for instrument in dict.fromkeys(control.instrument for control in self.controls)
            for place in places(self.structure, instrument, self._version_of(instrument))
            if (instrument, place.path[0]) in touched
            and (instrument, place.path) not in covered
            and not any(Citation(instrument, place.path[:n]) in known for n in range(1, len(place.path) + 1))
        )

    def _version_of(self, instrument: str) -> str:
        versions = versions_of(self.structure, instrument)
        return self.version if self.version in versions else versions[-1]

    def _at(self, place: Citation) -> tuple[Control, ...]:
        """Return the controls at a place or below it, else those nearest above."""
        within = [c for c in self.controls if any(cited.lies_within(place) for cited in c.cited)]
        for length in range(len(place.path) - 1, 0, -1):
            if within:
                break
            above = Citation(place.instrument, place.path[:length])
            within = [c for c in self.controls if above in c.cited]
        if place.aspect:
            return tuple(control for control in within if control.aspect == place.aspect)
        if place.subparagraph and any(control.subparagraph == place.subparagraph for control in within):
            return tuple(control for control in within if control.subparagraph == place.subparagraph)
        return tuple(within)

    def _checked(self, place: Citation) -> CitationStatus:
        """Return the status of a place; its aspect has to be one of the catalogue's."""
        status = check_citation(place, self.structure, self.version)
        if not status.stands or not place.aspect or self._at(place):
            return status
        if (gone := next((c for c in all_controls() if c.id == str(place) and c.repealed_on), None)) is not None:
            message = f"{place} was repealed on {gone.repealed_on}; see {gone.replaced_by}."
            return CitationStatus("deleted", gone.repealed_on, gone.replaced_by, message, place)
        known = sorted({c.aspect for c in self.controls if c.aspect and Citation(c.instrument, place.path) in c.cited})
        message = f"{place}: no such aspect; the catalogue names {', '.join(known) or 'none there'}."
        return CitationStatus("no_such_point", None, None, message, place)


@cache
def all_controls() -> tuple[Control, ...]:
    """Return every control of every version of the law."""
    return tuple(_control(entry) for entry in law_file(CONTROLS)["controls"])


def law_versions() -> tuple[str, ...]:
    """Return the versions of the AI Act, oldest first."""
    return versions_of(law_file(STRUCTURE), AI_ACT)


def conditions() -> tuple[str, ...]:
    """Return the words that a duty can hang on, sorted."""
    return tuple(sorted({control.condition for control in all_controls() if control.condition}))


def load_catalogue(law_version: str | None = None, on: date | None = None) -> Catalogue:
    """Return the catalogue of one version of the law.

    Args:
        law_version: Of the AI Act; None for the newest that is in force.
        on: The day that decides what is in force; None for the newest of all.

    Raises:
        CatalogueError: `catalogue.law_version`, there is no such version.
    """
    structure, known = law_file(STRUCTURE), law_versions()
    if law_version is None:
        table = structure["instruments"][AI_ACT]["versions"]
        in_force = [name for name in known if on is None or date.fromisoformat(table[name]["in_force"]) <= on]
        law_version = in_force[-1] if in_force else known[0]
    elif law_version not in known:
        raise CatalogueError(
            "catalogue.law_version",
            f"there is no version {law_version!r} of the AI Act here",
            f"Choose one of {', '.join(known)}.",
        )
    return Catalogue(law_version, _in_version(law_version), structure, law_file(TIMELINE))


def applicability_of(control: Control, on: date, catalogue: Catalogue, system: "System | None") -> Applicability:
    """Return whether a duty applies on a day to a system as it is declared; None for no system in particular.

    An area of Annex III makes the annex known. No field of a system says that it falls under Annex I.
    """
    if system is None:
        return applicability(control, on, timeline=catalogue.timeline, law_version=catalogue.version)
    return applicability(
        control,
        on,
        timeline=catalogue.timeline,
        law_version=catalogue.version,
        annex="III" if system.annex_iii_area else None,
        placed_on_market=system.placed_on_market,
        roles=system.roles,
        conditions=system.conditions,
        risk_class=system.risk_class,
    )


@cache
def _in_version(version: str) -> tuple[Control, ...]:
    return tuple(c for c in all_controls() if c.instrument != AI_ACT or version in c.law_versions)


def _control(entry: Mapping[str, Any]) -> Control:
    given = {one.name: entry[one.name] for one in fields(Control)}
    repealed = given["repealed_on"]
    lists = {name: tuple(given[name]) for name in ("citations", "law_versions", "evidence_kinds")}
    return Control(**{**given, **lists, "repealed_on": repealed and date.fromisoformat(repealed)})


def _mend(wanted: str, known: Collection[str]) -> str:
    import difflib  # only where something is wrong

    near = difflib.get_close_matches(wanted, known, n=1)
    return f"Did you mean {near[0]!r}?" if near else "List them with 'fedaudit compliance controls'."
