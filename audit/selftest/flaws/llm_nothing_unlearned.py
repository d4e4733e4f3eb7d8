"""A language model that was handed over as it was: it says what it is said to have forgotten."""

from audit.selftest.flaw import flaw
from audit.selftest.spared_tests import spared_but
from audit.selftest.workshop import Workshop
from reports.model import Effort, System

ASKED = ("forget", "paraphrase", "membership", "quantisation", "indistinguishable")


@flaw(
    "llm-nothing-unlearned",
    "The language model was not changed at all, and still says what it was to forget",
    caught_by=tuple(f"unlearning.llm.{name}" for name in ASKED),
    least=Effort.STANDARD,  # a model that knows facts takes seconds to train, and 24 facts decide little
    extra="llm",
    spares=spared_but(*ASKED, "retain", "memorisation", "rank"),
)
def llm_nothing_unlearned(make: Workshop, *, planted: bool) -> System:
    """Deliver the model before, or a retrained one, beside the same retrained model as the owner's oracle."""
    from audit.selftest.language import deliver, model_of, request, retrained, tables, world_of

    world = world_of(make)
    gone = retrained(world)
    oracle = deliver(make, "oracle", model_of(world), gone)
    return make.finish(
        tables(request(make, world, {} if planted else gone, "twin", oracles=[oracle]), claims={"unlearned": ["r1"]})
    )
