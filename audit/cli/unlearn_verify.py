"""`fedaudit unlearn verify`: has a delivered model forgotten what it was asked to?"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from audit.cli.answer import Answer, Invocation, command
from audit.cli.clock import the_time
from reports.model import Effort, Finding, Status

if TYPE_CHECKING:
    from audit.forgotten import Fields

PATH = click.Path(path_type=Path)
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
EFFORTS = click.Choice([str(effort) for effort in Effort])
LARGEST_SEED = 2**53 - 1


@command("verify")
@click.argument("target", type=PATH)
@click.option("--id", "wanted", metavar="ID", help="Which erasure request; needed where there are several.")
@click.option("--effort", type=EFFORTS, default="standard", show_default=True, help="How many models are trained.")
@click.option("--models", type=click.IntRange(1), help="References to train, instead of what the effort says.")
@click.option("--only", multiple=True, metavar="TESTS", help="Ask only these: residual,method. May be repeated.")
@click.option("--after", type=FILE, help="Take this model for the delivered one.")
@click.option("--oracles", type=FILE, multiple=True, help="Compare with this retrained model; train none. Repeatable.")
@click.option("--seed", type=click.IntRange(0, LARGEST_SEED), help="Root seed; by default derived, so nobody chose it.")
@click.option("--executor", type=click.Choice(["serial", "process", "ray"]), default="serial", show_default=True)
@click.option("--cache", type=PATH, metavar="DIR", help="Keep trained models here, not in the user's cache folder.")
@click.option("--no-cache", is_flag=True, help="Keep no trained models.")
@click.option("--trust-code", is_flag=True, help="Allow [model].definition to run the owner's code.")
@click.pass_context
def verify(
    ctx: click.Context,
    target: Path,
    wanted: str | None,
    effort: str,
    models: int | None,
    only: tuple[str, ...],
    after: Path | None,
    oracles: tuple[Path, ...],
    seed: int | None,
    executor: str,
    cache: Path | None,
    no_cache: bool,
    trust_code: bool,
) -> Answer:
    """Verify one erasure request of TARGET: a system.toml, or a folder that 'fedaudit unlearn federated' has written.

    Returns 0 whatever was found ('fedaudit gate' decides), 3 where a test broke off. Trained models are kept in a cache
    of yours, so that a verification that was stopped goes on where it was.
    """
    if oracles and models is not None:
        raise click.UsageError("--models says how many to train, and beside --oracles none are")
    if cache is not None and no_cache:
        raise click.UsageError("say --cache or --no-cache, not both")
    moment = the_time(None)

    from audit.cli.attack import Unkept
    from audit.cli.progress import DrawnProgress  # torch and rich are loaded once the line is known good
    from audit.executors import named_executor
    from audit.forgotten import FAMILY, TESTS, Replacements, document, request_of, system_file
    from audit.run import Request, ask_system
    from reports.check import Options

    invocation = ctx.find_object(Invocation) or Invocation()
    asked = tuple(f"{FAMILY}{name}" for name in _tests(only, TESTS))
    loaded = request_of(target, wanted, Replacements(after, oracles), trust_code=trust_code)
    kept = None if no_cache else _cache(cache, loaded.folder)
    options = Options(trust_code=trust_code, oracles=0 if oracles else models, cache=kept)
    request = Request(
        system_file(target), None, moment, Effort(effort), seed, only=asked, options=options, files_must_fit=True
    )
    with DrawnProgress(loaded.system.name, color=invocation.color) as progress:
        answered = ask_system(
            request, Unkept(), executor=named_executor(executor), progress=progress, loaded=loaded
        )  # fmt: skip
    findings = [finding for finding in answered.findings if finding.check in asked]
    fields = document(answered, findings, effort)
    broken = next((finding for finding in findings if finding.status is Status.ERROR), None)
    return Answer(
        text=_text(findings, fields),
        fields=fields,
        exit_code=3 if broken else 0,
        code="unlearning.broke-off" if broken else "ok",
        message=f"{broken.check}: {broken.summary}" if broken else "",
    )


def _tests(only: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Return the tests to ask, by name; all where none is named."""
    named = [part.strip() for one in only for part in one.split(",") if part.strip()]
    for one in named:
        if one not in known:
            raise click.UsageError(f"--only: there is no test {one!r}; there are {', '.join(known)}")
    return tuple(one for one in known if one in named or not named)


def _cache(named: Path | None, owner: Path) -> Path:
    """Return the folder for trained models, made where it is not there; never one of the owner's.

    Raises:
        click.UsageError: It lies in the owner's folder, who could then put models of his own there, or cannot be made.
    """
    folder = (_default_cache() if named is None else named).resolve()
    if folder.is_relative_to(owner):
        raise click.UsageError(f"--cache {folder}: it lies in the target's folder; name one outside, or say --no-cache")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        told = f"--cache {folder}: {error.strerror}; name a folder that can be written, or say --no-cache"
        raise click.UsageError(told) from error
    return folder


def _default_cache() -> Path:
    """Return the user's cache folder, as the XDG base directory specification has it."""
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (named if named.is_absolute() else Path.home() / ".cache") / "fedaudit" / "oracles"


def _text(findings: Sequence[Finding], fields: "Fields") -> str:
    """Return the answer for people."""
    head = f"{click.style(str(fields['status']), bold=True)}, grade {fields['grade']}: {fields['id']}"
    lines = [f"{head} by {fields['method'] or 'a method that nobody names'}"]
    for finding in findings:
        name = finding.check.rpartition(".")[2]
        lines.append(f"{finding.status!s:<13} {name}")
        lines.append(f"    {finding.summary}")
        if finding.remedy is not None:
            lines.append(f"    {finding.remedy.text}")
    return "\n".join(lines)
