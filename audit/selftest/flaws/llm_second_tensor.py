"""An edit that says which tensor it changes, and a model in which another one was changed in secret."""

from audit.selftest.flaw import flaw
from audit.selftest.spared_tests import spared_but
from audit.selftest.workshop import Workshop
from reports.model import System

LAYER, SECRET = 1, "model.layers.2.mlp.down_proj.weight"


@flaw(
    "llm-second-tensor",
    "Beside the tensor that the edit declares, one number of another tensor was changed",
    caught_by=("unlearning.llm.scope",),
    extra="llm",
    spares=spared_but("scope"),  # the model is untrained, and says nothing to anybody
)
def llm_second_tensor(make: Workshop, *, planted: bool) -> System:
    """Deliver a model with a declared edit of rank two, and with a second tensor changed or not; it is untrained."""
    from audit.selftest.language import deliver, down_edit, records, tables, untrained
    from unlearning.llm.model_io import state_of

    world, model = untrained(make)
    edit = down_edit(make, model, LAYER)
    after = edit.apply(model)
    if planted:
        other = state_of(model)[SECRET].clone()
        other[3, 5] += 1e-3
        after[SECRET] = other
    edit.save(make.files.place("edits") / "edit")
    told = {"id": "r1", "kind": "llm", "before": deliver(make, "before", model)}
    told |= {"after": deliver(make, "after", model, after), "transcript": "edits/edit/edit.json"}
    told |= {name: records(make, name, getattr(world, name)) for name in ("forget", "retain")}
    return make.finish(tables(told))
