"""`fedaudit compare`: two reports side by side. It reads two bundles, verifies nothing and decides nothing."""

from collections.abc import Iterator
from pathlib import Path

import click

from audit.cli.answer import Answer, command
from reports.bundle import read_bundle
from reports.compare import Change, Comparison, MeasurementChange, Told, compare
from reports.wording import STATUS_WORD, counted, number, visible

PATH = click.Path(path_type=Path)


@command("compare")
@click.argument("old", type=PATH)
@click.argument("new", type=PATH)
def compare_bundles(old: Path, new: Path) -> Answer:
    """Show what changed between the reports in OLD and NEW: findings, answers, and numbers beyond their intervals.

    Nothing is judged, so the exit code is 0 whatever changed: 'fedaudit gate' decides.
    """
    found = compare(read_bundle(old).report, read_bundle(new).report)
    return Answer(text="\n".join(_lines(found)), fields=found.model_dump(mode="json"))


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
    yield "Not verified here, and not judged."


def _moved(one: MeasurementChange) -> str:
    values = " -> ".join("none" if value is None else number(value) for value in (one.old, one.new))
    meaning = {True: "the intervals overlap", False: "the intervals are apart", None: "no interval to compare"}
    return f"{one.name}: {values} ({meaning[one.overlap]})"


def _name(one: Told | Change) -> str:
    return _line(f"{one.check} [{one.key}]" if one.key else one.check)


def _line(text: str) -> str:
    """Return words of a report so that they can neither hide, reorder, nor begin a line of ours."""
    return visible(" ".join(text.split()))
