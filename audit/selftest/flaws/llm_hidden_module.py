"""An adapter with more in it than its configuration says: a module that nobody was told of."""

from audit.selftest.flaw import flaw
from audit.selftest.workshop import Workshop
from reports.model import System

LAYER, HIDDEN = 1, "base_model.model.model.layers.0.mlp.down_proj"


@flaw(
    "llm-hidden-module",
    "The adapter holds the factors of a module that its configuration does not name",
    caught_by=("unlearning.llm.adapter",),
    extra="llm",
)
def llm_hidden_module(make: Workshop, *, planted: bool) -> System:
    """Deliver an adapter of one module, with the factors of a second one in its file or of that one alone."""
    from safetensors.torch import load_file

    from audit.selftest.language import deliver, down_edit, rewritten, tables, untrained

    _, model = untrained(make)
    folder = make.files.folder("adapter")
    down_edit(make, model, LAYER).to_adapter(folder)
    if planted:
        weights = folder / "adapter_model.safetensors"
        own = load_file(weights)
        more = {
            f"{HIDDEN}.{name.rpartition('down_proj.')[2]}": tensor.flip(0).contiguous() for name, tensor in own.items()
        }
        rewritten(weights, {**own, **more})
    told = {"id": "r1", "kind": "llm", "after": "adapter"}
    return make.finish(tables(told, model={"checkpoint": deliver(make, "base", model)}))
