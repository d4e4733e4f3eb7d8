"""Decoders: from what a record was turned into, back to the record, learnt from public pairs of both.

Whoever knows public records of the same kind and what they become (an embedding, a code, logits) can learn the way
back, without the model and without its gradients (Luo et al., ICDE 2021; Takahashi et al., CVPR 2023,
arXiv:2304.11436). A linear decoder reads codes better than a network does, and a network curved embeddings, so both
are tried.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from unlearning.models import drawing_from

Array = npt.NDArray[np.float64]
Decoder = Callable[[Array], Array]
"""Takes features (m, p), returns records (m, d)."""

PENALTIES = np.logspace(-12, 3, 31)
"""Penalties that are tried, times the mean squared singular value of the features."""
MOST_JUDGED = 128
"""Coordinates of a record, evenly spaced, by whose error the penalty is chosen; fitted are all."""
LEAST_EIGENVALUE = 1e-14
"""Directions whose squared singular value is below this share of the largest are rounding."""
MOST_MIXED = 2048
"""Coordinates of a record up to which the control's layer mixes all of them."""
WIDTHS = (256, 512)
"""Hidden layers of the network."""
EPOCHS = 30
"""Passes of the network over the pairs."""
BATCH = 32
"""Pairs in a step of the network."""
LEARNING_RATE = 1e-3
"""Of Adam."""


@dataclass(frozen=True, eq=False)
class Ridge:
    """A linear decoder."""

    centre: Array
    """Mean feature, shape (p,)."""
    weight: Array
    """Shape (p, d)."""
    mean: Array
    """Mean record, shape (d,)."""
    penalty: float
    """The one that was chosen."""

    def __call__(self, features: Array) -> Array:
        """Return the records behind features (m, p), shape (m, d)."""
        return np.asarray((features - self.centre) @ self.weight + self.mean)


def fit_ridge(features: Array, records: Array) -> Ridge:
    """Return the ridge regression of records on features, its penalty chosen by the error of leaving each pair out.

    The left-out residual of pair i is its residual over 1 - h_ii, h the hat matrix, so no fit is repeated
    (Allen, Technometrics 16 (1974) 125-127).

    Args:
        features: Shape (n, p), n at least 2.
        records: Shape (n, d).
    """
    centre, mean = features.mean(axis=0), records.mean(axis=0)
    inputs, targets = features - centre, records - mean
    left, squared = _left_vectors(inputs)
    if not len(squared):  # every feature is constant: the mean record is all there is to say
        return Ridge(centre, np.zeros((features.shape[1], records.shape[1])), mean, 0.0)
    projected = left.T @ targets
    judged = np.unique(np.linspace(0, records.shape[1] - 1, MOST_JUDGED).astype(int))
    best, penalty = np.inf, 0.0
    for candidate in (PENALTIES * squared.mean()).tolist():
        kept = squared / (squared + candidate)
        leverage = (left**2) @ kept + 1 / len(inputs)
        residual = (targets[:, judged] - left @ (kept[:, None] * projected[:, judged])) / (1 - leverage)[:, None]
        error = float((residual**2).sum())
        if error < best:
            best, penalty = error, candidate
    weight = inputs.T @ (left @ (projected / (squared + penalty)[:, None]))
    return Ridge(centre, weight, mean, penalty)


def _left_vectors(inputs: Array) -> tuple[Array, Array]:
    """Return left singular vectors (n, r) and squared singular values (r,), from the smaller Gram matrix."""
    wide = inputs.shape[1] > inputs.shape[0]
    values, vectors = np.linalg.eigh(inputs @ inputs.T if wide else inputs.T @ inputs)
    real = values > LEAST_EIGENVALUE * max(values[-1], np.finfo(np.float64).tiny)
    values, vectors = values[real], vectors[:, real]
    return (vectors if wide else inputs @ vectors / np.sqrt(values)), values


@dataclass(frozen=True, eq=False)
class Network:
    """A decoder of two hidden layers."""

    layers: nn.Sequential
    """Takes standardised features, returns standardised records."""
    centre: Array
    """Mean feature, shape (p,)."""
    spread: Array
    """Deviation of each feature, 1 where it is constant, shape (p,)."""
    mean: Array
    """Mean record, shape (d,)."""
    deviation: float
    """Of the records' coordinates about their means."""

    def __call__(self, features: Array) -> Array:
        """Return the records behind features (m, p), shape (m, d)."""
        with torch.no_grad():
            guess = self.layers(torch.from_numpy((features - self.centre) / self.spread).float())
        return np.asarray(guess.double().numpy() * self.deviation + self.mean)


def fit_network(features: Array, records: Array, generator: torch.Generator) -> Network:
    """Return a perceptron trained from features to records by Adam on the squared error.

    Args:
        features: Shape (n, p).
        records: Shape (n, d).
        generator: Draws the initial weights and the order of the pairs.
    """
    centre, mean = features.mean(axis=0), records.mean(axis=0)
    spread, deviation = features.std(axis=0), float((records - mean).std()) or 1.0
    spread = np.where(spread > 0, spread, 1.0)
    x = torch.from_numpy((features - centre) / spread).float()
    y = torch.from_numpy((records - mean) / deviation).float()
    with drawing_from(generator):
        layers = nn.Sequential(
            nn.Linear(x.shape[1], WIDTHS[0]), nn.ReLU(),
            nn.Linear(WIDTHS[0], WIDTHS[1]), nn.ReLU(),
            nn.Linear(WIDTHS[1], y.shape[1]),
        )  # fmt: skip
    optimiser = torch.optim.Adam(layers.parameters(), lr=LEARNING_RATE)
    with torch.enable_grad():
        for _ in range(EPOCHS):
            for rows in torch.split(torch.randperm(len(x), generator=generator), BATCH):
                optimiser.zero_grad()
                loss = nn.functional.mse_loss(layers(x[rows]), y[rows])
                loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
                optimiser.step()
    return Network(layers, centre, spread, mean, deviation)


def wide_features(records: Array, public: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return what an untrained wide layer makes of records and of public ones: nothing is hidden in it.

    The positive control of every decoder: one linear layer with ReLU, twice as wide as a record is long, on records
    standardised as a whole. Of long records the layer takes each coordinate and its opposite, else its weights alone
    would fill the memory.

    Args:
        records: Shape (n, d).
        public: Shape (m, d); their mean and deviation standardise both.
        rng: Draws the weights.

    Returns:
        Features of `records`, shape (n, 2 d), and of `public`, shape (m, 2 d).
    """
    length, mean, deviation = records.shape[1], public.mean(), public.std() or 1.0
    weight = rng.standard_normal((length, 2 * length)) / np.sqrt(length) if length <= MOST_MIXED else None

    def layer(x: Array) -> Array:
        scaled = (x - mean) / deviation
        mixed = np.concatenate([scaled, -scaled], axis=1) if weight is None else scaled @ weight
        return np.asarray(np.maximum(mixed, 0.0))

    return layer(records), layer(public)
