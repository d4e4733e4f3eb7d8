"""`fedaudit compliance controls`: which duties the law holds on a day, and whether a citation exists."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import click

from audit.cli.answer import Answer, Invocation, command
from audit.cli.clock import DAY, the_time
from compliance.catalogue import ROLES, Catalogue, Control, all_controls, conditions, load_catalogue
from compliance.errors import CatalogueError
from compliance.timeline import STATES, Applicability, applicability
from reports.export_oscal import oscal_token
from reports.version import VERSION

PATH = click.Path(path_type=Path)
NAME = "compliance controls"
_LARGEST_CITE_FILE = 1 << 20


@dataclass(frozen=True)
class _Row:
    """A duty and whether it applies."""

    control: Control
    applies: Applicability

    def as_fields(self) -> dict[str, object]:
        """Return the row as JSON."""
        control, applies = self.control, self.applies
        return {
            "id": control.id,
            "citations": list(control.citations),
            "text": control.text,
            "role": control.role,
            "condition": control.condition,
            "polarity": control.polarity,
            "ceiling": control.ceiling,
            "evidence_kinds": list(control.evidence_kinds),
            "oscal": oscal_token(control.id),
            "applicability": {
                "state": applies.state,
                "from": _text(applies.from_),
                "dates": {key: _text(applies.dates.get(key)) for key in ("annex_iii", "annex_i")},
                "reason": applies.reason,
            },
        }


@command("controls")
@click.option("--on", "on", type=DAY, help="The day that is asked about; else that of the clock, in UTC.")
@click.option("--law-version", help="Version of the AI Act; else the newest in force on that day.")
@click.option("--role", "roles", multiple=True, type=click.Choice(ROLES), help="Whose duties; none leaves none out.")
@click.option("--condition", "words", multiple=True, help="A word that holds of the system; no-WORD denies it.")
@click.option("--annex", type=click.Choice(["III", "I"]), help="Which annex makes the system high-risk.")
@click.option("--placed-on-market", type=DAY, help="Day of placing on the market.")
@click.option("--state", type=click.Choice(STATES), help="Only duties in this state.")
@click.option("--match", "globs", multiple=True, help="Only duties whose ids match, such as 'EU-AIA:15*'.")
@click.option("--all", "every", is_flag=True, help="Duties of the other versions of the law as well.")
@click.option("--cite", "cited", multiple=True, help="Check a citation, such as 'Art. 15(5)'.")
@click.option("--cite-file", type=PATH, help="Check the citations of a text file, one a line.")
@click.option("--format", "form", type=click.Choice(["table", "json", "oscal"]), default="table", show_default=True)
@click.option("-o", "--output", type=PATH, help="Write to this file instead of stdout.")
@click.pass_context
def controls(ctx: click.Context, /, **asked: Any) -> Answer:
    """List the duties of the AI Act and the GDPR on a day, for whom they hold, and the paragraphs that have none.

    With --cite or --cite-file, say of each citation whether it exists, where a deleted one went, and which duties it
    holds. Exit 0 whatever the answer.
    """
    on: date = asked["on"] or the_time(None).astimezone(UTC).date()
    catalogue = load_catalogue(asked["law_version"], on)
    citations = _citations_asked(asked["cited"], asked["cite_file"])
    if citations is not None:
        if asked["form"] == "oscal":
            raise click.UsageError("--format oscal is the catalogue: it takes neither --cite nor --cite-file")
        entries = [entry for text in citations for entry in _cited(text, catalogue)]
        fields: dict[str, object] = {**_common(catalogue, on), "citations": entries}
        return _delivered(ctx, Answer(text=_citation_lines(entries), fields=fields), asked)
    rows = _rows(catalogue, on, asked)
    fields = {
        **_common(catalogue, on),
        "controls": [row.as_fields() for row in rows],
        "counts": {"total": len(rows), **_counts(rows)},
        "uncovered": list(catalogue.uncovered()),
    }
    return _delivered(ctx, Answer(text=_table(rows, catalogue, on), fields=fields), asked, catalogue)


def _common(catalogue: Catalogue, on: date) -> dict[str, object]:
    return {"law_version": catalogue.version, "on": str(on), "output": None}


def _rows(catalogue: Catalogue, on: date, asked: Mapping[str, Any]) -> list[_Row]:
    """Return the duties that were asked for, with their applicability.

    Raises:
        CatalogueError: no duty matches a glob.
    """
    known = all_controls() if asked["every"] else catalogue.controls
    for glob in asked["globs"]:
        if not any(fnmatchcase(control.id, glob) for control in known):
            catalogue.select([glob])  # raises, with the nearest id
    given = {
        "timeline": catalogue.timeline,
        "law_version": catalogue.version,
        "annex": asked["annex"],
        "placed_on_market": asked["placed_on_market"],
        "roles": asked["roles"] or None,
        "conditions": _conditions(asked["words"]),
    }
    rows = [
        _Row(control, applicability(control, on, **given))
        for control in known
        if not asked["globs"] or any(fnmatchcase(control.id, glob) for glob in asked["globs"])
    ]
    return [row for row in rows if asked["state"] in (None, row.applies.state)]


def _conditions(words: Sequence[str]) -> tuple[str, ...]:
    known = conditions()
    for word in words:
        if word.removeprefix("no-") not in known:
            raise click.UsageError(f"--condition: {word!r} is none of {', '.join(known)}, or one of them after 'no-'")
    return tuple(words)


def _counts(rows: Sequence[_Row]) -> dict[str, int]:
    counted = Counter(row.applies.state for row in rows)
    return {state: counted[state] for state in STATES if counted[state]}


def _citations_asked(cited: Sequence[str], cite_file: Path | None) -> tuple[str, ...] | None:
    """Return the citations to check, None where the catalogue is asked for.

    Raises:
        CatalogueError: the file of citations cannot be read.
    """
    if cite_file is None:
        return tuple(cited) or None
    try:
        if not cite_file.is_file():  # before opening: a FIFO would block for ever
            raise CatalogueError("catalogue.cite_file", f"{cite_file}: there is no such file", "Check the path.")
        with cite_file.open("rb") as file:
            data = file.read(_LARGEST_CITE_FILE + 1)
    except OSError as cause:
        problem = f"{cite_file}: cannot be read ({cause.strerror})"
        raise CatalogueError("catalogue.cite_file", problem, "Check the rights.") from cause
    if len(data) > _LARGEST_CITE_FILE:
        raise CatalogueError("catalogue.cite_file", f"{cite_file}: is larger than 1 MiB", "Split it.")
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as cause:
        problem = f"{cite_file}: is not UTF-8 (byte {cause.start})"
        raise CatalogueError("catalogue.cite_file", problem, "Save it as UTF-8.") from cause
    return (*cited, *(line.strip() for line in lines if line.strip()))


def _cited(text: str, catalogue: Catalogue) -> list[dict[str, object]]:
    """Return one entry for a citation, one for each member of a range."""
    entries: list[dict[str, object]] = []
    for status in catalogue.check(text):
        canonical = None if status.citation is None else str(status.citation)
        held = () if canonical is None or not status.stands else catalogue.resolve(canonical)
        message = status.message
        if status.citation is not None and status.stands and not held:
            around = len(catalogue.resolve(str(status.citation.whole)))
            message += f" The catalogue holds no duty there, and {around} in all of {status.citation.whole}."
        entries.append(
            {
                "input": text,
                "canonical": canonical,
                "status": status.status,
                "on": _text(status.on),
                "successor": status.successor,
                "controls": [control.id for control in held],
                "message": message,
            }
        )
    return entries


def _delivered(
    ctx: click.Context, answer: Answer, asked: Mapping[str, Any], catalogue: Catalogue | None = None
) -> Answer:
    """Return the answer in the form that was asked for, written to a file where one was named."""
    form, output = asked["form"], asked["output"]
    invocation = ctx.find_object(Invocation)
    wants_json = invocation is not None and invocation.json
    data: bytes | None = None
    if form == "oscal" and catalogue is not None:
        import json

        from compliance.oscal import catalog

        data = (json.dumps(catalog(catalogue), ensure_ascii=False, indent=2) + "\n").encode()
    elif form == "json" or (wants_json and output is not None):
        data = (answer.document(NAME, VERSION) + "\n").encode()
    if output is None:
        if form == "oscal" and wants_json:
            raise click.UsageError("--json and --format oscal both want stdout; write to a file with -o")
        return answer if data is None else Answer(data=data, fields=answer.fields)
    from audit.cli.written import write_whole

    written = (click.unstyle(answer.text) + "\n").encode() if data is None else data
    write_whole(output, written)
    return Answer(text=f"wrote {output} ({len(written):,} bytes)", fields={**answer.fields, "output": str(output)})


def _table(rows: Sequence[_Row], catalogue: Catalogue, on: date) -> str:
    """Return the duties for people: those that nobody has to look at now are only counted."""
    counts = ", ".join(f"{number} {_words(state)}" for state, number in _counts(rows).items())
    lines = [f"{click.style(f'{len(rows)} duties', bold=True)}, AI Act version {catalogue.version}, on {on}: {counts}"]
    silent = {"not_addressed", "not_in_version"} if len({row.applies.state for row in rows}) > 1 else set()
    for row in rows:
        if row.applies.state in silent:
            continue
        since = f" from {row.applies.from_}" if row.applies.from_ else ""
        where = f"{row.control.role}, evidence at most {row.control.ceiling}"
        lines.append(f"{click.style(row.control.id, bold=True)}: {_words(row.applies.state)}{since} ({where})")
        lines.append(f"    {row.control.text}")
    if len(rows) >= len(catalogue.controls):  # beside a few duties, what the others leave out says little
        lines.append(f"Paragraphs beside them without a duty here: {', '.join(_topmost(catalogue.uncovered()))}")
    lines.append("Told in our own words; the law is published at http://data.europa.eu/eli/reg/2024/1689/oj")
    return "\n".join(lines)


def _topmost(places: Sequence[str]) -> list[str]:
    """Return the places that lie in no other of them."""
    return [place for place in places if not any(place.startswith(f"{other}(") for other in places)]


def _citation_lines(entries: Sequence[Mapping[str, Any]]) -> str:
    lines: list[str] = []
    for entry in entries:
        color = "green" if entry["status"] in ("ok", "unchecked") else "red"
        lines.append(f"{click.style(entry['status'], fg=color, bold=True)}: {entry['input']}")
        lines.append(f"    {entry['message']}")
        if entry["controls"]:
            lines.append(f"    duties: {', '.join(entry['controls'])}")
    return "\n".join(lines)


def _words(state: str) -> str:
    return state.replace("_", " ")


def _text(day: date | None) -> str | None:
    return None if day is None else str(day)
