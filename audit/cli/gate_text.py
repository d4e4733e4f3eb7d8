"""What `fedaudit gate` answers: to people a verdict line and what is not plainly satisfied, to machines everything."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import click

from audit.cli.answer import Answer
from audit.cli.gate_reading import Opened
from audit.cli.withheld_text import first_of
from reports.errors import FedauditError
from reports.judge import Judgement, Outcome, Result, Verdict
from reports.nouns import Status, moment_text
from reports.policy import Policy, policy_digest
from reports.statement import PREDICATE_TYPE, Statement
from reports.verdict import gathered
from reports.wording import counted, visible

_GRAVEST_FIRST = (Outcome.FAIL, Outcome.INCOMPLETE, Outcome.WAIVED, Outcome.WARN)
_COLOURS = {"fail": "red", "failed": "red", "incomplete": "yellow", "passed": "green", "waived": "cyan"}
_NOTHING: dict[str, object] = {
    "result": None,
    "authentic": None,
    "policy": None,
    "report": None,
    "baseline": None,
    "counts": None,
    "judgements": [],
    "waivers": [],
    "withheld": [],
}


def judged(verdict: Verdict, opened: Opened, baseline: Opened | None) -> Answer:
    """Return the answer of a report that was judged."""
    blocking = verdict.counts[Outcome.FAIL] + verdict.counts[Outcome.INCOMPLETE]
    message = f"{verdict.result}: {counted(blocking, 'judgement')} of {len(verdict.judgements)} block"
    return Answer(
        text="\n".join(_lines(verdict, opened, baseline)),
        fields=_fields(verdict, opened, baseline),
        exit_code=verdict.exit_code,
        code=f"gate.{verdict.result}",
        message=f"{message}s" if blocking == 1 else message,
        hint="" if verdict.result is Result.PASSED else "Each judgement says what would mend it.",
    )


def linted(policy: Policy, files: Iterable[Path], warnings: Sequence[Judgement]) -> Answer:
    """Return the answer of files that load; warnings stand among the judgements."""
    fields = {
        **_NOTHING,
        "policy": {"name": policy.name, "sha256": policy_digest(policy)},
        "judgements": [warning.model_dump(mode="json") for warning in warnings],
    }
    names = ", ".join(str(file) for file in files)
    head = f"no fault in {names} (policy {policy.name}, sha256 {policy_digest(policy)[:12]})"
    return Answer(text="\n".join([_one_line(head), *(_line(warning) for warning in warnings)]), fields=fields)


def refused(error: FedauditError) -> Answer:
    """Return the answer of a bundle that was not judged; one that is not authentic is told on stdout, as by verify."""
    answer = replace(Answer.of_error(error), fields=dict(_NOTHING))
    if error.exit_code != 4:
        return answer
    head = click.style("NOT AUTHENTIC", fg="red", bold=True)
    lines = [f"{head} {error.code}: {_one_line(error.message)}", *([f"  {error.hint}"] if error.hint else [])]
    return replace(answer, text="\n".join(lines), fields={**_NOTHING, "authentic": False})


def _fields(verdict: Verdict, opened: Opened, baseline: Opened | None) -> dict[str, object]:
    statuses = Counter(finding.status for finding in opened.statement.report.findings)
    return {
        "result": str(verdict.result),
        "authentic": opened.authentic,
        "policy": {"name": verdict.policy_name, "sha256": verdict.policy_sha256},
        "report": _about(opened.statement),
        "baseline": None if baseline is None else _about(baseline.statement),
        "counts": {str(status): statuses[status] for status in Status},
        "judgements": [judgement.model_dump(mode="json") for judgement in verdict.judgements],
        "waivers": [waiver.model_dump(mode="json") for waiver in verdict.waivers],
        "withheld": list(opened.withheld),
    }


def _about(statement: Statement) -> dict[str, object]:
    report = statement.report
    return {
        "sha256": statement.sha256,
        "system": report.system.name,
        "version": report.system.version,
        "finished": moment_text(report.provenance.finished),
        "predicate_type": PREDICATE_TYPE,
    }


def _lines(verdict: Verdict, opened: Opened, baseline: Opened | None) -> list[str]:
    head = click.style(str(verdict.result).upper(), fg=_COLOURS[verdict.result], bold=True)
    about = _one_line(_named(opened))
    lines = [f"{head}: {about}, by policy {_one_line(verdict.policy_name)} on {verdict.today}"]
    if baseline is not None:
        lines.append(f"  compared with {_one_line(_named(baseline))}")
    rows = sorted((j for j in verdict.judgements if j.outcome is not Outcome.OK), key=_gravity)
    lines += [_line(judgement) for judgement in gathered(rows)]
    counts = ", ".join(f"{count} {outcome}" for outcome, count in reversed(verdict.counts.items()) if count)
    lines.append(f"  {counts or 'no rule had anything to judge'}")
    statuses = Counter(finding.status for finding in opened.statement.report.findings)
    lines.append(f"  findings: {', '.join(f'{statuses[s]} {s}' for s in Status if statuses[s]) or 'none'}")
    lines += [f"  withheld: {path}" for path in first_of(opened.withheld)]
    return lines


def _named(opened: Opened) -> str:
    system = opened.statement.report.system
    seal = "authentic" if opened.authentic else "NOT VERIFIED, --unsigned"
    return f"{system.name} {system.version}, report {opened.statement.sha256[:12]} ({seal})"


def _gravity(judgement: Judgement) -> int:
    return _GRAVEST_FIRST.index(judgement.outcome)


def _line(judgement: Judgement) -> str:
    word = click.style(f"{judgement.outcome:<10}", fg=_COLOURS.get(judgement.outcome))
    by = f" (waiver {judgement.waiver})" if judgement.outcome is Outcome.WAIVED else ""
    return f"  {word}  {judgement.code}  {_one_line(judgement.message + by)}"


def _one_line(text: str) -> str:
    """Return words of a report so that they can neither hide, reorder, nor begin a line of ours."""
    return visible(" ".join(text.split()))
