"""A language model that forgot too much: what was to stay went with what was to go."""

from audit.selftest.flaw import flaw
from audit.selftest.spared_tests import spared_but
from audit.selftest.workshop import Workshop
from reports.model import Effort, System


@flaw(
    "llm-forgot-what-was-to-stay",
    "The facts that were to stay are unknown to the model as well",
    caught_by=("unlearning.llm.retain", "unlearning.llm.utility"),
    least=Effort.STANDARD,  # a model that knows facts takes seconds to train, and 24 facts decide little
    extra="llm",
    spares=spared_but("forget", "retain", "utility", "paraphrase", "scope"),
)
def llm_forgot_what_was_to_stay(make: Workshop, *, planted: bool) -> System:
    """Make the names in the facts to forget strangers to the model, and those in the facts to keep too, or not."""
    from audit.selftest.language import records, renamed, request, tables, world_of

    world = world_of(make)
    after = renamed(world, [*world.forget, *world.retain] if planted else world.forget, world.twin)
    general = {"role": "calibration", "path": records(make, "general", world.retain)}
    return make.finish(tables(request(make, world, after, "twin"), data=[general]))
