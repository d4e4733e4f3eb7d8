"""`fedaudit selftest`: the auditor audited, by flaws that were planted and by their sound twins."""

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audit.cli.answer import Answer, Invocation, command
from audit.cli.clock import MOMENT, the_time
from reports.errors import FedauditError
from reports.model import Effort

if TYPE_CHECKING:
    from audit.selftest.kept import KeptCases
    from audit.selftest.matrix import Matrix, Row
    from audit.selftest.series import Series

PATH = click.Path(path_type=Path)
SEED = 2026
"""The seed that is shipped."""
_LARGEST_SEED = 2**53 - 1


@command("selftest")
@click.option("--only", multiple=True, metavar="GLOB", help="Plant only these flaws; may be repeated.")
@click.option("--effort", type=click.Choice([str(effort) for effort in Effort]), default="smoke", show_default=True)
@click.option("--seed", type=click.IntRange(0, _LARGEST_SEED), default=SEED, show_default=True, help="Root seed.")
@click.option("--seeds", type=click.IntRange(1, 10_000), default=1, show_default=True, help="How many, from --seed on.")
@click.option(
    "--executor",
    type=click.Choice(["serial", "process", "ray"]),
    default="process",
    show_default=True,
    help="Where cases run, each a whole audit; the answers are the same.",
)
@click.option("--list", "is_list", is_flag=True, help="List the flaws and plant none.")
@click.option("--export", type=PATH, metavar="DIR", help="Write the cases as folders and audit none.")
@click.option("--cases", type=PATH, metavar="DIR", help="Audit the folders with an expected.json in DIR instead.")
@click.option("-o", "--output", type=PATH, help="Write the evidence here; 'fedaudit run --selftest' cites it.")
@click.option("--resume", is_flag=True, help="Go on with the self-test of this -o FILE that was stopped.")
@click.option("--now", type=MOMENT, help="The clock of the audits; else SOURCE_DATE_EPOCH, else the clock.")
@click.pass_context
def selftest(ctx: click.Context, /, **given: Any) -> Answer:
    """Plant known flaws, each beside a sound twin, audit both, and show which check caught which flaw.

    Returns 0 when every flaw was detected and no twin accused, 1 otherwise, 3 when a case could not be played to the
    end. On two processors smoke takes minutes and standard some more; full takes hours.
    """
    invocation = ctx.find_object(Invocation) or Invocation()
    _refuse(given)
    if given["is_list"]:
        return _listed(given["only"])
    if given["cases"] is not None:
        from audit.cli.selftest_cases import cases_answer

        return cases_answer(given["cases"], the_time(given["now"]), given, invocation)
    if (output := given["output"]) is not None and output.is_dir():
        raise FedauditError("io.write", f"{output}: is a folder", "Name a file.")  # before there is work to lose
    planned = _planned(given)
    if given["export"] is not None:
        from audit.cli.selftest_cases import export_answer

        return export_answer(planned, given["export"])
    begun = time.perf_counter()
    if output is None:
        matrix = _played(planned, given, invocation)
        return _answer(matrix, planned, time.perf_counter() - begun, given)
    from audit.cli.stoppable import stoppable
    from audit.selftest.kept import KeptCases

    if not output.parent.is_dir():
        raise FedauditError("io.no_folder", f"{output}: there is no folder {output.parent}", "Make it first.")
    with stoppable(output), KeptCases(output, resume=given["resume"]) as kept:
        if given["now"] is None and kept.now is not None:
            planned = replace(planned, now=kept.now)  # nobody chose the clock: it stays what it was
        matrix = _played(planned, given, invocation, kept)
        answer = _answer(matrix, planned, time.perf_counter() - begun, given)
        kept.discard()
    return answer


def _refuse(given: Mapping[str, Any]) -> None:
    """Raise where options contradict one another."""
    instead = [name for name in ("is_list", "export", "cases") if given[name]]
    others = [name for name in ("output", "resume") if given[name]] if instead else []
    if len(instead) + len(others) > 1:
        named = [{"is_list": "--list", "output": "-o"}.get(name, f"--{name}") for name in (*instead, *others)]
        raise click.UsageError(f"{named[0]} and {named[1]} do not go together")
    if given["cases"] is not None and given["seeds"] > 1:
        raise click.UsageError("--seeds counts seeds that cases are built with, and those of --cases are there already")
    if given["export"] is not None and given["seeds"] > 1:
        raise click.UsageError("--seeds repeats the self-test, and --export writes each system once")
    if given["resume"] and given["output"] is None:
        raise click.UsageError("--resume needs -o FILE: what was finished is kept beside it")


