"""What a command answers with, and how a click command is declared here.

A command is a function that returns an `Answer`; `audit.cli.main.run` prints it, as text or as one JSON document, and
turns every exception into an answer of its own. So no command prints or exits by itself.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import click

from reports.errors import FedauditError


@dataclass(frozen=True)
class Answer:
    """The result of one command."""

    text: str = ""
    """For people, on stdout; may be styled by click."""
    fields: Mapping[str, object] = field(default_factory=dict)
    """For machines: the keys of the JSON document besides the common ones."""
    exit_code: int = 0
    """0 done, 1 negative verdict, 2 usage or configuration, 3 could not be completed, 4 not authentic."""
    code: str = "ok"
    """Stable machine word."""
    message: str = ""
    """One sentence; on stderr where `text` is empty and the exit code is not 0."""
    hint: str = ""
    """The mend."""
    data: bytes | None = None
    """Written to stdout as it is, instead of `text`."""

    @classmethod
    def of_error(cls, error: FedauditError) -> "Answer":
        """Return the answer that an error of ours stands for."""
        return cls(exit_code=error.exit_code, code=error.code, message=error.message, hint=error.hint)

    def document(self, command: str, version: str) -> str:
        """Return the one JSON document of `--json`."""
        common = {
            "fedaudit": version,
            "command": command,
            "exit_code": self.exit_code,
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
        }
        return json.dumps({**common, **self.fields}, ensure_ascii=False, indent=2, allow_nan=False)


@dataclass
class Invocation:
    """What the flags common to all commands said, known even where the rest of the line is at fault."""

    json: bool = False
    debug: bool = False
    color: bool | None = None
    command: str = ""


def _note(ctx: click.Context, name: str, value: object) -> None:
    invocation = ctx.find_object(Invocation)
    if invocation is not None and value:
        setattr(invocation, name, value)


def _note_json(ctx: click.Context, _option: click.Parameter, value: bool) -> None:
    _note(ctx, "json", value)


def _note_debug(ctx: click.Context, _option: click.Parameter, value: bool) -> None:
    _note(ctx, "debug", value)


def _note_color(ctx: click.Context, _option: click.Parameter, value: bool) -> None:
    if value and (invocation := ctx.find_object(Invocation)) is not None:
        invocation.color = False


def command(name: str, **attributes: Any) -> Callable[[Callable[..., Answer]], click.Command]:
    """Return the decorator that declares a command: click's, with `--json`, `--debug` and `--no-color`."""

    def declare(function: Callable[..., Answer]) -> click.Command:
        for flag, callback, text in (
            ("--no-color", _note_color, "No colours; the variable NO_COLOR says the same."),
            ("--debug", _note_debug, "Show the traceback of an unexpected error."),
            ("--json", _note_json, "Print one JSON document."),
        ):
            add = click.option(flag, callback=callback, help=text, is_flag=True, expose_value=False, is_eager=True)
            function = add(function)
        return click.command(name, click.Command, **attributes)(function)

    return declare
