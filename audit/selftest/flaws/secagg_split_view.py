"""Two lists of survivors: with an answer to each, both secrets of a client are out."""

from dataclasses import replace

from audit.selftest.flaw import flaw
from audit.selftest.secure import ROUND, Rounds, recorded_system
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw("secagg-split-view", "One client is told of other survivors than the rest", caught_by=("secagg.consistency",))
def secagg_split_view(make: Workshop, *, planted: bool) -> System:
    """Record two rounds against a malicious server; in the second one client signs another list, or the same."""
    return recorded_system(
        make,
        replace(
            Rounds(), config=replace(ROUND, server_trust="malicious"), plants=(None, "split-view" if planted else None)
        ),
    )