def _planned(given: Mapping[str, Any]) -> "Series":
    """Return what the command line asks to plant.

    Raises:
        FlawError: `flaw.none`, it is nothing: a self-test of no flaw shows nothing.
    """
    from audit.selftest.flaw import FlawError
    from audit.selftest.series import series

    seeds = range(given["seed"], given["seed"] + given["seeds"])
    if seeds[-1] > _LARGEST_SEED:
        raise click.UsageError(f"--seeds: the last one would be {seeds[-1]}, and the largest is {_LARGEST_SEED}")
    planned = series(only=given["only"], seeds=seeds, effort=Effort(given["effort"]), now=the_time(given["now"]))
    if not planned.flaws:
        kind, _, word = planned.left_out[0].reason.partition(":")
        told = f"no flaw can be planted: {planned.left_out[0].id} needs {kind} {word}"
        mend = f"Say --effort {word}." if kind == "effort" else f"pip install fedaudit[{word}]"
        raise FlawError("flaw.none", told, mend)
    return planned


def _listed(only: tuple[str, ...]) -> Answer:
    from audit.selftest.zoo import chosen

    flaws = chosen(only)
    rows = [
        {
            "id": flaw.id, "title": flaw.title, "caught_by": list(flaw.caught_by), "expects": str(flaw.expects),
            "least": str(flaw.least), "extra": flaw.extra,
        }
        for flaw in flaws
    ]  # fmt: skip
    lines = []
    for flaw in flaws:
        lines.append(f"{click.style(flaw.id, bold=True)}: {flaw.title}")
        at = "" if flaw.least is Effort.SMOKE else f"; from effort {flaw.least} on"
        lines.append(
            f"    {flaw.expects}: {' or '.join(flaw.caught_by)}{at}{f'; extra {flaw.extra}' if flaw.extra else ''}"
        )
    return Answer(text="\n".join(lines), fields={"flaws": rows})


def _played(
    planned: "Series", given: Mapping[str, Any], invocation: Invocation, kept: "KeptCases | None" = None
) -> "Matrix":
    """Play every case that is not kept, drawn on stderr."""
    from audit.cli.selftest_progress import CasesDrawn
    from audit.executors import named_executor
    from audit.selftest.play import Observed
    from audit.selftest.series import run_selftest

    finished = () if kept is None else kept.bind(planned)
    with CasesDrawn(len(planned.cases), color=invocation.color) as drawn:

        def tell(one: Observed, done: int, total: int) -> None:
            if kept is not None:
                kept.keep(one)
            drawn.played(f"{one.case.flaw} ({'flaw' if one.case.planted else 'twin'})", one.seconds, done, total)

        return run_selftest(planned, executor=named_executor(given["executor"]), finished=finished, played=tell)


def _answer(matrix: "Matrix", planned: "Series", seconds: float, given: Mapping[str, Any]) -> Answer:
    from audit.cli.selftest_text import matrix_text
    from audit.cli.written import write_whole
    from audit.selftest.evidence import evidence_of
    from reports.self_test import canonical_self_test

    evidence = evidence_of(matrix, planned.now.date())
    if (output := given["output"]) is not None:
        write_whole(output, canonical_self_test(evidence))
    fields = {
        "seed": given["seed"],
        "effort": given["effort"],
        "flaws": [_row(row) for row in matrix.rows],
        "left_out": [one.model_dump(mode="json") for one in matrix.left_out],
        "power": [one.model_dump(mode="json") for one in evidence.power],
        "summary": {**matrix.summary.model_dump(mode="json"), "seconds": round(seconds, 3)},
        "output": None if output is None else str(output),
    }
    return Answer(matrix_text(matrix, evidence.power, seconds), fields, *_verdict(matrix))


def _row(row: "Row") -> dict[str, object]:
    return {
        "id": row.flaw,
        "title": row.title,
        "caught_by": list(row.caught_by),
        "seed": row.seed,
        "flaw": {check: str(row.flawed[check]) for check in sorted(row.flawed)},
        "twin": {check: str(row.twin[check]) for check in sorted(row.twin)},
        "detected": row.detected,
        "false_alarm": bool(row.alarms),
        "undecided": list(row.undecided),
        "errors": list(row.errors),
        "seconds": round(row.seconds, 3),
    }


def _verdict(matrix: "Matrix") -> tuple[int, str, str]:
    """Return exit code, machine word and sentence; what could not be played comes before what was missed."""
    said = matrix.summary
    if said.errors:
        return 3, "selftest.errors", f"{said.errors} of {said.flaws} flaws could not be played to the end"
    if not matrix.is_clean:
        missed = said.flaws - said.detected
        return 1, "selftest.not_clean", f"{missed} of {said.flaws} flaws missed, {said.false_alarms} twins accused"
    return 0, "ok", ""
