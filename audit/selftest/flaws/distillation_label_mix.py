"""Logits on a public transfer set instead of updates: no gradient is left to invert, and whose they are shows."""

from audit.selftest.flaw import flaw
from audit.selftest.shared_outputs import shares, softmax_regression, write_logits
from audit.selftest.workshop import Workshop
from reports.model import System

CLIENTS, EACH = 40, 40
"""Clients and the records of each."""
TRANSFER = 100
"""Public records that everybody answers."""


@flaw(
    "distillation-label-mix",
    "Clients of different label mixes share logits that tell which mix is theirs",
    caught_by=("attack.distillation",),
)
def distillation_label_mix(make: Workshop, *, planted: bool) -> System:
    """Let clients of different label mixes share their logits, or clients of one and the same.

    Of the twin the check says that it cannot have found anything: written into the logits, equal mixes tell nobody
    apart either. It stays undecided, and rightly so.
    """
    pool, rng = make.digits(0, 1, 0).reference, make.rng("label mixes")
    transfer = pool.take(range(TRANSFER))
    clients = shares(pool.take(range(TRANSFER, len(pool))), CLIENTS, EACH, rng, skewed=planted)
    for number, held in enumerate(clients):
        write_logits(make, number, held, softmax_regression(held, transfer))
    reference = {"role": "reference", "path": make.files.records("reference.npz", transfer.x, transfer.y)}
    described = {"input_shape": [64], "classes": 10}
    return make.finish({"system": {"name": "distillation", "version": "1"}, "model": described, "data": [reference]})
