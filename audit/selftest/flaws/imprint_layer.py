"""A first layer of one row over and over, each with another threshold: its gradient is a list of records."""

import torch
from torch import Tensor, nn

from audit.selftest.flaw import flaw
from audit.selftest.released import CLASSES, SHAPE, classifier, records, untrained
from audit.selftest.workshop import Workshop
from reports.model import System
from unlearning.models import layer_list

UNITS = 128
OWN = 700
"""Digits by which the server sets its thresholds; the auditor has others."""


@flaw(
    "imprint-layer",
    "The first layer of the model is built to copy records into its gradient",
    caught_by=("attack.imprint",),
)
def imprint_layer(make: Workshop, *, planted: bool) -> System:
    """Release a model whose first layer is an imprint module, or one that is as it was initialised."""
    digits = make.digits(OWN, 1, 0)
    layers = layer_list("mlp", SHAPE, CLASSES, hidden=(UNITS, SHAPE[0]))
    model = untrained(make, layers)
    if planted:
        imprint(model, digits.clients[0].x, make.generator("imprint"))
    tables = {"model": classifier(make, model, layers), "data": records(make, {"reference": digits.reference})}
    return make.finish({"system": {"name": "imprint", "version": "1"}, **tables})


def imprint(model: nn.Sequential, x: Tensor, generator: torch.Generator) -> None:
    """Build the imprint module of Robbing the Fed (arXiv:2110.13057) into the first layer and the next.

    Every unit measures the same brightness; its threshold is a quantile of it, so that a record lies between two units'
    thresholds and nothing else does. Rows are rescaled and permuted, which hides them from who compares numbers.

    Args:
        model: Linear, activation, linear; changed in place.
        x: Records that show how the measurement is spread, shape (n, d).
        generator: Draws direction, scales and order.
    """
    weights = model.state_dict()
    units, width = weights["0.weight"].shape
    direction = torch.randn(width, generator=generator)
    scale = torch.exp(2 * torch.rand(units, generator=generator) - 1)
    order = torch.randperm(units, generator=generator)
    thresholds = torch.quantile(x @ direction, (torch.arange(units) + 0.5) / units)
    spread = torch.randn(len(weights["2.weight"]), 1, generator=generator)
    built = {
        "0.weight": (scale[:, None] * direction)[order],
        "0.bias": (-scale * thresholds)[order],
        "2.weight": (spread / scale / units)[:, order],
    }
    model.load_state_dict({**weights, **built})
