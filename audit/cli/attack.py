"""`fedaudit attack`: the privacy attacks alone, on the files that a system names, without a report."""

import json
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import click

from audit.cli.answer import Answer, Invocation, command
from audit.cli.clock import the_time
from audit.cli.computing_options import computing_options, named_device
from reports.model import Confidentiality, Effort, Evidence, Finding, Status, evidence_path

if TYPE_CHECKING:
    from audit.run import Answered, Progress, Request
    from reports.check import Check
    from reports.executor import Executor

FAMILIES = ("attack.*", "dp.*", "integrity.*")
"""What is asked unless the command line names checks."""
PATH = click.Path(path_type=Path)


@click.group("attack")
def attack() -> None:
    """The privacy attacks alone: list them, or run them on one system."""


@command("list")
@click.option("--system", type=PATH, help="Say which would run on this system file, which not, and why.")
def listed(system: Path | None) -> Answer:
    """List the attacks and measurements: id, the sentence that is true when one passes, and what it needs."""
    from audit.manifest import load_system
    from audit.plan import capabilities, plan

    attacks = _chosen(FAMILIES)
    planned = plan(load_system(system).system, attacks, capabilities=capabilities()) if system else ()
    outcomes = {one.check.id: one for one in planned}
    rows, lines = [], []
    for check in attacks:
        outcome = outcomes.get(check.id)
        rows.append(
            {
                "check": check.id,
                "title": check.title,
                "needs": list(check.needs),
                "controls": list(check.controls),
                "runs": outcome.runs if outcome else None,
                "reason": outcome.reason if outcome and not outcome.runs else None,
            }
        )
        mark = "" if outcome is None else ("runs    " if outcome.runs else "skipped ")
        lines.append(f"{mark}{click.style(check.id, bold=True)}: {check.title}")
        if outcome is None:
            lines.append(f"    needs {', '.join(check.needs) or 'nothing'}")
        elif not outcome.runs:
            lines.append(f"    {outcome.because}")
    return Answer(text="\n".join(lines), fields={"attacks": rows})


@command("run")
@click.argument("system", type=PATH)
@click.argument("checks", nargs=-1, metavar="[CHECK]...")
@click.option("--effort", type=click.Choice([str(effort) for effort in Effort]), default="standard", show_default=True)
@click.option("--seed", type=click.IntRange(0, 2**53 - 1), help="Root seed; by default derived, so nobody chose it.")
@computing_options
@click.option("-o", "--output", "bundle", type=PATH, metavar="DIR", help="Write a bundle too, evidence in it.")
@click.option("--trust-code", is_flag=True, help="Allow [model].definition to run the owner's code.")
@click.pass_context
def run(
    ctx: click.Context,
    system: Path,
    checks: tuple[str, ...],
    effort: str,
    seed: int | None,
    executor: str,
    device: str,
    engine: str,
    bundle: Path | None,
    trust_code: bool,
) -> Answer:
    """Ask SYSTEM (a system.toml) what each CHECK asks, a glob: by default 'attack.*', 'dp.*' and 'integrity.*'.

    Returns 0 whatever was found, 3 where a check broke off; a file that a check cannot use is an error of its own (2).
    """
    invocation = ctx.find_object(Invocation) or Invocation()
    if invocation.debug:
        logging.basicConfig(level=logging.DEBUG)
    moment = the_time(None)
    named = checks or FAMILIES
    asked = {check.id for check in _chosen(named)}

    from audit.cli.progress import DrawnProgress  # torch and rich are loaded once the line is known good
    from audit.executors import named_executor
    from audit.run import Request
    from reports.check import Options

    options = Options(trust_code=trust_code, engine=engine, device=named_device(device))
    request = Request(system, bundle, moment, Effort(effort), seed, only=named, options=options, files_must_fit=True)
    with DrawnProgress(system.name, color=invocation.color) as progress:
        answered = _answered(request, named_executor(executor), progress)
    findings = [finding for finding in answered.findings if finding.check in asked]
    fields = {
        "system": answered.system.name,
        "seed": answered.seed,
        "effort": effort,
        "device": options.device,
        "engine": engine,
        "findings": [json.loads(finding.model_dump_json()) for finding in findings],
    }
    broken = next((finding for finding in findings if finding.status is Status.ERROR), None)
    return Answer(
        text=_text(findings, bundle),
        fields=fields,
        exit_code=3 if broken else 0,
        code="attack.broke-off" if broken else "ok",
        message=f"{broken.check}: {broken.summary}" if broken else "",
    )


attack.add_command(listed)
attack.add_command(run)


@dataclass(frozen=True)
class Unkept:
    """A store that keeps nothing: evidence is named by its digest and let go."""

    def put_evidence(self, data: bytes, media_type: str, confidentiality: Confidentiality, name: str) -> Evidence:
        """Return how `data` would be cited."""
        digest = sha256(data).hexdigest()
        return Evidence(
            sha256=digest,
            path=evidence_path(digest),
            size=len(data),
            media_type=media_type,
            confidentiality=confidentiality,
            name=name,
        )


def _answered(request: "Request", executor: "Executor", progress: "Progress") -> "Answered":
    from audit.run import Answered, ask_system, run_audit
    from reports.renderings import standard_renderings

    if request.bundle is None:
        return ask_system(request, Unkept(), executor=executor, progress=progress)
    report = run_audit(request, render=standard_renderings, executor=executor, progress=progress).statement.report
    return Answered(report.system, report.provenance.root_seed, report.findings)


def _chosen(globs: Sequence[str]) -> "tuple[Check, ...]":
    """Return the checks that some glob names, by id; a glob that names none is an error, since it was misspelt."""
    from reports.check import discover

    known = discover()
    for glob in globs:
        if not any(fnmatchcase(check.id, glob) for check in known):
            raise click.UsageError(f"{glob!r} names no check; 'fedaudit attack list' has them")
    return tuple(check for check in known if any(fnmatchcase(check.id, glob) for glob in globs))


def _text(findings: Sequence[Finding], bundle: Path | None) -> str:
    """Return the findings as a table for people: the word, the check, the sentence, and the figures under it."""
    lines = []
    for finding in findings:
        if finding.status is Status.SKIPPED:
            continue
        lines.append(f"{click.style(str(finding.status), bold=True)} {finding.check} {finding.key}".rstrip())
        lines.append(f"    {finding.summary}")
        if finding.remedy is not None:
            lines.append(f"    {finding.remedy.text}")
    counts = Counter(finding.status for finding in findings)
    lines.append(", ".join(f"{counts[status]} {status}" for status in Status if counts[status]))
    if bundle is not None:
        lines.append(f"read   {bundle / 'render' / 'report.html'}")
    return "\n".join(lines)
