"""Forgetting by one step up the gradient: whoever holds both models holds that gradient."""

import torch

from audit.selftest.flaw import flaw
from audit.selftest.single_updates import (
    SHAPE,
    Training,
    as_tensors,
    described,
    initialised,
    noised,
    perceptron,
    unprotected,
    update_of,
    write_model,
)  # fmt: skip
from audit.selftest.workshop import Workshop
from reports.model import System
from unlearning.federated.data import ClientData

RECORDS, HIDDEN = 60, 512
"""One record alone can fail but never pass; of sixty in one step a wide layer still hands many over."""
RATE = 0.1
MOVES = ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0))
"""Public digits, each also moved by a pixel: sixty records need three thousand others beside them."""


@flaw(
    "difference-shows-forgotten",
    "Records are forgotten by one step of gradient ascent, so that the difference of the models is their gradient",
    caught_by=("attack.unlearning-difference",),
)
def difference_shows_forgotten(make: Workshop, *, planted: bool) -> System:
    """Release a model after one step of ascent on the records, clear, or clipped and noised."""
    digits = make.digits(RECORDS, 1, 0)
    [forgotten] = digits.clients
    layers = perceptron(HIDDEN)
    model = initialised(make, layers)
    before = write_model(make, layers, model, _moved(digits.reference))
    gradient = update_of(model, forgotten, Training(records=RECORDS))
    step = (unprotected if planted else noised)(gradient, make.rng("noise"))
    start = model.state_dict()
    after = {name: start[name] + RATE * change for name, change in as_tensors(step).items()}
    request = {
        "id": "request-1",
        "kind": "sample",
        "before": before,
        "after": make.files.tensors("after.safetensors", after),
        "forget": make.files.records("forget.npz", forgotten.x, forgotten.y),
    }
    return make.finish({**described("difference", {"clients": 1}), "unlearning": [request]})


def _moved(public: ClientData) -> ClientData:
    pictures = public.x.reshape(-1, 8, 8)
    x = torch.cat([pictures.roll(by, dims=(1, 2)) for by in MOVES]).reshape(-1, *SHAPE)
    return ClientData(x, public.y.repeat(len(MOVES)))
