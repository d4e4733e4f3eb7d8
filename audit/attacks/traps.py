"""Is there a layer built to copy records, and would one be noticed: inspection and planted traps.

Two signs of a trap: a quarter of a layer's rows are one row over and over with thresholds spread over the records
(Fowl et al. 2022, Robbing the Fed, arXiv:2110.13057), or nearly every unit of a rectified layer fires for hardly any
record, so that those which fire fire for one alone (Boenisch et al. 2021, trap weights, arXiv:2112.02918).
"""

import copy
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from audit.attacks.bins import MOST_GROUPS, Bins, bins_of, parallel_groups
from audit.attacks.layers_watched import Layer, parameter_name, watched_layers
from unlearning.models import initialise

LEAST_SHARE = 0.25
"""Share of a layer's rows from which a group of parallel ones is a trap by its looks."""
RARE = 0.02
"""A unit that fires for a smaller share of the records fires rarely."""
MOST_RARE = 0.9
"""Share of a layer's units that may be rare or dead."""
LEAST_FIRING = 8
"""Units that must fire at all, for a layer that fires rarely to say something."""
SMALLEST_CHANCE = 0.01
"""How often a unit of a planted layer of rare units fires."""


@dataclass(frozen=True, eq=False)
class Inspection:
    """What one layer looks like."""

    layer: Layer
    """Which, and what records do to it."""
    groups: tuple[Bins, ...]
    """Parallel rows with thresholds that separate records, the largest group first."""
    rare: bool
    """Whether nearly all units fire for hardly any record, and some of them for some."""
    dead: bool
    """Whether nearly all units fire for no record at all, so that what the layer does is not seen."""

    @property
    def share(self) -> float:
        """Share of the layer in its largest group."""
        return len(self.groups[0].members) / self.layer.rows if self.groups else 0.0

    @property
    def suspicious(self) -> bool:
        """Whether it looks like a trap."""
        return self.rare or self.share >= LEAST_SHARE


@dataclass(frozen=True, eq=False)
class Judged:
    """One layer as it is, with a trap planted in it, and initialised anew."""

    found: Inspection
    """As it is."""
    planted: Inspection
    """Control: what must be noticed."""
    fresh: Inspection
    """Null: what must not."""

    @property
    def trap(self) -> bool:
        """Whether the layer looks like a trap, and would not by its shape and inputs alone."""
        return self.found.suspicious and not self.fresh.suspicious


def inspect(model: nn.Module, layer: Layer, rng: np.random.Generator) -> Inspection:
    """Return what a layer of `model` looks like.

    Rows are compared by their weights and by what they make of records: weights on coordinates that are always zero
    hide a group from the first comparison, not from the second.

    Args:
        model: The model.
        layer: Watched in that very model.
        rng: Samples the rows of a large layer.
    """
    weight = weight_rows(model, layer.name)
    centred = layer.units - layer.units.mean(axis=1, keepdims=True)
    members = [*parallel_groups(weight, rng)[:MOST_GROUPS], *parallel_groups(centred, rng)[:MOST_GROUPS]]
    found: dict[bytes, Bins] = {}
    for group in sorted(members, key=lambda one: -len(one)):
        bins = bins_of(layer.units, group)
        if bins is not None:
            found.setdefault(bins.members.tobytes(), bins)
    rare = dead = False
    if layer.firing is not None and layer.rows >= LEAST_FIRING:
        dead = float((layer.firing == 0).mean()) >= MOST_RARE
        fire = int((layer.firing > 0).sum()) >= LEAST_FIRING
        rare = fire and float((layer.firing < RARE).mean()) >= MOST_RARE
    return Inspection(layer, tuple(found.values())[:MOST_GROUPS], rare, dead)


def inspectable(model: nn.Module, layer: Layer) -> str:
    """Return why a layer cannot be inspected or cannot be a trap, half a sentence; empty where it can."""
    module = model.get_submodule(layer.name)
    if layer.rows < LEAST_FIRING:
        return f"has fewer than {LEAST_FIRING} units"
    if "weight" not in dict(module.named_parameters(recurse=False)):
        return "computes its weights from other parameters"
    if layer.shift is None and (layer.given is None or layer.firing is None):
        return "has no thresholds of its own"
    return ""


def reinitialised(model: nn.Module, layer: Layer, generator: torch.Generator) -> nn.Module:
    """Return a copy of `model` in which that one layer has its usual initial weights."""
    twin = copy.deepcopy(model)
    initialise(twin.get_submodule(layer.name), generator)
    return twin


def with_planted_trap(model: nn.Module, layer: Layer, x: Tensor, generator: torch.Generator) -> nn.Module:
    """Return a copy of `model` in which that one layer is a trap: what the inspection must notice.

    All rows are one random direction, each rescaled, with thresholds at the quantiles of the values it measures, in
    random order; the linear layer behind undoes the scale and adds all units up. A layer without thresholds of its own
    gets units that fire for one record in a hundred instead.

    Args:
        model: The model.
        layer: Watched in it.
        x: Records as the model takes them.
        generator: Draws direction, scales and order.
    """
    twin = copy.deepcopy(model)
    weight = twin.get_submodule(layer.name).get_parameter("weight")
    rows = layer.rows
    scale = torch.exp(torch.rand(rows, generator=generator) * 2 - 1)
    with torch.no_grad():
        if layer.shift is None:
            _plant_rare_units(weight, layer, generator)
            return twin
        direction = torch.randn(weight[0].shape, generator=generator).to(weight.dtype)
        weight.copy_(scale.to(weight.dtype).reshape(-1, *[1] * (weight.ndim - 1)) * direction)
        for name in {parameter_name(layer.name, "bias"), layer.shift} & set(dict(twin.named_parameters())):
            twin.get_parameter(name).zero_()
        level = (torch.randperm(rows, generator=generator).numpy() + 0.5) / rows
        units = watched_layer(twin, x, layer.name).units
        thresholds = np.array([np.quantile(np.unique(one), at) for one, at in zip(units, level, strict=True)])
        shift = twin.get_parameter(layer.shift)
        shift.copy_(torch.from_numpy(-thresholds).to(shift.dtype))
        if layer.following is not None:
            reader = twin.get_submodule(layer.following).get_parameter("weight")
            reader.copy_(reader[:, :1] / scale.to(reader.dtype))
    return twin


def watched_layer(model: nn.Module, x: Tensor, name: str) -> Layer:
    """Return one layer of `watched_layers`."""
    return next(layer for layer in watched_layers(model, x) if layer.name == name)


def weight_rows(model: nn.Module, name: str) -> npt.NDArray[np.float32]:
    """Return the weight of a layer, one unit a row, shape (rows, fan-in)."""
    return model.get_submodule(name).get_parameter("weight").detach().flatten(1).float().numpy()


def _plant_rare_units(weight: Tensor, layer: Layer, generator: torch.Generator) -> None:
    """Give a layer without thresholds rows that outweigh a random direction by the mean record, in place."""
    assert layer.given is not None, "the layer is linear"  # noqa: S101
    given = torch.from_numpy(layer.given)
    mean = given.mean(dim=0)
    rows = torch.randn(weight.shape, generator=generator)
    brightness = (given @ mean).clamp_min(torch.finfo(torch.float32).tiny)
    ratio = (given @ rows.T) / brightness[:, None]
    weight.copy_(rows - torch.quantile(ratio, 1 - SMALLEST_CHANCE, dim=0)[:, None] * mean)
