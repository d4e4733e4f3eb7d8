"""A server that forgets too hard: it climbs the loss of what was to be forgotten until strangers are known better."""

from audit.selftest.flaw import flaw
from audit.selftest.forgetting import SPARED, honour, tables
from audit.selftest.workshop import Workshop
from reports.model import Effort, System


@flaw(
    "unlearning-overshoot",
    "The model was pushed beyond models that never saw the client's data, which gives away that it was there",
    caught_by=("unlearning.federated.over-forgetting",),
    least=Effort.STANDARD,  # that nothing was overshot takes the rank among 64 models
    spares=SPARED,
)
def unlearning_overshoot(make: Workshop, *, planted: bool) -> System:
    """Honour a request by retraining; deliver the retrained model, pushed up the loss of the forget set or not."""
    honoured = honour(make)
    if planted:
        honoured.deliver(honoured.pushed(make, honoured.outcome.after))
    return make.finish(tables(honoured))
