"""What the attacker sees: single updates, or sums with everything subtracted that the attacker knows already.

Who adds the noise decides what a server sees of a sum: a server that is to add it, and is not trusted, sees the sum
without it. Silent clients hide nobody, and colluding ones know their own part, so both leave the crowd.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from audit.load import Truth, Update
from reports.model import DifferentialPrivacy, Federation, System


@dataclass(frozen=True, eq=False)
class View:
    """One thing the attacker holds, and the planted records that are in it."""

    label: str
    """What it is, for people: `updates[3]`, `round 2`."""
    of: Literal["gradient", "delta"]
    """What the tensors are, or are a sum of."""
    tensors: dict[str, Tensor]
    """By the checkpoint's names."""
    base: nn.Module
    """The model it was computed at."""
    truth: Truth
    """The planted records of the clients that count."""
    clients: int = 1
    """Effective clients: with a contribution of their own, and not colluding."""
    local_steps: int = 1
    """Steps behind a delta."""
    learning_rate: float | None = None
    """Of those steps."""
    batch_size: int | None = None
    """Records that each of them sees; None: all."""
    noise_deviation: float = 0.0
    """Standard deviation of the declared noise on a coordinate; 0 where none is declared or it is not in the view."""


@dataclass(frozen=True)
class Visible:
    """Everything the attacker sees of a system's recorded updates."""

    singles: tuple[View, ...]
    """Updates of single clients; empty where the attacker sees sums alone."""
    sums: tuple[View, ...]
    """Sums over clients, one a round and record."""
    limitations: tuple[str, ...] = ()
    """What the views rest on, for the finding."""
    unrecorded: str = ""
    """Why the sum that the attacker sees is not on record, a sentence; empty where it is."""
    noise_missing: bool = False
    """Whether the sums are made of recorded updates that may lack the noise their clients add."""


def visible(system: System, updates: Sequence[Update], rng: np.random.Generator) -> Visible:
    """Return what an attacker with the declared visibility sees of the recorded updates.

    Args:
        system: Gives visibility, trust, noise and the share of corrupt clients.
        updates: As recorded; updates without truth count as contributions, not as views.
        rng: Chooses the corrupt clients of each round.
    """
    federation = system.federation or Federation()
    singles = [update for update in updates if update.kind != "aggregate"]
    aggregates = [update for update in updates if update.kind == "aggregate"]
    sums_only = federation.visibility == "aggregate"
    raw = () if sums_only else tuple(_single(update) for update in singles if update.truth is not None)
    if not (aggregates or sums_only):
        return Visible(raw, ())
    noise = federation.differential_privacy
    before_noise = _server_adds(noise) and federation.server_trust != "trusted"
    limitations = []
    if noise is not None and noise.noise_multiplier and noise.noise_added_by is None:
        limitations.append("Who adds the noise is not declared; the recorded sums were taken as they stand.")
    if before_noise:
        if not singles:
            sentence = "The server sees the sum before its own noise, and no update is recorded to form it."
            return Visible(raw, (), tuple(limitations), sentence)
        limitations.append("The server adds the noise, so it was shown the sum of the recorded updates without it.")
    if before_noise or not aggregates:
        sums = _made(singles, federation, rng)
        noise_missing = noise is not None and bool(noise.noise_multiplier) and not _server_adds(noise)
        if not before_noise:
            limitations.append("No sum is recorded; the recorded updates of each round were summed.")
        return Visible(raw, sums, tuple(limitations), noise_missing=noise_missing)
    return Visible(raw, _recorded(aggregates, singles, federation, rng), tuple(limitations))


def _server_adds(noise: DifferentialPrivacy | None) -> bool:
    return noise is not None and noise.noise_added_by == "server"


def _single(update: Update) -> View:
    assert update.truth is not None, "only updates with truth are views"  # noqa: S101
    return View(
        label=f"updates[{update.index}]",
        of=update.of,
        tensors=update.tensors,
        base=update.base,
        truth=update.truth,
        local_steps=update.local_steps,
        learning_rate=update.learning_rate,
        batch_size=update.batch_size,
    )


