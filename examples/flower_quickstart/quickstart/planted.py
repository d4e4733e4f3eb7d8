"""What an audit is given to look for: each client's planted records, and digits that no client holds."""

from typing import Any

import torch
from flwr.app import Context

from quickstart.task import data_of, digits


def load_planted(context: Context) -> Any:
    """Return the records that a client trains on, as its own app loads them."""
    return data_of(context)[0]


def public() -> tuple[torch.Tensor, torch.Tensor]:
    """Return digits that are planted with nobody in a federation of up to 64 clients with one record each."""
    x, y = digits()
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(0))
    return x[order[64:]], y[order[64:]]
