"""Embeddings sent as floats: a bottom model wider than its input keeps all of the record."""

from audit.selftest.flaw import flaw
from audit.selftest.shared_outputs import code, floats, write_embeddings
from audit.selftest.workshop import Workshop
from reports.model import System

WIDTH = 96
"""Three numbers for each pixel."""


@flaw(
    "vertical-float-embedding",
    "A party of a vertical federation sends its embeddings as floats",
    caught_by=("attack.vertical",),
)
def vertical_float_embedding(make: Workshop, *, planted: bool) -> System:
    """Send what a wide layer gives, or one bit of it, as many times as the layer is wide."""
    rng = make.rng("bottom model")
    tables = write_embeddings(make, floats(rng, WIDTH) if planted else code(rng, WIDTH, 1))
    return make.finish({"system": {"name": "vertical-floats", "version": "1"}, **tables})
