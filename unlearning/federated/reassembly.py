"""A federation put together again from what was retained and what was to be forgotten, each example with its client."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from unlearning.errors import UnlearningError
from unlearning.federated.data import ClientData, FederatedData, SimulatedFederation
from unlearning.federated.example_file import ExampleFile
from unlearning.federated.recipe import TrainingRecipe
from unlearning.federated.request import Split, UnlearningRequest, split

__all__ = ["Assembled", "reassembled"]


@dataclass(frozen=True, eq=False)
class Assembled:
    """A federation and what of it was to be forgotten."""

    federation: SimulatedFederation
    """All examples in their places, as far as they are known: those of a class request stand behind the others."""
    split: Split
    """As the files have it."""
    contradiction: str = ""
    """In what way the files do not hold what the request names; empty where they do."""


def reassembled(
    forget: ExampleFile,
    retain: ExampleFile,
    request: UnlearningRequest,
    recipe: TrainingRecipe,
    untrained: Callable[[], nn.Module],
    others: Mapping[str, ClientData | None],
) -> Assembled:
    """Return the federation that a request split into these two files.

    Args:
        forget: What was to be forgotten, with clients.
        retain: What stayed, with clients.
        request: What was asked.
        recipe: How the federation trains.
        untrained: Builds the model.
        others: The sets "test", "holdout", "twin" and "probes", where there are any.

    Raises:
        ValueError: A file does not say whose its examples are.
    """
    stayed, gone = _by_client(retain), _by_client(forget)
    clients = max([*stayed, *gone]) + 1
    nothing = ClientData(retain.x[:0], retain.y[:0])
    places: dict[int, npt.NDArray[np.int64]] = {}
    held: list[ClientData] = []
    for client in range(clients):
        kept, left = stayed.get(client, nothing), gone.get(client, nothing)
        if len(left):
            places[client] = _places(request, client, len(kept), len(left))
            held.append(_interleaved(kept, left, places[client]))
        else:
            held.append(kept)
    test = others.get("test")
    data = FederatedData(
        tuple(held), nothing if test is None else test,
        holdout=others.get("holdout"), twin=others.get("twin"), probes=others.get("probes"),
    )  # fmt: skip
    parts = Split(gone, tuple(stayed.get(client, nothing) for client in range(clients)), places)
    return Assembled(SimulatedFederation(data, recipe, untrained), parts, _contradiction(data, parts, request))


def _by_client(examples: ExampleFile) -> dict[int, ClientData]:
    """Return a file's examples by client, in their order."""
    if examples.client is None:
        raise ValueError("the examples have no clients")
    owners = examples.client
    whole = ClientData(examples.x, examples.y)
    return {int(client): whole.take(np.flatnonzero(owners == client)) for client in np.unique(owners)}


def _places(request: UnlearningRequest, client: int, kept: int, left: int) -> npt.NDArray[np.int64]:
    """Return where a client's forgotten examples stood among its own: as the request says, else behind the others."""
    named = next((one.indices for one in request.targets if one.number == client), None)
    if request.kind == "sample" and named is not None and len(named) == left and named[-1] < kept + left:
        return np.asarray(named, dtype=np.int64)
    return np.arange(kept, kept + left, dtype=np.int64)


def _interleaved(kept: ClientData, left: ClientData, places: npt.NDArray[np.int64]) -> ClientData:
    """Return both, the second at these places of the whole."""
    behind = np.ones(len(kept) + len(left), dtype=np.bool_)
    behind[places] = False
    order = np.empty(len(behind), dtype=np.int64)
    order[behind] = np.arange(len(kept))
    order[places] = np.arange(len(kept), len(behind))
    return ClientData(torch.cat([kept.x, left.x]), torch.cat([kept.y, left.y])).take(order)


def _contradiction(data: FederatedData, parts: Split, request: UnlearningRequest) -> str:
    """Say in what way the request would split the federation otherwise than the files do, or nothing."""
    try:
        asked = split(data, request)
    except UnlearningError as error:
        return error.message
    for client in range(len(data.clients)):
        if not np.array_equal(asked.indices.get(client, ()), parts.indices.get(client, ())):
            return f"of client {client} the files hold other examples to be forgotten than {str(request)[:80]} names"
    return ""
