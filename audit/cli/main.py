"""The group `fedaudit`: which commands there are, and the one place where errors become exit codes.

Commands are imported when they are called, and the help page is written from the table below, so `--help`, `verify` and
`gate` never load what they do not use.
"""

import io
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress

import click

from audit.cli.answer import Answer, Invocation
from audit.cli.lazy import LazyGroup
from audit.cli.quiet import send_nothing
from reports.errors import FedauditError
from reports.version import VERSION

COMMANDS = {
    "demo": ("audit.cli.demo:demo", "Train, audit and gate two small federations, one careless and one careful."),
    "init": ("audit.cli.init:init", "Write a commented system.toml, policy.toml and trust.toml."),
    "checks": ("audit.cli.checks:checks", "List the checks; with a system, which would run and why not."),
    "run": ("audit.cli.run:run", "Ask every applicable check and write the bundle."),
    "keygen": ("audit.cli.keys:keygen", "Make a signing key."),
    "sign": ("audit.cli.keys:sign", "Sign or countersign a bundle."),
    "verify": ("audit.cli.verify:verify", "Is a bundle authentic, complete, about this model, and fresh?"),
    "gate": ("audit.cli.gate:gate", "Judge a bundle by a policy; the only command that decides."),
    "render": ("audit.cli.render:render", "Write the report for other readers and tools."),
    "show": ("audit.cli.show:show", "Show a report or one finding in the terminal."),
    "compare": ("audit.cli.compare:compare_bundles", "Hold two reports side by side."),
    "selftest": ("audit.cli.selftest:selftest", "Plant known flaws beside sound twins: which check catches which."),
    "attack": ("audit.cli.attack:attack", "The privacy attacks alone: list them, or run them on one system."),
    "secagg": ("audit.cli.secagg:secagg", "Secure aggregation alone: parameters, and what they buy."),
    "unlearn": (
        "audit.cli.unlearn:unlearn",
        "Honour an erasure request in a federation; verify one that was honoured.",
    ),
    "compliance": (
        "audit.cli.compliance:compliance",
        "The law as data, documents and their reader: which duties there are, and what speaks for them.",
    ),
}
_GROUPS = ("attack", "secagg", "unlearn", "compliance")
"""Whose commands have two words."""


@click.group(
    cls=LazyGroup,
    table=COMMANDS,
    context_settings={"auto_envvar_prefix": "FEDAUDIT", "help_option_names": ["-h", "--help"]},
)
@click.version_option(VERSION, prog_name="fedaudit", message="%(prog)s %(version)s")
def cli() -> None:
    """Audit a federated-learning system: from its system file to a signed report and a verdict.

    Exit codes: 0 done, and passed where something is judged; 1 a verdict is negative; 2 usage or configuration;
    3 could not be completed, or required evidence is inconclusive; 4 not authentic.
    """
    send_nothing()


def _usage(error: click.ClickException) -> Answer:
    hint = ""
    if isinstance(error, click.UsageError) and error.ctx is not None:
        hint = f"Try '{error.ctx.command_path} --help'."
    return Answer(exit_code=2, code="usage", message=error.format_message(), hint=hint)


def _unforeseen(error: BaseException) -> Answer:
    if isinstance(error, OSError):
        return Answer(
            exit_code=3, code="io.write", message=f"{error.filename or 'input or output'}: {error.strerror or error}"
        )
    return Answer(
        exit_code=3,
        code="unexpected",
        message=f"unexpected {type(error).__name__}: {error}".splitlines()[0][:300],
        hint="Run again with --debug to see where.",
    )


def answered(arguments: Sequence[str], invocation: Invocation) -> Answer:
    """Return the answer to one command line; what goes wrong is an answer too."""
    try:
        result = cli.main(args=list(arguments), prog_name="fedaudit", standalone_mode=False, obj=invocation)
    except FedauditError as error:
        return Answer.of_error(error)
    except click.exceptions.NoArgsIsHelpError as error:
        return Answer(text=error.format_message(), exit_code=2, code="usage")
    except click.ClickException as error:
        return _usage(error)
    except (click.Abort, KeyboardInterrupt):
        return Answer(exit_code=3, code="interrupted", message="interrupted; nothing half-written was left")
    except Exception as error:  # the last resort: no traceback reaches a user who did not ask for it
        if invocation.debug:
            traceback.print_exc()
        return _unforeseen(error)
    return result if isinstance(result, Answer) else Answer(exit_code=int(result or 0))


def run(arguments: Sequence[str]) -> int:
    """Run one command line, print its answer, and return the exit code: 3 where it cannot be printed; never raises."""
    invocation = Invocation(json="--json" in arguments, debug="--debug" in arguments)
    if os.environ.get("NO_COLOR") or "--no-color" in arguments:
        invocation.color = False
    answer = answered(arguments, invocation)
    words = [a for a in arguments if not a.startswith("-")]
    command = " ".join(words[:2] if words[:1] and words[0] in _GROUPS else words[:1])
    try:
        _print(answer, command, invocation)
    except OSError as error:  # a full disk, or whoever read has gone: an answer that nobody got is none
        _fall_silent(error)
        return 3
    return answer.exit_code


def _print(answer: Answer, command: str, invocation: Invocation) -> None:
    if invocation.json:
        click.echo(answer.document(command, VERSION))
    elif answer.data is not None:
        click.echo(answer.data, nl=False)
    elif answer.text:
        click.echo(answer.text, color=invocation.color)
    if answer.message and answer.exit_code and not (invocation.json or answer.text):
        head = click.style("error:", fg="red", bold=True)
        click.echo(f"{head} {_one_line(answer.message)}", err=True, color=invocation.color)
        if answer.hint:
            click.echo(f"  {_one_line(answer.hint)}", err=True, color=invocation.color)


def _fall_silent(error: OSError) -> None:
    """Say why nothing more is said, and let what is still buffered go nowhere when the interpreter ends."""
    with suppress(OSError):
        if not isinstance(error, BrokenPipeError):
            click.echo(f"error: the answer cannot be written: {error.strerror or error}", err=True)
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _one_line(text: str) -> str:
    """Return a sentence in which nothing that came from a file can forge a second line or steer the terminal."""
    from reports.wording import visible  # 150 ms that the help page does not need

    return visible(" ".join(text.split()))


def main() -> None:
    """Be the console script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a letter that the terminal lacks costs no answer
    sys.exit(run(sys.argv[1:]))
