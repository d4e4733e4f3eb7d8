"""A released classifier with the records that it was trained on, and those that it was not."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_file
from torch import nn

from audit.attacks.shadow import Recipe, Splits, train_many
from reports.toml_writer import toml_text
from unlearning.layers import build_layers
from unlearning.models import layer_list

Labelled = tuple[npt.NDArray[Any], npt.NDArray[Any]]
PERCEPTRON = layer_list("mlp", (64,), 10, hidden=64)


def trained_on(members: Labelled, recipe: Recipe, *, seed: int = 0, layers: Any = PERCEPTRON) -> nn.Module:
    """Return a model trained on `members`."""
    x, y = torch.from_numpy(members[0]), torch.from_numpy(members[1])
    everybody = np.ones((1, len(x)), dtype=bool)
    model = build_layers(layers)
    stacked = train_many(model, Splits(x, y, everybody), recipe, torch.Generator().manual_seed(seed))
    model.load_state_dict({name: tensor[0] for name, tensor in stacked.tensors.items()})
    return model.eval()


def released(
    folder: Path,
    model: nn.Module | None = None,
    *,
    data: Mapping[str, Labelled | Mapping[str, npt.NDArray[Any]]],
    layers: Any = PERCEPTRON,
    federation: Mapping[str, Any] | None = None,
    claims: Mapping[str, Any] | None = None,
    **described: Any,
) -> Path:
    """Write the folder of a system: the model, and a file for each role of `data`, records or named arrays."""
    folder.mkdir(parents=True, exist_ok=True)
    tables: dict[str, Any] = {"system": {"name": "triage", "version": "1"}}
    if model is not None:
        save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, folder / "m.safetensors")
        (folder / "layers.json").write_text(json.dumps(layers))
        tables["model"] = {"checkpoint": "m.safetensors", "layers": "layers.json", **described}
    if federation:
        tables["federation"] = dict(federation)
    if claims:
        tables["claims"] = dict(claims)
    tables["data"] = []
    for role, held in data.items():
        arrays = held if isinstance(held, Mapping) else {"x": held[0], "y": held[1]}
        np.savez(folder / f"{role}.npz", **arrays)
        tables["data"].append({"role": role, "path": f"{role}.npz"})
    (folder / "system.toml").write_text(toml_text(tables))
    return folder
