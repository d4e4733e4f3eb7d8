"""The matrix for a terminal: one line a flaw, then one line a check; sixty columns of checks would fit no screen.

The two marks of a line are the flaw's and its twin's: ● caught, ○ missed; · quiet, ✕ false alarm; ? undecided, ! broke
off, – not run. Under several seeds a line counts them.
"""

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import click

from audit.selftest.matrix import Matrix, Row
from reports.model import Status
from reports.self_test import CheckPower, NotTried
from reports.wording import counted

LEGEND = "● caught  ○ missed  · quiet  ✕ false alarm  ? undecided  ! broke off  – not run"
_SHOWN = 3
"""How many of the other checks that noticed are named."""
_WIDTH = 100


def matrix_text(matrix: Matrix, power: Sequence[CheckPower], seconds: float) -> str:
    """Return both tables and the summary, styled by click."""
    flaws = _by_flaw(matrix.rows)
    names = [*flaws, *(one.id for one in matrix.left_out)]
    width = max((len(name) for name in names), default=0)
    lines = [click.style(f"{'':<5}{'flaw':<{width}}  caught by", bold=True)]
    several = len(matrix.seeds) > 1
    for name, rows in flaws.items():
        lines.extend(_flaw(name, rows, width, several=several))
    lines.extend(f"– –  {one.id:<{width}}  {click.style(_reason(one), dim=True)}" for one in matrix.left_out)
    lines += [
        click.style(LEGEND, dim=True),
        "",
        *_power(power, name_silent=matrix.is_whole),
        "",
        *_left_out(matrix.left_out),
    ]
    return "\n".join([*lines, summary_line(matrix, seconds)])


def summary_line(matrix: Matrix, seconds: float) -> str:
    """Return the self-test in one line."""
    said = matrix.summary
    seeds = matrix.seeds
    under = f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {seeds[0]} to {seeds[-1]}"
    verdict = click.style("clean", fg="green") if matrix.is_clean else click.style("not clean", fg="red")
    return (
        f"{verdict}: {said.detected} of {counted(said.flaws, 'planted flaw')} detected, "
        f"{counted(said.false_alarms, 'false alarm')}, {said.undecided} undecided, {counted(said.errors, 'error')}; "
        f"effort {matrix.effort}, {under}, {seconds:.0f} s"
    )


def _by_flaw(rows: Iterable[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda one: (one.flaw, one.seed)):
        found.setdefault(row.flaw, []).append(row)
    return found


def _flaw(name: str, rows: Sequence[Row], width: int, *, several: bool) -> Iterator[str]:
    first, n = rows[0], len(rows)
    hits = Counter(check for row in rows for check in row.caught)
    told = [
        f"{_mark_of_check(hits[check], n)} {check}{f' {hits[check]}/{n}' if several else ''}"
        for check in first.caught_by
    ]
    other = Counter(check for row in rows for check in row.also)
    also = f"  also {_few(other, n, several=several)}" if other else ""
    seconds = f"  {sum(row.seconds for row in rows) / n:.1f} s"
    yield f"{_marks(rows)}  {name:<{width}}  {', '.join(told)}{click.style(also + seconds, dim=True)}"
    for checks, words, colour in (
        (Counter(check for row in rows for check in row.alarms), "the sound twin is accused by", "red"),
        (
            Counter(check for row in rows for check in row.undecided),
            "on the sound twin nothing is decided by",
            "yellow",
        ),
        (Counter(error for row in rows for error in row.errors), "error:", "magenta"),
    ):
        if checks:
            yield click.style(f"     {'':<{width}}  {words} {_few(checks, n, several=several, shown=99)}", fg=colour)
    if (missed := n - sum(row.detected for row in rows)) and not any(row.errors for row in rows):
        said = _few(
            Counter(f"{c} {_answer(row, c)}" for row in rows for c in row.caught_by if not row.detected),
            missed,
            several=True,
        )
        again = f" under {counted(missed, 'seed')}" if several else ""
        yield click.style(f"     {'':<{width}}  missed{again}: it said {said}", fg="red")


def _answer(row: Row, check: str) -> str:
    """Return what a check said of a flaw that was missed; an answer that would do is no use if the twin has it too."""
    said = row.flawed.get(check, Status.SKIPPED)
    return f"{said} of both" if said is row.expects else str(said)


def _marks(rows: Sequence[Row]) -> str:
    """Return the flaw's mark and the twin's; of several seeds the worse."""
    if any(row.errors for row in rows):
        return click.style("! !", fg="magenta")
    found = all(row.detected for row in rows)
    accused, open_ = any(row.alarms for row in rows), any(row.undecided for row in rows)
    flaw = click.style("●", fg="green") if found else click.style("○", fg="red")
    twin = click.style("✕", fg="red") if accused else click.style("?", fg="yellow") if open_ else "·"
    return f"{flaw} {twin}"


def _mark_of_check(hits: int, n: int) -> str:
    return "●" if hits == n else "○"


def _few(counts: Counter[str], n: int, *, several: bool, shown: int = _SHOWN) -> str:
    named = [f"{name} {hits}/{n}" if several and n > 1 else name for name, hits in sorted(counts.items())]
    more = f" and {len(named) - shown} more" if len(named) > shown else ""
    return ", ".join(named[:shown]) + more


def _power(power: Sequence[CheckPower], *, name_silent: bool) -> Iterator[str]:
    """Yield a line for each check that was asked; the silent ones are news only where all flaws were chosen."""
    width = max((len(one.check) for one in power), default=0)
    head = f"{'check':<{width}}  {'flaws':>5}  {'caught':>9}  {'at least':>8}  {'false alarms':>12}  {'at most':>7}"
    yield click.style(head, bold=True)
    for one in power:
        if not (one.trials or one.twins):
            continue
        quiet = (
            f"{f'{one.false_alarms}/{one.twins}':>12}  {one.false_alarms_at_most:>7.1%}"
            if one.twins
            else f"{'–':>12}  {'':>7}"
        )
        if not one.trials:
            yield f"{one.check:<{width}}  {click.style(f'{NO_FLAW:<26}', dim=True)}  {quiet}".rstrip()
            continue
        caught = f"{f'{one.caught}/{one.trials}':>9}  {one.caught_at_least:>8.1%}"
        yield f"{one.check:<{width}}  {len(one.flaws):>5}  {caught}  {quiet}".rstrip()

    silent = [one.check for one in power if not (one.trials or one.twins)]
    if silent and name_silent:
        yield from textwrap.wrap(
            f"no flaw here aims at, and no twin asks: {', '.join(silent)}",
            _WIDTH, subsequent_indent="  ", break_on_hyphens=False,
        )  # fmt: skip


NO_FLAW = "no flaw here aims at it"


def _reason(one: NotTried) -> str:
    kind, _, word = one.reason.partition(":")
    return f"left to {word}" if kind == "effort" else f"needs 'pip install fedaudit[{word}]'"


def _left_out(left_out: Sequence[NotTried]) -> Iterator[str]:
    """Yield a line for each reason, with the flaws that it keeps out."""
    for reason in sorted({one.reason for one in left_out}):
        held = [one for one in left_out if one.reason == reason]
        yield f"{_reason(held[0])}: {', '.join(one.id for one in held)}"
