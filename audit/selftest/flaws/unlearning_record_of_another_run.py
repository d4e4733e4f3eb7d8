"""A record that fits its files and did not make them: run again, it gives another model."""

from audit.selftest.flaw import flaw
from audit.selftest.forgetting import SPARED, TINY, honour, tables
from audit.selftest.workshop import Workshop
from reports.model import Effort, System


@flaw(
    "unlearning-record-of-another-run",
    "The delivered model was retrained from another seed than the record says",
    caught_by=("unlearning.federated.replay",),
    least=Effort.STANDARD,  # nothing is run again below it
    spares=SPARED,
)
def unlearning_record_of_another_run(make: Workshop, *, planted: bool) -> System:
    """Honour a request by retraining; deliver one retrained from another seed, or from the recorded one."""
    honoured = honour(make, size=TINY)
    if planted:
        [other] = honoured.retrained(make, 1)
        honoured.deliver(other)
    return make.finish(tables(honoured, "twin"))
