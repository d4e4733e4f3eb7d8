"""Federated training, simulated: clients take local steps from the global model, the server averages what they send.

    initial state ─▶ round 1 ─▶ … ─▶ round R        one round: participants ─▶ local updates ─▶ (clip, noise) ─▶ mean

Every random number comes from a generator of its own purpose ("round/3/client/4/batches"), derived from one seed:
leaving a client out changes no other client's batches, and torch's global stream is never touched.
"""

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from unlearning.errors import UnlearningError
from unlearning.federated.contributions import Generators, contributions, noised_by_server, sent_by_clients
from unlearning.federated.data import SimulatedFederation
from unlearning.federated.local import PLAIN, LocalSteps, LocalUpdate, Work, batches, local_update
from unlearning.federated.privacy import Tensors, clipped, norm
from unlearning.federated.recipe import ClientPrivacy, TrainingRecipe

__all__ = [
    "ClientPrivacy",
    "Generators",
    "LocalSteps",
    "LocalUpdate",
    "RoundRecord",
    "State",
    "TrainingRecipe",
    "Work",
    "batches",
    "clipped",
    "federated_round",
    "initial_state",
    "local_update",
    "norm",
    "participants",
    "seeded",
    "train",
]


Aggregation = Callable[[int, Tensors, Mapping[int, Tensors]], tuple[Tensors, tuple[int, ...]]]
"""Told the round, the global model and what each client sends; returns a mean, and the clients that are in it."""


def seeded(seed: int) -> Generators:
    """Return generators derived from `seed` by purpose: sha256 of "seed/purpose"."""

    def generator(purpose: str) -> torch.Generator:
        digest = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)

    return generator


@dataclass(frozen=True, eq=False)
class State:
    """A federation between two rounds."""

    parameters: Tensors
    """The global model: its state dict."""
    rounds: int = 0
    """Rounds behind it."""
    velocity: Tensors | None = None
    """The server's momentum, where it has any."""
    work: Work = field(default_factory=Work)
    """What it cost so far."""


@dataclass(frozen=True, eq=False)
class RoundRecord:
    """Everything that happened in a round; what of it a server would see is for the reader to choose."""

    round: int
    """Counted from 1."""
    before: Tensors
    """The global model the clients started from."""
    after: Tensors
    """The global model the round ended with."""
    participants: tuple[int, ...]
    """The clients, in the order of `deltas`."""
    deltas: tuple[Tensors, ...]
    """Each client's update, after clipping and before noise."""
    weights: tuple[float, ...]
    """Each client's weight in the mean; they sum to 1."""
    mean: Tensors
    """The weighted mean that the server works with, noise included."""
    noise_standard_deviation: float
    """Of the noise on the *sum* of the updates, a coordinate; 0 without privacy."""
    losses: tuple[float, ...]
    """Each client's loss, in nats."""
    capped: tuple[float, ...] = ()
    """Each client's share of examples that pulled no more, where its objective has a cap."""


def initial_state(federation: SimulatedFederation, generator: Generators) -> State:
    """Return the untrained global model."""
    module = federation.build_model(generator("initialisation"))
    return State({name: tensor.detach().clone() for name, tensor in module.state_dict().items()})


def train(
    federation: SimulatedFederation,
    *,
    exclude: Collection[int] = (),
    seed: int | None = None,
    recorder: Callable[[RoundRecord], None] | None = None,
    generator: Generators | None = None,
) -> State:
    """Return the federation after all rounds of its recipe.

    Args:
        federation: Data, recipe and model.
        exclude: Clients that take no part.
        seed: Of all randomness; the recipe's where None.
        recorder: Told of every round.
        generator: Where the caller derives the generators; from `seed` where None.

    Raises:
        UnlearningError: No client with examples is left, or the model cannot be trained privately.
        TrainingDiverged: A loss is not finite.
    """
    generator = generator or seeded(federation.recipe.seed if seed is None else seed)
    state = initial_state(federation, generator)
    for _ in range(federation.recipe.rounds):
        state = federated_round(federation, state, generator, exclude=exclude, recorder=recorder)
    return state


