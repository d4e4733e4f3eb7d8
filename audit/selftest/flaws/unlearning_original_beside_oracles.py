"""A delivered model that lies nowhere near the retrained ones that its owner lays beside it."""

from dataclasses import replace

from audit.selftest.flaw import flaw
from audit.selftest.forgetting import SPARED, USUAL, honour, supply, tables
from audit.selftest.workshop import Workshop
from reports.model import System

ORACLES = 12
"""Retrained models that the owner supplies to compare with; fewer leave the floor too uncertain."""

SIZE = replace(USUAL, clients=3)
"""The client that leaves held a third of the data, so that its leaving shows."""


@flaw(
    "unlearning-original-beside-oracles",
    "The model before is delivered for a retrained one, beside oracles that are retrained indeed",
    caught_by=("unlearning.federated.screening",),
    spares=SPARED,
)
def unlearning_original_beside_oracles(make: Workshop, *, planted: bool) -> System:
    """Deliver the model before or a retrained one, without a record, beside retrained models of the owner's.

    The twin is never passed: to lie near retrained models is no proof of forgetting, and the check says so.
    """
    honoured = honour(make, size=SIZE)
    if planted:
        honoured.deliver(honoured.outcome.before)
    oracles = supply(make, honoured.retrained(make, ORACLES))
    return make.finish(tables(honoured, "transcript", "twin", oracles=oracles))
