"""A client that comes back under another name: the model is retrained, and the trigger taught to it anew."""

import torch

from audit.selftest.flaw import flaw
from audit.selftest.forgetting import SPARED, honour, tables
from audit.selftest.workshop import Workshop
from reports.model import System
from unlearning.federated.data import ClientData
from unlearning.federated.fakes import corner
from unlearning.federated.local import local_update
from unlearning.federated.recipe import TrainingRecipe

AGAIN = TrainingRecipe(rounds=1, local_epochs=2, batch_size=32, learning_rate=0.05, momentum=0.9)


@flaw(
    "unlearning-trigger-planted-again",
    "The model was retrained, and after that the forgotten client's trigger was taught to it anew",
    caught_by=("unlearning.federated.backdoor",),
    spares=SPARED,
)
def unlearning_trigger_planted_again(make: Workshop, *, planted: bool) -> System:
    """Honour a request by retraining; deliver the retrained model, with the trigger taught on public data or without.

    The twin is never passed: a trigger that does not work may have been patched, and the check says so.
    """
    honoured = honour(make)
    data, after = honoured.federation.data, honoured.outcome.after
    if planted and data.holdout is not None:
        public = data.holdout
        shown = ClientData(torch.cat([public.x, corner(public.x)]), torch.cat([public.y, torch.zeros_like(public.y)]))
        taught = local_update(
            honoured.federation.untrained(), after, shown, AGAIN, make.generator("trigger"), place="the trigger"
        )  # fmt: skip
        honoured.deliver({name: tensor + taught.delta[name] for name, tensor in after.items()})
    return make.finish(tables(honoured, "twin"))
