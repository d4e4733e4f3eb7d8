"""Rounds whose sums come by secure aggregation: real clients and server of `secagg`, recorded as they go.

Stands between a simulated federation and its server: what a client sends is quantised, masked and added up, and what
comes back is the mean of the survivors, to a step of the quantiser.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reports.errors import FedauditError
from secagg.drops import DropPlan
from secagg.keys import Identity
from secagg.outcome import RoundResult
from secagg.setting import RoundConfig
from secagg.simulate import simulate_round
from secagg.transcript import TranscriptWriter

Tensors = Mapping[str, Tensor]


class RoundLost(FedauditError):  # noqa: N818  (what happened to it)
    """A round of secure aggregation ended without a sum."""


@dataclass(frozen=True)
class SecureRounds:
    """The way from clients to server; an `Aggregation` of `unlearning.federated.training`."""

    config: RoundConfig
    """Of every round; number, length and model are filled in."""
    identities: Mapping[str, Identity]
    """Lasting keys of the clients, by id; the i-th client of the federation is the i-th id."""
    folder: Callable[[int], Path]
    """Where a round's transcript goes."""
    drops: Callable[[int], DropPlan]
    """Who vanishes in a round."""
    rng: np.random.Generator
    """Decides the graph and the rounding; keys and masks never come from it."""
    plant: str | None = None
    """A fault of `secagg.plants` in what is recorded, to show how it is found."""

    def __call__(
        self, number: int, before: Tensors, sent: Mapping[int, Tensors]
    ) -> tuple[dict[str, Tensor], tuple[int, ...]]:
        """Return the mean of what the survivors sent, and the survivors.

        Raises:
            RoundLost: The clients refused the round, or it could not be unmasked.
        """
        clients = sorted(sent)
        rows = np.stack([flat(sent[client]) for client in clients])
        names = self.config.ids
        config = replace(self.config, length=rows.shape[1], round=number, model_sha256=model_digest(before))
        vouched = {name: key.public_key for name, key in self.identities.items()}
        with TranscriptWriter(self.folder(number), identities=vouched) as recorder:
            result = simulate_round(
                config,
                rows,
                drop=self.drops(number),
                plant=self.plant,
                rng=self.rng,
                recorder=recorder,
                identities=self.identities,
            )
        if result.mean is None or not result.exact:
            raise RoundLost("secagg.round_lost", f"round {number} ended without a sum: {result.reason}")
        alive = frozenset(result.survivors)
        chosen = tuple(client for client, name in zip(clients, names, strict=True) if name in alive)
        return _shaped(result, before), chosen


def flat(tensors: Tensors) -> NDArray[np.float32]:
    """Return all elements in the order of the tensors' names in the model."""
    return torch.cat([tensor.detach().reshape(-1) for tensor in tensors.values()]).to(torch.float32).numpy()


def model_digest(parameters: Tensors) -> str:
    """Return SHA-256 over the little-endian float32 elements: what clients compare with the round's header."""
    return sha256(flat(parameters).astype("<f4").tobytes()).hexdigest()


def _shaped(result: RoundResult, like: Tensors) -> dict[str, Tensor]:
    sizes = [tensor.numel() for tensor in like.values()]
    pieces = np.split(np.asarray(result.mean, np.float64), np.cumsum(sizes)[:-1])
    return {
        name: torch.from_numpy(piece).reshape(tensor.shape).to(tensor.dtype)
        for (name, tensor), piece in zip(like.items(), pieces, strict=True)
    }
