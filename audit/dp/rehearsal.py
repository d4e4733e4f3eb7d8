"""Canaries in a rehearsal of the declared mechanism: the declared model is trained on, with noise and without.

Every round sums the clipped updates of honest clients and the canaries that take part, adds the declared noise and
moves the model; a canary's score is its inner product with all that was released. What is rehearsed is the mechanism
as declared, on the system's own model; the owner's code that adds the noise is not run.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from audit.dp.canaries import canary_updates, score
from audit.dp.canary_scores import Scores
from unlearning.federated.data import ClientData
from unlearning.federated.privacy import clipped
from unlearning.federated.recipe import TrainingRecipe
from unlearning.federated.training import local_update

Array = npt.NDArray[np.float64]
MOST_NUMBERS = 20_000_000
"""Of all canaries together: 160 MB."""
MOST_CANARIES = 1000
COORDINATES_EACH = 20
"""Coordinates a canary: with as many, random ones hardly answer for one another."""


@dataclass(frozen=True)
class Mechanism:
    """The declared mechanism, as far as a rehearsal needs it."""

    clipping_norm: float
    """L2 bound on a client's contribution."""
    noise_multiplier: float
    """Standard deviation of the noise on a sum, over the clipping norm."""
    steps: int
    """Released sums."""
    sampling: str
    """`full`, `poisson`, `shuffle` or `fixed-size`; the last two draw a fixed number for each sum."""
    sampling_rate: float
    """Share of the clients in a sum."""


def canary_count(coordinates: int) -> int:
    """Return how many canaries a model of that many coordinates has room for."""
    return min(MOST_CANARIES, coordinates // COORDINATES_EACH, MOST_NUMBERS // max(1, coordinates))


def rehearse(
    module: nn.Module,
    clients: Sequence[ClientData],
    recipe: TrainingRecipe,
    mechanism: Mechanism,
    rng: np.random.Generator,
    generator: Callable[[str], torch.Generator],
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Scores:
    """Return the scores of as many canaries as the model has room for, each in or out by a fair coin.

    Args:
        module: The model, with the weights it starts from; its own are overwritten.
        clients: Honest clients, all in every sum; there may be none.
        recipe: How they train locally.
        mechanism: As declared; with a noise multiplier of 0 the control.
        rng: Draws canaries, coins, samples and noise.
        generator: Gives the order of the honest clients' examples, by purpose.
        progress: Told rounds done and rounds in all.
    """
    shapes = {name: tuple(parameter.shape) for name, parameter in module.named_parameters()}
    count = canary_count(sum(math.prod(shape) for shape in shapes.values()))
    canaries = canary_updates(count, shapes, rng)
    flat = {name: np.stack([canary[name] for canary in canaries]) for name in shapes}
    included = rng.random(count) < 0.5
    state = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
    total = {name: np.zeros(shape) for name, shape in shapes.items()}
    crowd = len(clients) + count * mechanism.sampling_rate / 2
    for number in range(mechanism.steps):
        drawn = (_drawn(count, mechanism, rng) & included).astype(np.float64)
        honest = _honest(module, clients, recipe, state, mechanism.clipping_norm, number, generator)
        for name, shape in shapes.items():
            noise = mechanism.noise_multiplier * mechanism.clipping_norm * rng.standard_normal(shape)
            released = honest.get(name, 0.0) + mechanism.clipping_norm * np.tensordot(drawn, flat[name], 1) + noise
            total[name] += released
            state[name] = state[name] + torch.from_numpy(np.asarray(released / crowd)).to(state[name].dtype)
        progress(number + 1, mechanism.steps)
    return Scores(score([total], canaries) / mechanism.clipping_norm, included)


def _drawn(count: int, mechanism: Mechanism, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Return which canaries the sample of a round would take."""
    if mechanism.sampling == "full":
        return np.ones(count, dtype=np.bool_)
    if mechanism.sampling == "poisson":
        return rng.random(count) < mechanism.sampling_rate
    return rng.permutation(count) < round(count * mechanism.sampling_rate)


def _honest(
    module: nn.Module,
    clients: Sequence[ClientData],
    recipe: TrainingRecipe,
    state: dict[str, Tensor],
    clipping_norm: float,
    number: int,
    generator: Callable[[str], torch.Generator],
) -> dict[str, Array]:
    """Return the sum of the honest clients' clipped updates."""
    total: dict[str, Array] = {}
    names = [name for name, _ in module.named_parameters()]
    for client, data in enumerate(clients):
        place = f"rehearsed round {number + 1}, client {client}"
        update = local_update(module, state, data, recipe, generator(f"{number}/{client}"), place=place)
        kept = clipped({name: update.delta[name] for name in names}, clipping_norm)
        total = {name: total.get(name, 0.0) + kept[name].double().numpy() for name in names}
    return total
