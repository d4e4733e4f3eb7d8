"""A threshold of all neighbours: whoever loses one loses the sum."""

from audit.selftest.flaw import flaw
from audit.selftest.installed import ONE_AT_A_TIME, OURS
from audit.selftest.secure import ROUND, declared_round, tables
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw(
    "secagg-dropout-not-borne",
    "One client that drops out costs the round its sum, though two are counted on",
    caught_by=("secagg.dropout",),
    spares=ONE_AT_A_TIME,
)
def secagg_dropout_not_borne(make: Workshop, *, planted: bool) -> System:
    """Declare a threshold of all neighbours, or the selected one; the rounds are run by the check, with our clients."""
    section = declared_round(ROUND)
    if planted:
        section["threshold"] = section["degree"]
    return make.finish(tables(section | {"protocol": OURS}))
