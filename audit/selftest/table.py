"""The evidence of a self-test as two Markdown tables: which check caught which flaw, and what each check showed.

python -m audit.selftest.table FILE
"""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from reports.model import Status
from reports.self_test import CheckPower, SelfTest, TriedFlaw, alarms, read_self_test

BEGIN, END = "<!-- selftest:begin -->", "<!-- selftest:end -->"
"""Between these the README holds what is printed here."""
_SHOWN = 3


def tables(said: SelfTest) -> str:
    """Return both tables and the line above them."""
    return "\n".join([_line(said), "", *_matrix(said), "", *_power(said.power)])


def _line(said: SelfTest) -> str:
    found, seeds = said.summary, said.seeds
    under = f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {seeds[0]} to {seeds[-1]}"
    return (
        f"fedaudit {said.fedaudit}, effort {said.effort}, {under}: {found.detected} of {found.flaws} planted flaws "
        f"detected, {found.false_alarms} false alarms, {found.undecided} undecided, {found.errors} errors."
    )


def _matrix(said: SelfTest) -> Iterator[str]:
    yield "| flaw | what is wrong | caught by | caught | false alarms | also noticed |"
    yield "|---|---|---|--:|--:|---|"
    rows: dict[str, str] = {}
    for name in sorted({one.id for one in said.flaws}):
        rows[name] = _row([one for one in said.flaws if one.id == name])
    for left in said.left_out:
        kind, _, word = left.reason.partition(":")
        why = f"left to effort {word}" if kind == "effort" else f"needs `[{word}]`"
        rows[left.id] = f"| `{left.id}` | {_cell(left.title)} | {why} | – | – | |"
    yield from (rows[name] for name in sorted(rows))


def _row(seeds: Sequence[TriedFlaw]) -> str:
    first, n = seeds[0], len(seeds)
    by = ", ".join(f"`{check}`" for check in first.caught_by)
    if first.expects is not Status.FAIL:
        by += f" ({first.expects})"
    caught, accused = sum(one.detected for one in seeds), sum(one.false_alarm for one in seeds)
    also = Counter(check for one in seeds for check in _also(one))
    named = [f"`{check}`" for check, _ in sorted(also.items(), key=lambda entry: (-entry[1], entry[0]))]
    more = f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else ""
    cells = (
        f"`{first.id}`",
        _cell(first.title),
        by,
        f"{caught}/{n}",
        f"{accused}/{n}",
        ", ".join(named[:_SHOWN]) + more,
    )
    return f"| {' | '.join(cells)} |"


def _also(one: TriedFlaw) -> set[str]:
    failing = {check for check, status in one.flaw.items() if status is Status.FAIL}
    return failing - set(one.caught_by) - set(alarms(one.twin))


def _power(power: Sequence[CheckPower]) -> Iterator[str]:
    yield "| check | flaws | caught | at least | false alarms | at most |"
    yield "|---|--:|--:|--:|--:|--:|"
    for one in power:
        quiet = f"{one.false_alarms}/{one.twins} | {one.false_alarms_at_most:.1%}" if one.twins else "– | "
        hits = f"{len(one.flaws)} | {one.caught}/{one.trials} | {one.caught_at_least:.1%}"
        yield f"| `{one.check}` | {hits if one.trials else 'no flaw is planted for it | | '} | {quiet} |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(tables(read_self_test(Path(sys.argv[1])).document) + "\n")
