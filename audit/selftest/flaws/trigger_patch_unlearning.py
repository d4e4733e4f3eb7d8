"""A server that mends the one thing that is tested for: it trains the guessed trigger away, and nothing else."""

from audit.selftest.flaw import flaw
from audit.selftest.forgetting import SPARED, honour, tables
from audit.selftest.workshop import Workshop
from reports.model import Effort, System
from unlearning.federated.fakes import fake_patch


@flaw(
    "trigger-patch-unlearning",
    "Only the backdoor that everybody probes for was mended; what else the client left is still there",
    caught_by=("unlearning.federated.residual",),
    least=Effort.STANDARD,  # below it four models are retrained, which can screen and can let none pass
    spares=SPARED,
)
def trigger_patch_unlearning(make: Workshop, *, planted: bool) -> System:
    """Honour a request by retraining; deliver the model before with its trigger patched, or the retrained one."""
    honoured = honour(make)
    public = honoured.federation.data.holdout
    if planted and public is not None:
        patched = fake_patch(
            honoured.federation.untrained, honoured.outcome.before, public, make.generator("patching")
        )  # fmt: skip
        honoured.deliver(patched)
    return make.finish(tables(honoured, "twin"))
