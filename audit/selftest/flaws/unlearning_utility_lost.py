"""A retraining that was broken off: what was to stay is gone as well."""

from audit.selftest.flaw import flaw
from audit.selftest.forgetting import SPARED, honour, supply, tables
from audit.selftest.workshop import Workshop
from reports.model import System

ORACLES = 6
"""Retrained models that the owner supplies to compare with."""


@flaw(
    "unlearning-utility-lost",
    "The retraining was broken off after its second round, and the model errs where it did not",
    caught_by=("unlearning.federated.utility",),
    spares=SPARED,
)
def unlearning_utility_lost(make: Workshop, *, planted: bool) -> System:
    """Deliver a model that was retrained for two rounds, or for all, beside retrained models of the owner's."""
    honoured = honour(make)
    if planted:
        [broken_off] = honoured.retrained(make, 1, rounds=2)
        honoured.deliver(broken_off)
    oracles = supply(make, honoured.retrained(make, ORACLES))
    return make.finish(tables(honoured, "transcript", "twin", "before", oracles=oracles))
