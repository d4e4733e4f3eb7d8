"""Under Flower's simulation engine a client is forgotten as in the simulated federation, and sees to it itself."""

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from unlearning.federated.data import ClientData, FederatedData, SimulatedFederation
from unlearning.federated.engine import Sequential
from unlearning.federated.methods import Setting, method
from unlearning.federated.methods.base import RoundNote
from unlearning.federated.recipe import TrainingRecipe
from unlearning.federated.recording import load_recording, tensor_bytes
from unlearning.federated.request import UnlearningRequest, split
from unlearning.federated.rounds import Models, one_of, stacked

pytestmark = [pytest.mark.flower, pytest.mark.ray, pytest.mark.slow]
SCRIPT = Path(__file__).parents[2] / "examples" / "flower_unlearning.py"
Tensors = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The script as a user runs it: in a process of its own, with ray's workers in theirs."""
    folder = tmp_path_factory.mktemp("unlearning")
    quiet = {"FLWR_TELEMETRY_ENABLED": "0", "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    told = subprocess.run(
        [sys.executable, SCRIPT, "--recording", "recording", "--out", "models.npz"],
        cwd=folder, env=os.environ | quiet, capture_output=True, text=True, timeout=500, check=True,
    )  # fmt: skip
    (folder / "said.txt").write_text(told.stdout)
    return folder


@pytest.fixture(scope="module")
def models(folder: Path) -> dict[str, Tensors]:
    """The unlearning's models by name: "round 0" is the model before, "round 7" the last."""
    found: dict[str, Tensors] = {}
    with np.load(folder / "models.npz") as arrays:
        for key in arrays:
            if key != "receipts":
                name, _, tensor = key.partition("/")
                found.setdefault(name, {})[tensor] = torch.from_numpy(arrays[key])
    return found


@pytest.fixture(scope="module")
def kept(folder: Path) -> list[dict[str, Any]]:
    """The forget client's receipts."""
    with np.load(folder / "models.npz") as arrays:
        return [json.loads(str(line)) for line in arrays["receipts"]]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
    spec = importlib.util.spec_from_file_location("flower_unlearning", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Flower's and ray's dependencies say of one another
        spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def simulated(script: ModuleType, models: dict[str, Tensors]) -> list[Tensors]:
    """The models of the simulated f-FUM, round by round, from the same data, draws and model before."""
    clients = tuple(ClientData(*script.examples_of(client)) for client in range(script.CLIENTS))
    recipe = TrainingRecipe(rounds=script.ROUNDS, batch_size=script.BATCH, learning_rate=script.RATE)
    federation = SimulatedFederation(FederatedData(clients, clients[0]), recipe, script.network)
    seen: list[Tensors] = []

    def watch(note: RoundNote) -> None:
        seen.append(one_of(note.after.tensors, 0))

    asked = split(federation.data, UnlearningRequest.client(script.FORGET))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    engine = Sequential(federation, (script.SEED,))
    before = Models(stacked([models["round 0"]]))
    method("ffum", **script.METHOD).run(Setting(engine, asked, before, kept=script.METHOD["rounds"], watch=watch))
    torch.set_num_threads(threads)
    return seen


def furthest(one: Tensors, other: Tensors) -> float:
    return max(float((one[name] - other[name]).abs().max()) for name in one)


def digest(tensors: Tensors) -> str:
    return hashlib.sha256(tensor_bytes(tensors)).hexdigest()


def loss(script: ModuleType, tensors: Tensors) -> float:
    """Mean cross-entropy of a model on what client 0 asked to have forgotten."""
    network = script.network()
    network.load_state_dict(tensors)
    x, y = script.examples_of(script.FORGET)
    with torch.no_grad():
        return float(torch.nn.functional.cross_entropy(network(x), y))


def test_every_round_in_flower_ends_where_the_simulated_one_ends(
    models: dict[str, Tensors], simulated: list[Tensors]
) -> None:
    for number in range(1, 7):  # three max phases and three min phases; the post round is the app's own training
        assert furthest(models[f"round {number}"], simulated[number - 1]) < 1e-5
        assert furthest(models[f"round {number}"], models[f"round {number - 1}"]) > 1e-2  # control: it moved


def test_the_max_phase_moves_the_model_away_on_the_forget_clients_data(
    script: ModuleType, models: dict[str, Tensors]
) -> None:
    before, moved, after = (loss(script, models[f"round {number}"]) for number in (0, 1, 7))
    assert moved > before + 0.5
    assert after > before + 0.5  # and the min phases do not bring it back


def test_the_client_trains_no_more_once_it_has_asked_to_be_forgotten(
    script: ModuleType, kept: list[dict[str, Any]]
) -> None:
    acts = [one["act"] for one in kept]
    asked = acts.index("deletion-requested")
    trained = [one for one in kept[:asked] if one.get("message") == "train"]
    assert [one["round"] for one in trained] == list(range(1, script.ROUNDS + 1))  # control: until then it did
    after = [(one["act"], one["message"]) for one in kept[asked + 1 :]]
    assert after.count(("answered", "train.unlearn_max")) == script.METHOD["rounds"]
    assert after.count(("refused", "train")) == 1
    assert ("answered", "train") not in after


def test_its_receipts_name_the_models_that_the_server_recorded(
    script: ModuleType, folder: Path, kept: list[dict[str, Any]]
) -> None:
    recording = load_recording(folder / "recording")
    for receipt in (one for one in kept if one.get("message") == "train" and one["act"] == "answered"):
        number = receipt["round"]
        before = recording.global_model(number - 1)
        assert receipt["received"] == {"arrays": digest(before)}
        delta = recording.client_update(number, script.FORGET)
        sent = {name: before[name] + delta[name] for name in before}
        assert receipt["sent"].keys() == {"arrays"}
        assert furthest(sent, before) > 1e-3  # what was sent was no echo


def test_the_recording_is_the_run(script: ModuleType, folder: Path, models: dict[str, Tensors]) -> None:
    recording = load_recording(folder / "recording")
    assert recording.global_rounds == tuple(range(script.ROUNDS + 1))
    assert digest(recording.global_model(script.ROUNDS)) == digest(models["round 0"])
    assert furthest(recording.global_model(0), script.network().state_dict()) == 0
    for number in (1, script.ROUNDS):  # federated averaging by its definition, of what was kept
        before, deltas = recording.global_model(number - 1), recording.history().updates[number]
        mean = {name: before[name] + sum(one[name][0] for one in deltas.values()) / script.CLIENTS for name in before}
        assert furthest(mean, recording.global_model(number)) < 1e-6


def test_it_says_what_changed(folder: Path) -> None:
    before, moved, after, last = (folder / "said.txt").read_text().splitlines()[-4:]
    rates = [float(line.split("taken for 0 ")[1].split("%")[0]) for line in (before, moved, after)]
    assert rates[0] > 20
    assert max(rates[1:]) < 10
    assert last == "progress ok; 17 receipts, 1 of a refusal"  # 10 trainings, 3 max phases, 2 queries, the request
