"""Systems of which the declaration says whose code runs their secure aggregation: checks then try that code out.

Nothing is planted in the code: Flower's own falls short by measurement (flwr 1.41 and 1.42), and the day that it does
not, the flaw is gone. Flaw and twin differ in whose code it is, as their titles say.
"""

from audit.selftest.flaw import DEAR
from audit.selftest.secure import ROUND, declared_round, tables
from audit.selftest.workshop import Workshop
from reports.model import System

FLOWER, OURS = "flower-secaggplus", "fedaudit-secagg"
ONE_AT_A_TIME = (
    *DEAR, "secagg.client-conformance", "secagg.dropout", "secagg.mask-entropy", "secagg.metadata",
    "secagg.secret-erasure", "secagg.share-integrity",
)  # fmt: skip
"""Spared, but for the one that a flaw is about: all try out the same code, for seconds, and each has its own flaw."""


def run_by(make: Workshop, protocol: str) -> System:
    """Return a system whose rounds are run by the code of a protocol; prg and seeds are what that code has."""
    section = declared_round(ROUND)
    del section["prg"], section["seed_bits"]
    return make.finish(tables(section | {"protocol": protocol}))
