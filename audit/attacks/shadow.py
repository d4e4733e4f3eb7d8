"""Shadow models: the declared training, run again on data of which the auditor knows who was in it, all at once.

Every shadow has its own records, its own initial weights and its own order of batches; their tensors lie stacked, so
that one step of all of them is one batched product (`audit.attacks.shadow_rounds`).

Source: Shokri et al. 2017 (arXiv:1610.05820) for shadow models; Carlini et al. 2022 (arXiv:2112.03570) for their use.
"""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.func import vmap

from audit.attacks.shadow_rounds import Recipe, Rounds, dealt, forward
from unlearning.models import drawing_from, initialise

__all__ = ["Recipe", "Splits", "StackedParameters", "confidence", "halves", "scores", "train_many"]

Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

SCORED_AT_ONCE = 1 << 22
"""Numbers of input that one forward pass takes, over all models."""


@dataclass(frozen=True, eq=False)
class Splits:
    """Records, and which of them each shadow is trained on."""

    x: Tensor
    """As the model takes them, shape (n, *input_shape)."""
    y: Tensor
    """Labels, int64, shape (n,)."""
    member: BoolArray
    """Shape (S, n); every shadow has equally many."""

    def __post_init__(self) -> None:
        if self.member.ndim != 2 or not self.member.shape[1] == len(self.x) == len(self.y):
            raise ValueError(f"{len(self.x)} records, {len(self.y)} labels and splits of shape {self.member.shape}")
        sizes = set(self.member.sum(axis=1).tolist())
        if len(sizes) != 1 or 0 in sizes:
            raise ValueError(f"every shadow needs equally many records, at least one, not {sorted(sizes)}")


@dataclass(frozen=True, eq=False)
class StackedParameters:
    """Models of one architecture, the tensors of all of them stacked along a first dimension."""

    model: nn.Module
    """The architecture, in evaluation mode; its own weights mean nothing."""
    tensors: Mapping[str, Tensor]
    """Parameters and buffers by name, shape (S, *shape)."""

    def __len__(self) -> int:
        return len(next(iter(self.tensors.values())))


def halves(shadows: int, records: int, rng: np.random.Generator) -> BoolArray:
    """Return random halves, shape (shadows, records), in pairs of complements.

    So each record is in half of the shadows (of an odd number of records, one sits a pair out).
    """
    member = np.zeros((shadows, records), dtype=bool)
    half = records // 2
    for first in range(0, shadows, 2):
        order = rng.permutation(records)
        member[first, order[:half]] = True
        if first + 1 < shadows:
            member[first + 1, order[half : 2 * half]] = True
    return member


def train_many(model: nn.Module, splits: Splits, recipe: Recipe, generator: torch.Generator) -> StackedParameters:
    """Return one model for each split, all trained as one program, on the device of `splits.x`.

    Args:
        model: The architecture, which gives logits; its weights are not touched.
        splits: Who is trained on what.
        recipe: How.
        generator: On the CPU. Each shadow's own generator is seeded from it, so that no shadow depends on how many
            there are; dropout alone draws for all together.
    """
    seeds = torch.randint(2**62, (len(splits.member),), generator=generator).tolist()
    own = [torch.Generator().manual_seed(seed) for seed in seeds]
    module = copy.deepcopy(model).to(splits.x.device).train()
    states = [{k: v.detach().clone() for k, v in initialise(module, one).state_dict().items()} for one in own]
    tensors = {name: torch.stack([state[name] for state in states]) for name in states[0]}
    rounds = Rounds(module, splits.x, splits.y, dealt(splits.member, recipe.clients, own), recipe, own)
    with drawing_from(generator):
        for _ in range(recipe.rounds):
            tensors = rounds.after(tensors)
    return StackedParameters(module.eval(), tensors)


def scores(stacked: StackedParameters, x: Tensor, y: Tensor) -> Array:
    """Return how sure each model is of each label, shape (S, n); see `confidence`.

    Args:
        stacked: The models.
        x: Records as the models take them, shape (n, *input_shape).
        y: Labels, shape (n,).
    """
    at_once = max(1, SCORED_AT_ONCE // (len(stacked) * max(1, x[0].numel())))
    run = vmap(forward(stacked.model), in_dims=(0, None))
    pieces = []
    with torch.no_grad():
        for start in range(0, len(x), at_once):
            outputs = run(dict(stacked.tensors), x[start : start + at_once])
            labels = y[start : start + at_once].expand(len(stacked), -1)
            pieces.append(confidence(outputs.flatten(0, 1), labels.flatten()).reshape(len(stacked), -1))
    return np.concatenate(pieces, axis=1)


def confidence(outputs: Tensor, y: Tensor) -> Array:
    """Return log p - log(1 - p) of each label's probability p, float64, shape (n,).

    By log-sum-exp over the other labels, so that a probability that rounds to one still has a finite score
    (Carlini et al. 2022, section VI-A).

    Args:
        outputs: Logits, shape (n, classes); or (n,) or (n, 1) where one logit tells label 1 from label 0.
        y: Labels, shape (n,).
    """
    logits, labels = outputs.double().cpu(), y.long().cpu()
    if logits.ndim == 1 or logits.shape[1] == 1:
        single = logits.reshape(-1)
        return np.asarray(torch.where(labels == 1, single, -single).numpy())
    of_label = logits.gather(1, labels[:, None])[:, 0]
    others = logits.scatter(1, labels[:, None], -math.inf)
    return np.asarray((of_label - torch.logsumexp(others, dim=1)).numpy())
