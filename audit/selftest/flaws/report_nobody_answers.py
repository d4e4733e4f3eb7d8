"""A test that nobody answers for."""

from audit.selftest.earlier import answered_for
from audit.selftest.flaw import flaw
from audit.selftest.secure import ROUND, declared_round, tables
from audit.selftest.workshop import Workshop
from reports.model import Auditor, Status, System


@flaw(
    "report-nobody-answers",
    "The test is made in the name of nobody",
    caught_by=("report.responsible-person",),
    expects=Status.SKIPPED,
)
def report_nobody_answers(make: Workshop, *, planted: bool) -> System:
    """Ask for an audit by a name without a letter in it, or by a person of an office."""
    make.asked = answered_for(Auditor(name="-" if planted else "A. Auditor", organisation="Office of Audits"))
    return make.finish(tables(declared_round(ROUND)))
