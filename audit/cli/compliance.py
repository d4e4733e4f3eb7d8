"""`fedaudit compliance`: the catalogue of duties, the reader's calibration, documents assessed, the Annex IV file."""

import click

from audit.cli.lazy import LazyGroup

COMMANDS = {
    "controls": ("audit.cli.compliance_controls:controls", "List the duties of a day, or check citations of the law."),
    "calibrate": ("audit.cli.compliance_calibrate:calibrate", "Measure a reader of documents against legal experts."),
    "assess": ("audit.cli.compliance_assess:assess", "Read documents, and hold their claims against measurements."),
    "annex-iv": ("audit.cli.compliance_annex_iv:annex_iv", "Write the evidence file of Annex IV, its gaps named."),
}


@click.group("compliance", cls=LazyGroup, table=COMMANDS)
def compliance() -> None:
    """The law as data, documents and their reader: which duties there are, and what speaks for them.

    Nothing here decides whether a duty is met: it says what the evidence shows, and what is missing.
    """