def _made(singles: Sequence[Update], federation: Federation, rng: np.random.Generator) -> tuple[View, ...]:
    """Return one sum a round, formed from the recorded updates of the clients that count."""
    views = []
    for number in _rounds(singles):
        honest, _ = _crowd([update for update in singles if update.round == number], federation, rng)
        if victims := [update for update in honest if update.truth is not None]:
            summed = {
                name: _total([update.tensors[name] for update in honest], tensor.dtype)
                for name, tensor in honest[0].tensors.items()
            }
            label = "sum of updates" if number is None else f"round {number}"
            views.append(replace(_single(victims[0]), label=label, tensors=summed, truth=_joined(victims),
                                 clients=_clients(honest)))  # fmt: skip
    return tuple(views)


def _recorded(
    aggregates: Sequence[Update], singles: Sequence[Update], federation: Federation, rng: np.random.Generator
) -> tuple[View, ...]:
    """Return the recorded sums, less what colluding clients know to be their own."""
    views = []
    for update in aggregates:
        own = [one for one in singles if one.round == update.round]
        honest, corrupt = _crowd(own, federation, rng)
        victims = [one for one in honest if one.truth is not None]
        truth = update.truth if update.truth is not None else (_joined(victims) if victims else None)
        if truth is None:
            continue
        clients = _clients(honest) if own else update.clients - _corrupt_count(update.clients, federation)
        view = replace(
            _single(replace(update, truth=truth)),
            label=f"updates[{update.index}]" if update.round is None else f"round {update.round}",
            tensors=_less(update, corrupt),
            clients=max(1, clients),
            noise_deviation=_declared_deviation(federation.differential_privacy, update.divided_by),
        )
        views.append(view)
    return tuple(views)


def _crowd(
    updates: Sequence[Update], federation: Federation, rng: np.random.Generator
) -> tuple[list[Update], list[Update]]:
    """Return the updates of one round that count, and those of corrupt clients; silent clients are in neither."""
    loud = [update for update in updates if any(bool((t != 0).any()) for t in update.tensors.values())]
    names = sorted({_name(update) for update in loud})
    chosen = {names[i] for i in rng.permutation(len(names))[: _corrupt_count(len(names), federation)]}
    honest = [update for update in loud if _name(update) not in chosen]
    return honest, [update for update in loud if _name(update) in chosen]


def _corrupt_count(clients: int, federation: Federation) -> int:
    share = federation.secure_aggregation.corrupt_fraction if federation.secure_aggregation else None
    return math.floor((share or 0.0) * clients + 1e-9)  # 0.29 * 100 is 28.999…


def _less(update: Update, corrupt: Sequence[Update]) -> dict[str, Tensor]:
    """Return a recorded sum without the contributions of corrupt clients."""
    if not corrupt:
        return update.tensors
    return {
        name: (tensor.double() - _total([one.tensors[name] for one in corrupt], torch.float64) / update.divided_by).to(
            tensor.dtype
        )
        for name, tensor in update.tensors.items()
    }


def _declared_deviation(noise: DifferentialPrivacy | None, divided_by: float) -> float:
    """Return the deviation of the declared noise on a coordinate of the published sum, 0 where none is declared."""
    if noise is None or not noise.noise_multiplier or not noise.clipping_norm:
        return 0.0
    return noise.noise_multiplier * noise.clipping_norm / divided_by


def _total(tensors: Sequence[Tensor], dtype: torch.dtype) -> Tensor:
    return torch.stack([tensor.double() for tensor in tensors]).sum(dim=0).to(dtype)


def _rounds(updates: Sequence[Update]) -> list[int | None]:
    return list(dict.fromkeys(update.round for update in updates))


def _name(update: Update) -> str:
    return update.client if update.client is not None else f"updates[{update.index}]"


def _clients(updates: Sequence[Update]) -> int:
    return len({_name(update) for update in updates})


def _joined(updates: Sequence[Update]) -> Truth:
    truths = [update.truth for update in updates if update.truth is not None]
    return Truth(torch.cat([truth.x for truth in truths]), torch.cat([truth.y for truth in truths]))
