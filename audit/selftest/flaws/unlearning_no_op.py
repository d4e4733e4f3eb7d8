"""A server that forgets on paper: the record tells of a retraining, the model delivered is the one there was."""

from audit.selftest.flaw import flaw
from audit.selftest.forgetting import SPARED, honour, tables
from audit.selftest.workshop import Workshop
from reports.model import Effort, System


@flaw(
    "unlearning-no-op",
    "Nothing was forgotten: the model before is delivered again, beside the record of a retraining",
    caught_by=("unlearning.federated.residual",),
    least=Effort.STANDARD,  # below it four models are retrained, which can screen and can let none pass
    spares=SPARED,
)
def unlearning_no_op(make: Workshop, *, planted: bool) -> System:
    """Honour a request by retraining; deliver the model before, or the retrained one."""
    honoured = honour(make)
    if planted:
        honoured.deliver(honoured.outcome.before)
    return make.finish(tables(honoured, "twin"))
