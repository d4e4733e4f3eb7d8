"""A sum over so few that little hides anybody in it."""

from dataclasses import replace

from audit.selftest.flaw import flaw
from audit.selftest.secure import ROUND, declared_round, tables
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw("secagg-few-clients", "A sum covers fewer than ten honest clients", caught_by=("secagg.cohort",))
def secagg_few_clients(make: Workshop, *, planted: bool) -> System:
    """Declare a cohort of eight, with the parameters that are selected for it, or of fourteen."""
    return make.finish(tables(declared_round(replace(ROUND, clients=8) if planted else ROUND)))
