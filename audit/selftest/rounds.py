"""Rounds of a federation under differential privacy, with the noise and the clipping that are declared, or without.

A small perceptron is trained on the digits by federated averaging. The server clips what clients send, adds noise to
their sum and divides by their number; every round is recorded: contributions before noise, and the noised mean.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from audit.dp.accounting import recompute
from audit.selftest.workshop import Workshop
from reports.model import DifferentialPrivacy, System
from unlearning.federated.data import ClientData, FederatedData, SimulatedFederation
from unlearning.federated.privacy import clipped
from unlearning.federated.recipe import TrainingRecipe
from unlearning.federated.training import Aggregation, State, federated_round, initial_state
from unlearning.models import build_layers, layer_list

SHAPE, CLASSES, HIDDEN = (64,), 10, 16
LAYERS = layer_list("mlp", SHAPE, CLASSES, hidden=HIDDEN)
CLIENTS, EXAMPLES, TEST = 8, 480, 300
RECIPE = TrainingRecipe(rounds=4, local_epochs=2, batch_size=20, learning_rate=0.5)
DECLARED = DifferentialPrivacy(
    unit="client", clipping_norm=0.3, noise_multiplier=1.2, noise_added_by="server", sampling="full",
    steps=RECIPE.rounds, delta=0.05, accountant="gaussian",
)  # fmt: skip
"""The mechanism that the papers name; updates are longer than its norm, so that clipping has work to do."""
Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Departure:
    """In what the rounds differ from what is declared; in nothing by default."""

    noise: float = 1.0
    """Deviation of the noise on the sum, over the declared."""
    bare: frozenset[str] = frozenset()
    """Tensors that bear no noise."""
    silent: frozenset[int] = frozenset()
    """Rounds without noise, counted from 1."""
    without_share: frozenset[int] = frozenset()
    """Clients that add no share of the noise, where clients add it."""
    same_noise: bool = False
    """Whether every round draws the noise of the first again."""
    unclipped: frozenset[int] = frozenset()
    """Clients whose updates are not clipped."""
    weights: Mapping[int, float] = field(default_factory=dict)
    """Of clients that do not count once in the sum."""
    recorded_with_noise: bool = False
    """Whether contributions are recorded with their shares of the noise, where clients add it."""


AS_DECLARED = Departure()


def coordinates() -> int:
    """Return how many numbers an update holds."""
    return sum(parameter.numel() for parameter in build_layers(LAYERS).parameters())


def noised_rounds(make: Workshop, departure: Departure = AS_DECLARED, *, by_clients: bool = False) -> System:
    """Train a federation, record all of its rounds, and declare `DECLARED` with the epsilon that follows from it.

    Args:
        make: The workshop.
        departure: What the rounds hold instead of what is declared.
        by_clients: Whether the noise is declared, and added, by the clients; else by the server.
    """
    digits = make.digits(EXAMPLES, CLIENTS, 0)
    test = ClientData(digits.reference.x[:TEST], digits.reference.y[:TEST])
    federation = SimulatedFederation(FederatedData(digits.clients, test), RECIPE, lambda: build_layers(LAYERS))
    state = initial_state(federation, make.generator)
    for _ in range(RECIPE.rounds):
        way = _recorded(make, departure, by_clients=by_clients)
        state = federated_round(federation, state, make.generator, aggregation=way)
    return make.finish(_tables(make, state, by_clients=by_clients))


def _recorded(make: Workshop, departure: Departure, *, by_clients: bool) -> Aggregation:
    """Return the way from what clients send to their noised mean, which writes the round."""

    def aggregate(number: int, before: Tensors, sent: Mapping[int, Tensors]) -> tuple[Tensors, tuple[int, ...]]:
        norm = DECLARED.clipping_norm or 0.0
        kept = {one: delta if one in departure.unclipped else clipped(delta, norm) for one, delta in sent.items()}
        noise = dict(_noise(make, departure, number, kept, by_clients=by_clients))
        total = {
            name: sum(departure.weights.get(one, 1.0) * delta[name] for one, delta in kept.items())
            + sum(noise[one][name] for one in noise)
            for name in before
        }
        mean = {name: torch.as_tensor(values) / len(kept) for name, values in total.items()}
        place = f"updates/round-{number:02}"
        for one, delta in kept.items():
            told = {name: delta[name] + noise[one][name] for name in delta} if departure.recorded_with_noise else delta
            make.files.update(
                f"{place}/client-{one:02}.safetensors", told, kind="delta", client=f"client-{one:02}", round=number
            )
        make.files.update(
            f"{place}/mean.safetensors", mean, kind="aggregate", of="delta", clients=len(kept),
            divided_by=float(len(kept)), round=number,
        )  # fmt: skip
        return mean, tuple(kept)

    return aggregate


def _noise(
    make: Workshop, departure: Departure, number: int, kept: Mapping[int, Tensors], *, by_clients: bool
) -> Iterator[tuple[int, Tensors]]:
    """Yield whoever adds noise to a sum, -1 for the server, and its noise; all is drawn, whoever departs from what."""
    declared = (DECLARED.noise_multiplier or 0.0) * (DECLARED.clipping_norm or 0.0)
    sources = tuple(kept) if by_clients else (-1,)
    drawn = 1 if departure.same_noise else number
    for source in sources:
        generator = make.generator(f"noise/{drawn}/{source}")
        mute = number in departure.silent or source in departure.without_share
        deviation = 0.0 if mute else declared * departure.noise / math.sqrt(len(sources))
        some = kept[next(iter(kept))]
        yield (
            source,
            {
                name: (0.0 if name in departure.bare else deviation) * torch.randn(values.shape, generator=generator)
                for name, values in some.items()
            },
        )


def _tables(make: Workshop, state: State, *, by_clients: bool) -> dict[str, object]:
    """Return the system's papers, every figure recomputed."""
    declared = DECLARED.model_copy(update={"noise_added_by": "clients" if by_clients else "server"})
    privacy = declared.model_dump(exclude_none=True) | {"epsilon": recompute(declared).claimable}
    return {
        "system": {"name": "digits-with-noise", "version": "1"},
        "model": {"checkpoint": make.files.tensors("model.safetensors", state.parameters)},
        "federation": {
            "clients": CLIENTS,
            "clients_per_round": CLIENTS,
            "rounds": RECIPE.rounds,
            "local_epochs": RECIPE.local_epochs,
            "batch_size": RECIPE.batch_size,
            "learning_rate": RECIPE.learning_rate,
            "server_trust": "trusted",
            "visibility": "update",
            "differential_privacy": privacy,
        },
    }
