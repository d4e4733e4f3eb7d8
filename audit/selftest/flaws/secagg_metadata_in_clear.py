"""Weights and losses of single clients beside their masked updates, for the server to read."""

from audit.selftest.flaw import flaw
from audit.selftest.secure import CLIENTS, LENGTH, ROUND, declared_round, rewrite, tables
from audit.selftest.workshop import Workshop
from reports.model import System
from secagg.draft import Draft

TOLD = ("clients", "degree", "threshold", "corrupt_fraction", "dropout_fraction")
"""What is declared: of masks and rings a capture tells itself."""


@flaw(
    "secagg-metadata-in-clear",
    "Clients tell the server their losses and numbers of examples beside the masked update",
    caught_by=("secagg.metadata",),
    extra="flower",
)
def secagg_metadata_in_clear(make: Workshop, *, planted: bool) -> System:
    """Record a round of Flower's own SecAgg+ as it is, or with what travelled in the clear taken out of the record.

    Which protocol it is the system file does not say: else the installed Flower would be measured beside the record.
    """
    from secagg.flower.rehearsal import record_flower_run

    declared = declared_round(ROUND)
    [folder] = record_flower_run(
        make.files.place("rounds"), CLIENTS, LENGTH,
        num_shares=CLIENTS, reconstruction_threshold=declared["threshold"],
    )  # fmt: skip
    path = f"rounds/{folder.name}"
    make.files.folder(path)
    if not planted:
        rewrite(folder, _silenced)
    section = {key: declared[key] for key in TOLD} | {"transcripts": [path]}
    return make.finish(tables(section))


def _silenced(draft: Draft) -> None:
    """Take out of every record what stands beside mask and ciphertext."""
    for record in draft.records:
        record["body"].pop("clear", None)