def federated_round(
    federation: SimulatedFederation,
    state: State,
    generator: Generators,
    *,
    exclude: Collection[int] = (),
    recorder: Callable[[RoundRecord], None] | None = None,
    aggregation: Aggregation | None = None,
    local: LocalSteps = PLAIN,
) -> State:
    """Return the federation after one more round; arguments and errors as in `train`.

    `aggregation` stands for the way from the clients to the server, such as secure aggregation; without one, all
    arrive. It weighs clients equally, so the recipe must as well: with privacy, or with equally many examples each.
    `local` is what a client's steps go down, where it is not plain training.
    """
    recipe, number = federation.recipe, state.rounds + 1
    present = [client for client, data in enumerate(federation.data.clients) if len(data) and client not in exclude]
    if not present:
        raise UnlearningError("training.nobody", "no client with examples is left", "Leave fewer clients out.")
    chosen = participants(present, recipe, number, generator)
    module = federation.build_model(generator("initialisation"))
    updates = {
        client: local_update(
            module, state.parameters, federation.data.clients[client], recipe,
            generator(f"round/{number}/client/{client}/batches"), place=f"round {number}, client {client}",
            local=local,
        )
        for client in chosen
    }  # fmt: skip
    contributed = contributions(
        module, recipe.privacy, federation, {client: update.delta for client, update in updates.items()}
    )
    sent = sent_by_clients(recipe.privacy, contributed.deltas, number, generator)
    if aggregation is None:
        weights = contributed.weights
        mean: Tensors = {name: _weighted([one[name] for one in sent.values()], weights) for name in state.parameters}
    else:
        if len(set(contributed.weights)) > 1:
            told = "clients of different weight cannot be averaged by this aggregation"
            raise UnlearningError("training.weights", told, "Give every client equally many examples, or use privacy.")
        mean, chosen = aggregation(number, state.parameters, sent)
        weights = (1 / len(chosen),) * len(chosen)
    noise, mean = noised_by_server(recipe.privacy, mean, len(chosen), len(updates), number, generator)
    velocity = mean
    if state.velocity is not None:
        velocity = {name: step + recipe.server_momentum * state.velocity[name] for name, step in mean.items()}
    after = {name: _moved(tensor, velocity[name]) for name, tensor in state.parameters.items()}
    if recorder is not None:
        deltas, losses = (tuple(contributed.deltas[one] for one in chosen), tuple(updates[one].loss for one in chosen))
        capped = tuple(updates[one].capped for one in chosen)
        recorder(RoundRecord(number, state.parameters, after, chosen, deltas, weights, mean, noise, losses, capped))
    work = sum((update.work for update in updates.values()), state.work)
    return State(after, number, velocity if recipe.server_momentum else None, work)


def participants(
    present: Collection[int], recipe: TrainingRecipe, number: int, generator: Generators
) -> tuple[int, ...]:
    """Return the clients of a round, in order: of those present, all or as many as the recipe draws."""
    ordered, wanted = sorted(present), recipe.clients_per_round
    if not 0 < wanted < len(ordered):
        return tuple(ordered)
    order = torch.randperm(len(ordered), generator=generator(f"round/{number}/participants"))
    return tuple(sorted(ordered[int(i)] for i in order[:wanted]))


def _weighted(tensors: list[Tensor], weights: tuple[float, ...]) -> Tensor:
    """Return the weighted mean; of counters (integers), where a mean means nothing, the largest."""
    stacked = torch.stack(tensors)
    if not stacked.is_floating_point():
        return stacked.amax(0)
    factors = torch.tensor(weights, dtype=stacked.dtype).reshape(-1, *[1] * tensors[0].dim())
    return (stacked * factors).sum(0)


def _moved(tensor: Tensor, step: Tensor) -> Tensor:
    """Return a tensor of the global model after the server's step."""
    return (tensor + step).to(tensor.dtype)
