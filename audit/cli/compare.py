"""`fedaudit compare`: two reports side by side. It reads two bundles, verifies nothing and decides nothing."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from audit.cli.answer import Answer, command
from compliance.progress import Exhausted, RowChange, compare_rows, stalled
from reports.bundle import read_bundle
from reports.compare import Change, Comparison, MeasurementChange, Told, compare
from reports.wording import STATE_WORD, STATUS_WORD, counted, number, visible

PATH = click.Path(path_type=Path)
_CLOSE = "Not verified here, and not judged."


@command("compare")
@click.argument("old", type=PATH)
@click.argument("new", type=PATH)
def compare_bundles(old: Path, new: Path) -> Answer:
    """Show what changed between the reports in OLD and NEW: findings, answers, numbers beyond their intervals, duties.

    A remedy that is proposed again, for a finding that did not move since, is said to be exhausted. Nothing is judged,
    so the exit code is 0 whatever changed: 'fedaudit gate' decides.
    """
    before, after = read_bundle(old).report, read_bundle(new).report
    found = compare(before, after)
    moved = [row for row in compare_rows(before.controls, after.controls) if row.direction != "same"]
    exhausted = stalled(before.findings, after.findings) if found.same_system else ()
    fields = found.model_dump(mode="json") | {
        "duties": [{"control": row.control, "direction": row.direction, **_states(row)} for row in moved],
        "exhausted": [
            {"fingerprint": one.finding.fingerprint, "check": one.finding.check, "key": one.finding.key}
            | {"remedy": one.remedy.model_dump(mode="json"), "proposed": one.proposed}
            for one in exhausted
        ],
    }
    return Answer(text="\n".join([*_lines(found), *_duties(moved), *_exhausted(exhausted), _CLOSE]), fields=fields)


def _states(row: RowChange) -> dict[str, str | None]:
    return {"old": row.before.state if row.before else None, "new": row.after.state if row.after else None}


def _duties(moved: Sequence[RowChange]) -> Iterator[str]:
    for row in moved:
        states = " -> ".join(STATE_WORD[one.state] if one else "no row" for one in (row.before, row.after))
        yield f"  {row.direction:<7} {_line(row.control)}: {states}"


def _exhausted(exhausted: Sequence[Exhausted]) -> Iterator[str]:
    for one in exhausted:
        name = f"{one.finding.check} [{one.finding.key}]" if one.finding.key else one.finding.check
        yield f"exhausted: {_line(name)} did not move, and the same is proposed again: {_line(one.remedy.text)}"


def _lines(found: Comparison) -> Iterator[str]:
    if not found.same_system:
        yield click.style("two systems: the findings are held together by check and key alone", fg="yellow")
    for sign, told, colour in (("+", found.added, "green"), ("-", found.removed, "red")):
        for one in told:
            yield f"{click.style(sign, fg=colour)} {STATUS_WORD[one.status]:<12} {_name(one)}"
    for change in found.changed:
        answer = STATUS_WORD[change.new]
        if change.old is not change.new:
            answer = f"{STATUS_WORD[change.old]} -> {answer}"
        yield f"{click.style('~', fg='yellow')} {answer:<12} {_name(change)}"
        yield from (f"    {_moved(one)}" for one in change.measurements)
    counts = f"{len(found.added)} added, {len(found.removed)} removed, {len(found.changed)} changed"
    yield f"{counts}, {counted(found.unchanged, 'finding')} unchanged"
    if found.provenance.differs:
        yield f"made differently: {_line(', '.join(found.provenance.differs))}"


def _moved(one: MeasurementChange) -> str:
    values = " -> ".join("none" if value is None else number(value) for value in (one.old, one.new))
    meaning = {True: "the intervals overlap", False: "the intervals are apart", None: "no interval to compare"}
    return f"{one.name}: {values} ({meaning[one.overlap]})"


def _name(one: Told | Change) -> str:
    return _line(f"{one.check} [{one.key}]" if one.key else one.check)


def _line(text: str) -> str:
    """Return words of a report so that they can neither hide, reorder, nor begin a line of ours."""
    return visible(" ".join(text.split()))
