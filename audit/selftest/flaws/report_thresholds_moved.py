"""Thresholds that moved once results were seen."""

from audit.selftest.earlier import OTHER, THIS, audited_before, following
from audit.selftest.flaw import flaw
from audit.selftest.secure import ROUND, declared_round, tables
from audit.selftest.workshop import Workshop
from reports.model import Status, System


@flaw(
    "report-thresholds-moved",
    "This version was tested under another policy before",
    caught_by=("report.thresholds-committed",),
    expects=Status.INCONCLUSIVE,
)
def report_thresholds_moved(make: Workshop, *, planted: bool) -> System:
    """Audit one version twice, the first time under another policy than the second, or under the same.

    The audit is sealed: only a run that writes a bundle records its policy before it measures.
    """
    described = tables(declared_round(ROUND))
    audited_before(make, described, policy_sha256=OTHER if planted else THIS)
    make.asked = following(policy_sha256=THIS)
    make.sealed("system.toml")
    return make.finish(described)
