"""A limit that was promised before the test, and is not met."""

from audit.selftest.documents import private_training, write_thresholds
from audit.selftest.flaw import flaw
from audit.selftest.workshop import Workshop
from reports.model import System

PROMISED = 8.0
"""The epsilon that was promised at most."""


@flaw(
    "threshold-missed",
    "The epsilon of the training exceeds what was promised before the test",
    caught_by=("compliance.thresholds",),
)
def threshold_missed(make: Workshop, *, planted: bool) -> System:
    """Train with so little noise that the promise is broken, or with enough; either says truly what follows."""
    federation, known = private_training(1.0 if planted else 4.0)
    documents = write_thresholds(make, [("dp.accounting", "epsilon_accounted", "<=", PROMISED)])
    claims = {"epsilon": known.claimable, "delta": 1e-3, "privacy_unit": "client"}
    system = {"name": "thresholds", "version": "1"}
    return make.finish({"system": system, "federation": federation, "documents": documents, "claims": claims})
