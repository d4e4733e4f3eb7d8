"""`fedaudit unlearn`: honour an erasure request in a federation or a language model, and verify one."""

import click

from audit.cli.lazy import LazyGroup

COMMANDS = {
    "federated": ("audit.cli.unlearn_federated:federated", "Honour an erasure request, and write a folder to audit."),
    "lunar": ("audit.cli.unlearn_lunar:lunar", "Make a language model forget by a small edit, or erase."),
    "verify": ("audit.cli.unlearn_verify:verify", "Has a delivered model forgotten what it was asked to?"),
}


@click.group("unlearn", cls=LazyGroup, table=COMMANDS)
def unlearn() -> None:
    """Honour an erasure request in a federation or a language model, and verify one that was honoured."""
