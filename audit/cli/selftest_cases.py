"""`fedaudit selftest --cases` and `--export`: cases as folders, read from others and written for them."""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audit.cli.answer import Answer, Invocation
from audit.selftest.case_folders import EVERY, CaseError, FolderAnswer, FolderCase, folder_cases, play_folder
from reports.model import Effort
from reports.wording import counted, visible

if TYPE_CHECKING:
    from audit.selftest.series import Series


def cases_answer(root: Path, now: datetime, given: Mapping[str, Any], invocation: Invocation) -> Answer:
    """Audit the cases in a folder and hold what was said against what is expected."""
    from audit.cli.selftest_progress import CasesDrawn
    from audit.executors import named_executor

    effort = Effort(given["effort"])
    cases = _chosen(folder_cases(root, seed=given["seed"], effort=effort, now=now), given["only"])
    begun = time.perf_counter()
    answers: list[FolderAnswer] = []
    with CasesDrawn(len(cases), color=invocation.color) as drawn:
        for _, one in named_executor(given["executor"]).map(play_folder, cases):
            answers.append(one)
            drawn.played(visible(one.expected.id), one.seconds, len(answers), len(cases))
    answers.sort(key=lambda one: one.expected.id)
    return _answer(answers, time.perf_counter() - begun, given)


def _chosen(cases: Sequence[FolderCase], only: Sequence[str]) -> tuple[FolderCase, ...]:
    for glob in only:
        if not any(fnmatchcase(one.expected.id, glob) for one in cases):
            raise CaseError("case.unknown", f"no case is named {glob!r}", "The key 'id' of expected.json names it.")
    return tuple(one for one in cases if not only or any(fnmatchcase(one.expected.id, glob) for glob in only))


def _answer(answers: Sequence[FolderAnswer], seconds: float, given: Mapping[str, Any]) -> Answer:
    errors, right = sum(one.error is not None for one in answers), sum(one.ok for one in answers)
    fields = {
        "seed": given["seed"],
        "effort": given["effort"],
        "cases": [_case(one) for one in answers],
        "summary": {"cases": len(answers), "ok": right, "errors": errors, "seconds": round(seconds, 3)},
    }
    lines = [line for one in answers for line in _lines(one)]
    lines.append(f"{right} of {counted(len(answers), 'case')} as expected, {seconds:.0f} s")
    code, word, told = 0, "ok", ""
    if errors:
        code, word, told = 3, "selftest.errors", f"{errors} of {len(answers)} cases could not be audited"
    elif right < len(answers):
        code, word, told = 1, "selftest.not_clean", f"{len(answers) - right} of {len(answers)} cases not as expected"
    return Answer("\n".join(lines), fields, code, word, told)


def _case(one: FolderAnswer) -> dict[str, object]:
    return {
        "id": one.expected.id,
        "title": one.expected.title,
        "ok": one.ok,
        "observed": {check: str(one.observed[check]) for check in sorted(one.observed)},
        "expected": [entry.model_dump(mode="json") for entry in one.expected.expect],
        "error": one.error,
        "seconds": round(one.seconds, 3),
    }


def _lines(one: FolderAnswer) -> list[str]:
    mark = click.style("●", fg="green") if one.ok else click.style("○", fg="red")
    lines = [f"{mark} {visible(one.expected.id)}  {click.style(f'{one.seconds:.1f} s', dim=True)}"]
    if one.error is not None:
        return [*lines, click.style(f"    cannot be audited: {visible(' '.join(one.error.split()))}", fg="magenta")]
    for entry in one.unmet:
        globs = entry.check.split("|")
        said = [
            f"{check} {status}"
            for check, status in sorted(one.observed.items())
            if any(fnmatchcase(check, glob) for glob in globs) and status not in entry.status
        ]
        wanted = " or ".join(str(status) for status in entry.status)
        asked = "every check" if entry.check == EVERY else visible(" or ".join(globs))
        lines.append(f"    {asked}: {wanted} is expected; {', '.join(said) or 'there is no such check'}")
    return lines


def export_answer(planned: "Series", root: Path) -> Answer:
    """Write the zoo as folders."""
    from audit.selftest.export import export

    done = export(planned, root)
    left_out = [*(one.id for one in planned.left_out), *done.left_out]
    if done.left_out:
        told = f"left out, since they lie in a sealed bundle and not in a system: {', '.join(done.left_out)}"
        click.echo(told, err=True)
    if planned.left_out:
        told = ", ".join(f"{one.id} ({one.reason})" for one in planned.left_out)
        click.echo(f"left out: {told}", err=True)
    fields = {"exported": [str(folder) for folder in done.folders], "left_out": left_out}
    text = f"{counted(len(done.folders), 'system')} in {root}\ntry them: fedaudit selftest --cases {root}"
    return Answer(text=text, fields=fields)
