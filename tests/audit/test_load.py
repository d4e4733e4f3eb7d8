"""Updates, bases and truths joined: what fits, what is left out, and what is told."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from audit.attacks.linear import linear
from audit.capture import Capture
from audit.load import input_scale, planted_updates, reference_records
from audit.manifest import load_system
from audit.twin import Scale
from reports.errors import FedauditError, SystemFileError
from reports.model import Status
from unlearning.errors import ModelMismatch


def loaded(folder: Path):
    system = load_system(folder / "system.toml")
    return planted_updates(system.system, system.folder)


def first_update(folder: Path) -> Path:
    return folder / "updates" / "00000.safetensors"


def rewrite(file: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    save_file(change(load_file(file)), file)


def test_updates_come_with_base_truth_and_what_the_federation_declares(planted, digits) -> None:
    folder = planted(clients=3, federation={"local_steps": 4, "learning_rate": 0.5})
    updates = loaded(folder).updates
    assert [update.client for update in updates] == ["c0", "c1", "c2"]
    assert {(update.local_steps, update.learning_rate, update.batch_size) for update in updates} == {(4, 0.5, 1)}
    assert updates[0].base is updates[2].base
    for row, update in enumerate(updates):
        np.testing.assert_array_equal(update.truth.x[0].numpy(), digits.x[row])
        assert update.truth.y.dtype == torch.int64


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16, torch.float64])
def test_other_number_formats_become_the_models(planted, ask, half: torch.dtype) -> None:
    folder = planted(clients=10)
    for file in (folder / "updates").glob("*.safetensors"):
        rewrite(file, lambda tensors: {name: tensor.to(half) for name, tensor in tensors.items()})
    assert {t.dtype for update in loaded(folder).updates for t in update.tensors.values()} == {torch.float32}
    assert ask(linear, folder).value("identifiability") == 1.0


def test_the_order_of_tensors_does_not_matter(planted) -> None:
    folder = planted(clients=1)
    before = loaded(folder).updates[0].tensors
    rewrite(first_update(folder), lambda tensors: dict(sorted(tensors.items(), reverse=True)))
    after = loaded(folder).updates[0].tensors
    assert list(before) == list(after)
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_an_update_with_nan_is_left_out_and_named(planted, ask, bad: float) -> None:
    folder = planted(clients=5)
    rewrite(first_update(folder), lambda tensors: {**tensors, "0.bias": torch.full_like(tensors["0.bias"], bad)})
    found = loaded(folder)
    assert len(found.updates) == 4
    assert found.excluded[0].path == "updates/00000.safetensors"
    assert "'0.bias'" in found.excluded[0].why
    finding = ask(linear, folder).finding
    assert finding.status is Status.FAIL
    assert any("updates/00000.safetensors" in line for line in finding.limitations)


def test_if_every_update_has_nan_nothing_is_claimed(planted, ask) -> None:
    folder = planted(clients=2, defend=lambda u, r: {n: v + np.nan for n, v in u.items()})
    finding = ask(linear, folder).finding
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "no-usable-record")


def test_a_tensor_that_does_not_fit_is_told_with_both_shapes(planted) -> None:
    folder = planted(clients=1)
    rewrite(first_update(folder), lambda tensors: {**tensors, "0.bias": torch.zeros(3)})
    with pytest.raises(ModelMismatch, match=r"00000.safetensors: '0.bias' has shape \(3,\), in the model \(128,\)"):
        loaded(folder)


def test_codes_of_a_quantiser_are_refused(planted) -> None:
    folder = planted(clients=1)
    rewrite(first_update(folder), lambda tensors: {**tensors, "0.bias": torch.ones(128, dtype=torch.int8)})
    with pytest.raises(SystemFileError, match=r"holds torch\.int8"):
        loaded(folder)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": np.zeros((1, 65)), "y": np.zeros(1)}, "input_shape asks for"),
        ({"x": np.zeros((1, 64)), "y": np.zeros(2)}, "for 1 records"),
        ({"x": np.zeros((1, 64)), "y": np.array([10])}, "label 10"),
        ({"x": np.zeros((1, 64)), "y": np.array([-1])}, "label -1"),
        ({"x": np.zeros((1, 64)), "y": np.array([0.5])}, "no whole number"),
        ({"x": np.zeros((1, 64)), "y": np.array([np.nan])}, "no whole number"),
        ({"x": np.array([["a"] * 64]), "y": np.zeros(1)}, "'x' is <U1"),
        ({"x": np.zeros((1, 64)), "y": np.array(["a"])}, "'y' is <U1"),
        ({"x": np.zeros((0, 64)), "y": np.zeros(0)}, "shape (0, 64)"),
        ({"x": np.zeros((1, 64))}, "lacks the array 'y'"),
    ],
)
def test_a_truth_that_does_not_fit_is_told(planted, arrays, words: str) -> None:
    folder = planted(clients=1)
    np.savez(folder / "updates" / "00000.npz", **arrays)
    with pytest.raises(FedauditError) as told:
        loaded(folder)
    assert words in str(told.value)
    assert "00000.npz" in str(told.value)


def test_public_records_may_lack_labels(planted, ask) -> None:
    folder = planted(clients=10, reference=20)
    with np.load(folder / "reference.npz") as known:
        np.savez(folder / "reference.npz", x=known["x"])
    system = load_system(folder / "system.toml")
    assert set(reference_records(system.system, system.folder).y.tolist()) == {-1}
    assert ask(linear, folder).finding.status is Status.FAIL


def test_a_base_of_its_own_is_used(tmp_path: Path, ask, perceptron, digits) -> None:
    with Capture(tmp_path / "rounds", perceptron(seed=0), name="rounds") as capture:
        for number in range(3):
            model = perceptron(seed=number)
            loss = nn.functional.cross_entropy(
                model(torch.from_numpy(digits.x[number : number + 1])), torch.tensor([int(digits.y[number])])
            )
            loss.backward()
            batch = digits.x[number : number + 1], digits.y[number : number + 1]
            capture.record_gradient(model, batch, client="c", round=number)
    bases = [update.base for update in loaded(tmp_path / "rounds").updates]
    for number, base in enumerate(bases):
        assert torch.equal(base[0].weight, perceptron(seed=number)[0].weight)


@pytest.mark.parametrize(("count", "fits"), [(1, True), (64, True), (3, False)])
def test_normalisation_is_given_once_or_a_channel(planted, count: int, fits: bool) -> None:
    folder = planted(clients=1, normalisation={"mean": [0.5] * count, "std": [2.0] * count})
    system = load_system(folder / "system.toml").system
    if not fits:
        with pytest.raises(SystemFileError, match="3 entries"):
            input_scale(system)
        return
    mean, deviation = input_scale(system)
    np.testing.assert_array_equal(np.broadcast_to(mean, (1, 64)), np.full((1, 64), 0.5))
    np.testing.assert_array_equal(np.broadcast_to(deviation, (1, 64)), np.full((1, 64), 2.0))


def test_normalised_models_are_read_in_raw_units(planted, ask, perceptron) -> None:
    scale = Scale(np.full(1, 0.3), np.full(1, 0.4))
    asked = ask(linear, planted(clients=10, scale=scale, normalisation={"mean": [0.3], "std": [0.4]}))
    assert asked.value("exact_records") == 10


def test_the_layer_list_is_what_builds_the_base(planted) -> None:
    folder = planted(clients=1)
    layers = json.loads((folder / "layers.json").read_text())
    assert [layer["type"] for layer in layers] == ["Linear", "ReLU", "Linear"]
