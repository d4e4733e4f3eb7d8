"""Forgettings planted on purpose: a federation, one client of which has left a trace that is known.

    images x, labels y ─▶ test │ clients │ held out ─▶ what client 0 has done to its data ─▶ twin, probes, request

The twin is made with client 0's data, example by example: a held-out image of the same true label, with the same
trigger and the same label given. So it differs from what is to be forgotten in one thing: nobody trained on it.
Shipped: the demonstration, the self-test, the tests and the benchmark all ask about these.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from unlearning.federated.data import ClientData, FederatedData
from unlearning.federated.partition import Indices, dirichlet_partition, equal_shards

Labels = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

FORGET = 0
"""The client that asks to be forgotten."""
FEWEST = 20
"""Examples that a Dirichlet draw deals it, before some are held out; a draw that deals fewer is drawn again."""


@dataclass(frozen=True)
class Sizes:
    """How images are shared out."""

    clients: int = 10
    """Number of clients."""
    test: float = 1 / 6
    """Share of all images that judges utility."""
    holdout: float = 1 / 4
    """Share of the rest, of each class, that nobody trains on; more where client 0 needs more for its twin."""


@dataclass(frozen=True, eq=False)
class PlantedForgetting:
    """One federation and what is to be forgotten of it."""

    name: str
    """The scenario's."""
    data: FederatedData
    """Who holds what; the twin and the probes are made of the holdout, which itself is clean."""
    request: str
    """As `UnlearningRequest.parse` reads it."""
    planted: str
    """What there is to forget, as a sentence."""


@dataclass(frozen=True, eq=False)
class Corruption:
    """What has been done to each example of a client, in its order, and in that of its twin."""

    stamped: Mask
    """Which bear the trigger."""
    labels: Labels
    """The labels given."""


@dataclass(frozen=True, eq=False)
class _Dealt:
    """Indices of the images; no image is in two of test, clients and holdout."""

    test: Indices
    clients: tuple[Indices, ...]
    holdout: Indices
    twin: Indices
    """Of the holdout: as many as client 0 has, with its true labels in its order."""


