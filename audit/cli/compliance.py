"""`fedaudit compliance`: the catalogue of duties, the reader's calibration, documents assessed, the Annex IV file."""

import importlib

import click

COMMANDS = {
    "controls": ("audit.cli.compliance_controls:controls", "List the duties of a day, or check citations of the law."),
    "calibrate": ("audit.cli.compliance_calibrate:calibrate", "Measure a reader of documents against legal experts."),
    "assess": ("audit.cli.compliance_assess:assess", "Read documents, and hold their claims against measurements."),
    "annex-iv": ("audit.cli.compliance_annex_iv:annex_iv", "Write the evidence file of Annex IV, its gaps named."),
}


class LazyCompliance(click.Group):
    """A group whose commands are imported when they are called: to list duties needs no client and no reader."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command, None where there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        found = getattr(importlib.import_module(module), attribute)
        return found if isinstance(found, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from the table, importing none."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group("compliance", cls=LazyCompliance)
def compliance() -> None:
    """The law as data, documents and their reader: which duties there are, and what speaks for them.

    Nothing here decides whether a duty is met: it says what the evidence shows, and what is missing.
    """
