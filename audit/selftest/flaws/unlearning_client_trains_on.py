"""A client that asked to be forgotten and went on training: its own record says so."""

from audit.selftest.flaw import flaw
from audit.selftest.forgetting import SPARED, TINY, honour, tables
from audit.selftest.workshop import Workshop
from reports.model import System
from unlearning.federated.scenarios import FORGET
from unlearning.federated.transcript import Round


def joined(told: Round) -> Round:
    """Return a round in which the forgotten client took part in the place of another."""
    return told.model_copy(update={"participants": (FORGET, *told.participants[1:])})


@flaw(
    "unlearning-client-trains-on",
    "The forgotten client takes part in the rounds that are to forget it",
    caught_by=("unlearning.federated.transcript",),
    spares=SPARED,
)
def unlearning_client_trains_on(make: Workshop, *, planted: bool) -> System:
    """Declare the record of a retraining, with the forgotten client in its rounds or without it; no architecture."""
    honoured = honour(make, size=TINY)
    if planted:
        honoured.retell(lambda rounds: tuple(map(joined, rounds)))
    return make.finish(tables(honoured, "model", "twin"))
