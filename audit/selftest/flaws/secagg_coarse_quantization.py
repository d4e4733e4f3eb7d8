"""Updates that do not survive the way into the ring."""

import torch

from audit.selftest import secure
from audit.selftest.delivered import MODEL, regression
from audit.selftest.flaw import flaw
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw(
    "secagg-coarse-quantization",
    "Updates are rounded to so few levels that little of them is left",
    caught_by=("secagg.quantization",),
)
def secagg_coarse_quantization(make: Workshop, *, planted: bool) -> System:
    """Record what clients would send, and declare sixteen levels for it, or four million."""
    rows = secure.noised(make, "round 1", secure.updates(make, secure.CLIENTS), secure.NOISE_MULTIPLIER)
    for place, row in enumerate(rows, start=1):
        weight = torch.from_numpy(row).reshape(secure.PIXELS, secure.CLASSES).T
        path = f"updates/c{place:05d}.safetensors"
        make.files.update(path, {"weight": weight}, kind="delta", client=f"c{place:05d}", round=1)
    section = secure.declared_round(secure.ROUND)
    if planted:
        section["quantization_levels"] = 16
    model = {"checkpoint": make.files.tensors(MODEL, regression(make, 0))}
    return make.finish(secure.tables(section, model=model))
