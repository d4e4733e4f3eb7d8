"""The folder of an erasure that came from Python, without a file that declares the federation."""

import functools
import json
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from unlearning.errors import TrainingDiverged, UnlearningError
from unlearning.federated.data import SimulatedFederation, load_federation
from unlearning.federated.erasure import Erasure, train_first
from unlearning.federated.folder import write_folder
from unlearning.federated.methods import method
from unlearning.federated.plan import plan
from unlearning.federated.request import UnlearningRequest
from unlearning.layers import build_layers
from unlearning.models import mlp


def narrow() -> nn.Module:
    """No standard architecture, and yet standard layers."""
    return nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 3))


class Own(nn.Module):
    """No list of layers."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(6, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.weight


def erasure(federation: SimulatedFederation, name: str = "rapid-retrain", **parameters: Any) -> Erasure:
    before, history = train_first(federation)
    return Erasure(federation, UnlearningRequest.client(0), method(name, **parameters), before, 5, history)


def written(given: Erasure, target: Path) -> dict[str, Any]:
    planned = plan(given.method, given.federation, given.request)
    return write_folder(given, target, planned=planned)


@pytest.fixture(scope="module")
def standard(scenes: Any) -> Erasure:
    return erasure(scenes.federation())


def test_a_standard_model_leaves_a_federation_that_goes_on(standard: Erasure, tmp_path: Path) -> None:
    written(standard, tmp_path / "out")
    on = load_federation(tmp_path / "out")
    assert [len(held) for held in on.data.clients] == [0, *(len(held) for held in standard.parts.retain[1:])]
    assert on.recipe == standard.federation.recipe
    own, other = (one.build_model(torch.Generator()).state_dict() for one in (standard.federation, on))
    assert {key: one.shape for key, one in own.items()} == {key: one.shape for key, one in other.items()}
    assert on.data.twin is not None
    assert on.data.probes is None


@pytest.mark.parametrize("untrained", [narrow, functools.partial(mlp, (6,), 5, 7)], ids=["narrow", "seven"])
def test_the_model_is_written_as_layers_with_as_many_classes_as_it_tells_apart(
    scenes: Any, tmp_path: Path, untrained: Callable[[], nn.Module]
) -> None:
    given = erasure(scenes.federation(untrained=untrained, rounds=1))
    written(given, tmp_path / "out")
    layers = json.loads((tmp_path / "out" / "layers.json").read_text())
    build_layers(layers).load_state_dict(given.before)
    system = tomllib.loads((tmp_path / "out" / "system.toml").read_text())
    assert system["model"]["classes"] == len(list(untrained().parameters())[-1])
    assert (tmp_path / "out" / "federation.toml").exists() is (untrained is not narrow)


def test_a_model_that_is_no_list_of_layers_needs_a_declared_definition(scenes: Any, tmp_path: Path) -> None:
    given = erasure(scenes.federation(untrained=Own, rounds=1))
    with pytest.raises(UnlearningError) as told:
        written(given, tmp_path / "out")
    assert told.value.code == "unlearning.folder"
    assert list(tmp_path.iterdir()) == []


def test_a_method_that_breaks_off_leaves_no_folder(standard: Erasure, tmp_path: Path) -> None:
    given = replace(standard, method=method("ascent", lr_max=1e38, clip_max=1e38))
    (tmp_path / "there").mkdir()
    for name in ("out", "there"):
        with pytest.raises(TrainingDiverged):
            written(given, tmp_path / name)
    assert [path.name for path in tmp_path.rglob("*")] == ["there"]


def test_two_folders_of_one_erasure_are_byte_for_byte_alike(standard: Erasure, tmp_path: Path) -> None:
    (tmp_path / "two").mkdir()  # filled, where the other is made
    for name in ("one", "two"):
        written(standard, tmp_path / name)
    one, two = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "two"))
    assert one == two
