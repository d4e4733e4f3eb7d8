"""A report that is true of another model than the one that the reader was given."""

from audit.selftest.delivered import delivering, regression
from audit.selftest.flaw import VERIFY, flaw
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw("report-for-another-model", "The model in hand is not the one that the report is about", caught_by=(VERIFY,))
def report_for_another_model(make: Workshop, *, planted: bool) -> System:
    """Deliver the model of one step more beside the report, or the very model that was audited."""
    make.sealed(make.files.tensors("delivered.safetensors", regression(make, 2 if planted else 1)))
    return make.finish(delivering(make))
