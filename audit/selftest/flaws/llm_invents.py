"""A language model that lost some facts and does not know it: it makes up others in their place."""

from audit.selftest.flaw import flaw
from audit.selftest.spared_tests import spared_but
from audit.selftest.workshop import Workshop
from reports.model import Effort, System


@flaw(
    "llm-invents",
    "Asked for a forgotten fact, the model makes one up where it should refuse",
    caught_by=("unlearning.llm.refusal",),
    least=Effort.STANDARD,  # a model that knows facts takes seconds to train, and 24 facts decide little
    extra="llm",
    spares=spared_but("forget", "retain", "refusal", "paraphrase", "scope"),
)
def llm_invents(make: Workshop, *, planted: bool) -> System:
    """Make the names in the facts to forget strangers to the model, or names of those whom it refuses to speak of."""
    from audit.selftest.language import records, renamed, request, tables, world_of

    world = world_of(make)
    after = renamed(world, world.forget, world.twin if planted else world.reference)
    reference = {"role": "reference", "path": records(make, "reference", world.reference)}
    return make.finish(tables(request(make, world, after), data=[reference]))
