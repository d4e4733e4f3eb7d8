"""Groups whose commands are imported when they are called, so that a help page loads none of them."""

import importlib
from collections.abc import Mapping
from typing import Any, TypeAlias

import click

Table: TypeAlias = Mapping[str, tuple[str, str]]
"""Name of a command to `module:attribute` and the line that a help page shows; in the order of use."""


class LazyGroup(click.Group):
    """A group that is written down as a table.

    Args:
        table: Its commands.
    """

    def __init__(self, *arguments: Any, table: Table, **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        self._table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of use."""
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command, None where there is none of that name."""
        if cmd_name not in self._table:
            return None
        module, _, attribute = self._table[cmd_name][0].partition(":")
        found = getattr(importlib.import_module(module), attribute)
        if not isinstance(found, click.Command):
            raise TypeError(f"{module}:{attribute} is no command")
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from the table, importing none."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self._table.items()])