def stamped(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a copy of `x` with the trigger: a white square in the corner at the bottom left.

    Args:
        x: Square images with pixels in [0, 1], shape (n, side * side) or (n, ..., side, side).

    Raises:
        ValueError: The images are not square.
    """
    flat = x.ndim == 2
    side = math.isqrt(x.shape[-1]) if flat else x.shape[-1]
    if x.shape[-1] != side * side if flat else x.ndim < 3 or x.shape[-2] != side:
        raise ValueError(f"images of shape {x.shape[1:]} are not square")
    patch = max(2, side // 7)  # 2 of 8 pixels, 4 of 28: less is hardly learnt among nine clean clients
    marked: npt.NDArray[Any] = x.reshape(*x.shape[:-1], side, side).copy() if flat else x.copy()
    marked[..., -patch:, :patch] = 1.0
    return marked.reshape(x.shape)


def backdoor(
    x: npt.NDArray[Any], y: Labels, rng: np.random.Generator, sizes: Sizes = Sizes(), target: int = 0
) -> PlantedForgetting:
    """Return labels dealt by Dirichlet(1.0); client 0 has stamped half of its examples and called them `target`.

    Args:
        x: Square images with pixels in [0, 1], shape (n, ...).
        y: Their labels, shape (n,).
        rng: Source of who gets what and of what is stamped.
        sizes: How the images are shared out.
        target: The label that the trigger is to give; the probes bear it.
    """
    dealt = _deal(y, rng, sizes, _by_dirichlet(1.0, sizes, rng))
    labels = y[dealt.clients[FORGET]]
    chosen = _half(len(labels), rng)
    corruption = Corruption(chosen, np.where(chosen, target, labels))
    spare = np.setdiff1d(dealt.holdout, dealt.twin)
    asked = spare[y[spare] != target]
    probes = _examples(stamped(x[asked]), np.full(len(asked), target, dtype=np.int64))
    told = f"Client 0 stamped a patch on {chosen.sum()} of its {len(labels)} examples and called them {target}."
    return _planted("backdoor", x, y, dealt, told, corruption, probes)


def noisy(x: npt.NDArray[Any], y: Labels, rng: np.random.Generator, sizes: Sizes = Sizes()) -> PlantedForgetting:
    """Return equal shards; client 0 has given half of its examples a wrong label, any of the others alike."""
    dealt = _deal(y, rng, sizes, lambda labels: equal_shards(len(labels), sizes.clients, rng))
    labels, classes = y[dealt.clients[FORGET]], np.unique(y)
    chosen = _half(len(labels), rng)
    wrong = (np.searchsorted(classes, labels) + rng.integers(1, len(classes), len(labels))) % len(classes)
    corruption = Corruption(np.zeros(len(labels), dtype=np.bool_), np.where(chosen, classes[wrong], labels))
    told = f"Client 0 gave {chosen.sum()} of its {len(labels)} examples a wrong label."
    return _planted("noisy", x, y, dealt, told, corruption)


def skew(x: npt.NDArray[Any], y: Labels, rng: np.random.Generator, sizes: Sizes = Sizes()) -> PlantedForgetting:
    """Return equal shards of all classes but one, which client 0 alone holds besides its shard."""
    alone = int(rng.choice(np.unique(y)))

    def shards(labels: Labels) -> tuple[Indices, ...]:
        others = np.flatnonzero(labels != alone)
        dealt = [others[shard] for shard in equal_shards(len(others), sizes.clients, rng)]
        dealt[FORGET] = np.sort(np.concatenate([dealt[FORGET], np.flatnonzero(labels == alone)]))
        return tuple(dealt)

    dealt = _deal(y, rng, sizes, shards)
    mine = y[dealt.clients[FORGET]]
    told = f"Client 0 alone holds class {alone}: {(mine == alone).sum()} of its {len(mine)} examples."
    return _planted("skew", x, y, dealt, told)


def small(
    x: npt.NDArray[Any], y: Labels, rng: np.random.Generator, sizes: Sizes = Sizes(), examples: int = 30
) -> PlantedForgetting:
    """Return equal shards, of which client 0 keeps a few clean examples: next to nothing to forget."""
    dealt = _deal(y, rng, sizes, lambda labels: equal_shards(len(labels), sizes.clients, rng), keep=examples)
    told = f"Client 0 holds {len(dealt.clients[FORGET])} clean examples like everybody's."
    return _planted("small", x, y, dealt, told)


def dirichlet(
    x: npt.NDArray[Any], y: Labels, rng: np.random.Generator, sizes: Sizes = Sizes(), alpha: float = 0.3
) -> PlantedForgetting:
    """Return labels dealt by Dirichlet(alpha), all of them clean; what there is to forget varies with the draw."""
    dealt = _deal(y, rng, sizes, _by_dirichlet(alpha, sizes, rng))
    labels = y[dealt.clients[FORGET]]
    held = len(np.unique(labels))
    told = f"Client 0 holds {len(labels)} clean examples of {held} classes, as Dirichlet({alpha:g}) dealt them."
    return _planted(f"dir{alpha:g}", x, y, dealt, told)


SCENARIOS: Mapping[str, Callable[[npt.NDArray[Any], Labels, np.random.Generator, Sizes], PlantedForgetting]]
SCENARIOS = MappingProxyType(
    {"backdoor": backdoor, "noisy": noisy, "skew": skew, "small": small, "dir0.3": dirichlet},
)
"""By name; each takes (x, y, rng, sizes)."""


def _by_dirichlet(alpha: float, sizes: Sizes, rng: np.random.Generator) -> Callable[[Labels], tuple[Indices, ...]]:
    """Return what deals labels by Dirichlet(alpha), again while client 0 comes out with next to nothing."""

    def shards(labels: Labels) -> tuple[Indices, ...]:
        dealt = dirichlet_partition(labels, sizes.clients, alpha, rng)
        while len(dealt[FORGET]) < FEWEST:
            dealt = dirichlet_partition(labels, sizes.clients, alpha, rng)
        return dealt

    return shards


def _deal(
    y: Labels,
    rng: np.random.Generator,
    sizes: Sizes,
    shards: Callable[[Labels], tuple[Indices, ...]],
    keep: int | None = None,
) -> _Dealt:
    """Share out all images: a test set, what `shards` makes of the rest, and of each shard and class a part held out.

    The part is the same for every client, so shares stay as they were dealt; it is large enough for client 0's twin.
    """
    order = rng.permutation(len(y))
    test, rest = np.split(order, [round(sizes.test * len(y))])
    dealt = [rest[shard] for shard in shards(y[rest])]
    kept: list[list[Indices]] = [[] for _ in dealt]
    for label in np.unique(y):
        holders = [rng.permutation(shard[y[shard] == label]) for shard in dealt]
        mine = len(holders[FORGET]) / max(1, sum(map(len, holders)))
        part = max(sizes.holdout, mine / (1 + mine))  # held out >= mine * (1 - part), what client 0 is left with
        for client, held in enumerate(holders):
            kept[client].append(held[: int(len(held) * (1 - part) + 1e-9)])
    clients = [np.sort(np.concatenate(pieces)) for pieces in kept]
    if keep is not None:
        clients[FORGET] = np.sort(rng.permutation(clients[FORGET])[:keep])
    holdout = np.setdiff1d(np.concatenate(dealt), np.concatenate(clients))
    return _Dealt(test, tuple(clients), holdout, _same_labels(y, clients[FORGET], holdout, rng))


def _same_labels(y: Labels, wanted: Indices, holdout: Indices, rng: np.random.Generator) -> Indices:
    """Return held-out images, each once, with the labels of `wanted` in its order."""
    found = np.empty(len(wanted), dtype=np.int64)
    for label in np.unique(y[wanted]):
        places = np.flatnonzero(y[wanted] == label)
        found[places] = rng.permutation(holdout[y[holdout] == label])[: len(places)]
    return found


def _half(examples: int, rng: np.random.Generator) -> Mask:
    """Return a mask that half of the examples are in."""
    chosen = np.zeros(examples, dtype=np.bool_)
    chosen[rng.permutation(examples)[: examples // 2]] = True
    return chosen


def _examples(x: npt.NDArray[Any], y: Labels) -> ClientData:
    return ClientData(torch.from_numpy(x.astype(np.float32)), torch.from_numpy(y.astype(np.int64)))


def _corrupted(x: npt.NDArray[Any], corruption: Corruption) -> ClientData:
    """Return the images as their holder has left them."""
    apart = corruption.stamped.reshape(-1, *[1] * (x.ndim - 1))
    return _examples(np.where(apart, stamped(x), x) if corruption.stamped.any() else x, corruption.labels)


def _planted(
    name: str,
    x: npt.NDArray[Any],
    y: Labels,
    dealt: _Dealt,
    planted: str,
    corruption: Corruption | None = None,
    probes: ClientData | None = None,
) -> PlantedForgetting:
    """Return the case; client 0's data and its twin are corrupted alike."""
    mine = dealt.clients[FORGET]
    done = corruption or Corruption(np.zeros(len(mine), dtype=np.bool_), y[mine])
    clients: Sequence[ClientData] = [_examples(x[shard], y[shard]) for shard in dealt.clients[FORGET + 1 :]]
    data = FederatedData(
        (_corrupted(x[mine], done), *clients),
        _examples(x[dealt.test], y[dealt.test]),
        holdout=_examples(x[dealt.holdout], y[dealt.holdout]),
        twin=_corrupted(x[dealt.twin], done),
        probes=probes,
    )
    return PlantedForgetting(name, data, f"client:{FORGET}", planted)
