"""`fedaudit demo`: train, audit and gate two small federations, and say where to look."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from audit.cli.answer import Answer, Invocation, command
from audit.cli.clock import MOMENT, the_time
from reports.model import Effort, Finding, Status

if TYPE_CHECKING:
    from audit.demo import Tour, Toured
    from audit.run import Progress

COLOURS = {Status.PASS: "green", Status.FAIL: "red", Status.INCONCLUSIVE: "yellow", Status.ERROR: "magenta"}
VERDICT_COLOURS = {"passed": "green", "failed": "red", "incomplete": "yellow"}
HEAD = 38
"""Columns of the longest check id, and a gap."""
WIDTH = 24


@command("demo")
@click.argument("folder", type=click.Path(path_type=Path), default=Path("fedaudit-demo"))
@click.option("--effort", type=click.Choice([str(effort) for effort in Effort]), default="smoke", show_default=True)
@click.option("--now", type=MOMENT, help="The clock of the audits; else SOURCE_DATE_EPOCH, else the clock.")
@click.pass_context
def demo(ctx: click.Context, folder: Path, effort: str, now: datetime | None) -> Answer:
    """Train two federations on real handwritten digits, one careless and one careful; audit, seal and gate both.

    Everything is written to FOLDER, which must not exist. Returns 0 when both ended as they should, else 3.
    """
    from audit.cli.progress import DrawnProgress
    from audit.demo import deviations, run_demo

    invocation = ctx.find_object(Invocation) or Invocation()

    def say(sentence: str) -> None:
        click.echo(sentence, err=True, color=invocation.color)

    @contextmanager
    def drawn(title: str) -> "Iterator[Progress]":
        with DrawnProgress(title, color=invocation.color) as progress:
            yield progress

    tour = run_demo(folder, the_time(now), effort=Effort(effort), say=say, drawn=drawn)
    amiss = deviations(tour)
    return Answer(
        text="\n".join([*side_by_side(tour), *(click.style(sentence, fg="red") for sentence in amiss)]),
        fields=_fields(tour, amiss),
        exit_code=3 if amiss else 0,
        code="demo.deviates" if amiss else "ok",
        message=" ".join(amiss),
        hint="Report this: with these versions the demonstration does not show what it should." if amiss else "",
    )


def verify_command(tour: "Tour", one: "Toured") -> str:
    """Return the command by which anybody checks the seal of one system's report."""
    words = ["fedaudit", "verify", one.bundle, "--trust", tour.trust, "--subject", one.subject]
    return shlex.join(map(str, words))


def gate_command(tour: "Tour", one: "Toured") -> str:
    """Return the command that judges one system's report."""
    words = ["fedaudit", "gate", one.bundle, "--policy", tour.policy, "--trust", tour.trust, "--subject", one.subject]
    return shlex.join(map(str, words))


def side_by_side(tour: "Tour") -> list[str]:
    """Return, line by line, both verdicts beside each other, where to look, and what to type."""
    from audit.demo import gravest

    said = [gravest(one.report.findings) for one in tour.systems]
    lines = ["", _row("", [(one.name, "") for one in tour.systems])]
    verdicts = [(str(one.verdict.result).upper(), VERDICT_COLOURS[one.verdict.result]) for one in tour.systems]
    lines.append(_row("verdict", verdicts))
    checks = sorted({check for findings in said for check in findings})
    lines += [_row(check, [_cell(findings.get(check)) for findings in said]) for check in checks]
    lines.append("")
    lines += [f"look at   {one.page}" for one in tour.systems]
    lines += [f"verify    {verify_command(tour, one)}" for one in tour.systems]
    lines += [f"judge     {gate_command(tour, one)}" for one in tour.systems]
    return lines


def _row(head: str, cells: list[tuple[str, str]]) -> str:
    styled = [click.style(word, fg=colour or None, bold=not head) for word, colour in cells]
    gaps = [" " * (WIDTH - len(word)) for word, _ in cells[:-1]] + [""]
    return f"{head:<{HEAD}}{''.join(word + gap for word, gap in zip(styled, gaps, strict=True))}"


def _cell(finding: Finding | None) -> tuple[str, str]:
    if finding is None:
        return "-", ""
    detail = {Status.FAIL: finding.severity, Status.PASS: finding.strength}.get(finding.status, "")
    return f"{finding.status}{f' ({detail})' if detail else ''}", COLOURS.get(finding.status, "")


def _fields(tour: "Tour", amiss: tuple[str, ...]) -> dict[str, object]:
    from audit.demo import gravest

    return {
        "folder": str(tour.folder),
        "policy": str(tour.policy),
        "trust": str(tour.trust),
        "deviations": list(amiss),
        "systems": {
            one.name: {
                "system": str(one.system / "system.toml"),
                "bundle": str(one.bundle),
                "page": str(one.page),
                "subject": str(one.subject),
                "result": str(one.verdict.result),
                "gate_exit_code": one.verdict.exit_code,
                "findings": {check: str(finding.status) for check, finding in gravest(one.report.findings).items()},
                "verify": verify_command(tour, one),
                "gate": gate_command(tour, one),
            }
            for one in tour.systems
        },
    }
