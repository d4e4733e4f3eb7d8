"""A threshold of half of the neighbours: enough for a server to open both secrets, each with the help of one half."""

from dataclasses import replace

from audit.selftest.flaw import flaw
from audit.selftest.secure import ROUND, declared_round, tables
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw(
    "secagg-threshold-low",
    "Half of a client's neighbours suffice to open its secrets, though the server may lie",
    caught_by=("secagg.parameters",),
)
def secagg_threshold_low(make: Workshop, *, planted: bool) -> System:
    """Declare a threshold of half of the degree, or the selected one.

    A malicious server tells one half of the neighbours that a client is alive and the other that it is gone, and has
    both secrets (Bonawitz et al. 2017, eprint 2017/281, on active adversaries).
    """
    selected = replace(ROUND, clients=60, server_trust="malicious").chosen()
    section = declared_round(selected)
    if planted:
        section["threshold"] = section["degree"] // 2
    return make.finish(tables(section, server_trust="malicious"))
