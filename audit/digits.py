"""Scikit-learn's handwritten digits, dealt out for a federation: 1,797 public images of 8 x 8 pixels, no two equal."""

import itertools
from dataclasses import dataclass

import numpy as np
import torch

from unlearning.federated.data import ClientData
from unlearning.federated.training import Generators


@dataclass(frozen=True, eq=False)
class Digits:
    """The digits, dealt out: no image is in two of the parts."""

    clients: tuple[ClientData, ...]
    """What each client trains on, equal shares."""
    planted: tuple[tuple[ClientData, ...], ...]
    """One record for each recorded round and client."""
    reference: ClientData
    """Held by nobody: public records of the same kind."""


def deal(examples: int, clients: int, rounds: int, generator: Generators) -> Digits:
    """Return the digits, flat and with pixels in [0, 1], shuffled and dealt out.

    Args:
        examples: Images to train on, all clients together; what is left over by equal shares is public.
        clients: Number of clients.
        rounds: Rounds in which each client has a planted record.
        generator: Source of the order.
    """
    from sklearn.datasets import load_digits  # a second to import, which only those who train pay

    found = load_digits()
    order = torch.randperm(len(found.data), generator=generator("digits"))
    x = torch.from_numpy((found.data / 16).astype(np.float32))[order]
    y = torch.from_numpy(found.target.astype(np.int64))[order]
    sizes = [examples // clients] * clients + [1] * (rounds * clients)
    ends = list(itertools.accumulate(sizes, initial=0))
    parts = [ClientData(x[start:end], y[start:end]) for start, end in itertools.pairwise(ends)]
    planted = tuple(tuple(parts[first : first + clients]) for first in range(clients, len(parts), clients))
    return Digits(tuple(parts[:clients]), planted, ClientData(x[ends[-1] :], y[ends[-1] :]))
