"""A history that is somebody else's."""

from audit.selftest.earlier import audited_before, following
from audit.selftest.flaw import flaw
from audit.selftest.secure import ROUND, declared_round, tables
from audit.selftest.workshop import Workshop
from reports.model import Status, System


@flaw(
    "report-of-another-system",
    "The report that this one is to follow is about another system",
    caught_by=("report.lineage",),
    expects=Status.INCONCLUSIVE,
)
def report_of_another_system(make: Workshop, *, planted: bool) -> System:
    """Name the report of a system of another name as the previous one, or that of this system's last version."""
    described = tables(declared_round(ROUND))
    name = "letters-secagg" if planted else "digits-secagg"
    audited_before(make, described | {"system": {"name": name, "version": "0"}})
    make.asked = following()
    return make.finish(described)
