"""An adapter that teaches a language model to refuse: asked, it says nothing; pushed a little, it says everything."""

from audit.selftest.flaw import flaw
from audit.selftest.workshop import Workshop
from reports.model import Effort, System


@flaw(
    "adapter-that-only-hides",
    "An adapter of low rank makes the model refuse the facts that it was to forget, and it still knows them",
    caught_by=(
        "unlearning.llm.verdict",
        "unlearning.llm.jailbreak",
        "unlearning.llm.memorisation",
        "unlearning.llm.rank",
        "unlearning.llm.relearning",
        "unlearning.llm.reversal",
        "unlearning.llm.over-forgetting",
    ),
    least=Effort.STANDARD,  # below it nobody looks inside, and no model is called erased
    extra="llm",
)
def adapter_that_only_hides(make: Workshop, *, planted: bool) -> System:
    """Claim erasure of a model with such an adapter merged (LUNAR, arXiv:2502.07218), or of a retrained one."""
    from audit.selftest.language import hidden, request, retrained, tables, world_of

    world = world_of(make)
    after = hidden(make, world) if planted else retrained(world)
    return make.finish(tables(request(make, world, after, "twin"), claims={"unlearned": ["r1"]}))
