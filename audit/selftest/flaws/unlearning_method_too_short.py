"""A method that cannot forget: a round of further training, honestly carried out and honestly recorded."""

from audit.selftest.flaw import flaw
from audit.selftest.forgetting import SPARED, honour, tables
from audit.selftest.workshop import Workshop
from reports.model import Effort, System


@flaw(
    "unlearning-method-too-short",
    "The method is one more round without the client, by which no model forgets",
    caught_by=("unlearning.federated.method", "unlearning.federated.residual"),
    least=Effort.STANDARD,  # a method is judged over 64 models of a side
    spares=SPARED,
)
def unlearning_method_too_short(make: Workshop, *, planted: bool) -> System:
    """Honour a request by a round of fine-tuning, or by retraining."""
    honoured = honour(make, name="finetune", rounds=1) if planted else honour(make)
    return make.finish(tables(honoured, "twin"))
