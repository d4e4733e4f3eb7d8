"""The unprotected twin against finite differences and against training by torch's own optimiser."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from audit.load import Truth
from audit.twin import (
    LayerNames,
    Scale,
    clear_delta,
    clear_gradient,
    clear_update,
    first_impulses,
    loss_of,
    readable_layers,
)
from reports.errors import SystemFileError

PLAIN = Scale(np.zeros(1), np.ones(1))


def net(*layers: nn.Module, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(*layers).eval()


@pytest.fixture
def model() -> nn.Sequential:
    return net(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3))


@pytest.fixture
def truth() -> Truth:
    generator = torch.Generator().manual_seed(1)
    return Truth(torch.randn((6, 5), generator=generator), torch.tensor([0, 1, 2, 2, 1, 0]))


def test_the_gradient_agrees_with_finite_differences(model: nn.Sequential, truth: Truth) -> None:
    found = clear_gradient(model.double(), Truth(truth.x.double(), truth.y), PLAIN_64, ("0.weight",))["0.weight"]
    weight = model[0].weight
    for row, column in ((0, 0), (3, 4), (6, 2)):
        values = []
        for step in (1e-6, -1e-6):
            with torch.no_grad():
                weight[row, column] += step
                values.append(float(loss_of(model(truth.x.double()), truth.y)))
                weight[row, column] -= step
        assert found[row, column] == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-5, abs=1e-9)


class Double(Scale):
    """A scale that keeps float64, for finite differences."""

    def normalised(self, x: torch.Tensor) -> torch.Tensor:
        return x


PLAIN_64 = Double(np.zeros(1), np.ones(1))


def test_the_delta_is_what_sgd_does(model: nn.Sequential, truth: Truth) -> None:
    trained = copy.deepcopy(model)
    optimiser = torch.optim.SGD(trained.parameters(), lr=0.2)
    for _ in range(3):
        optimiser.zero_grad()
        loss_of(trained(truth.x), truth.y).backward()
        optimiser.step()
    found = clear_delta(model, truth, PLAIN, ("0.weight", "2.bias"), steps=3, learning_rate=0.2)
    for name, delta in found.items():
        moved = trained.state_dict()[name] - model.state_dict()[name]
        np.testing.assert_allclose(delta, moved.numpy(), rtol=1e-4, atol=1e-6)


def test_a_sum_is_the_sum_of_its_clients(model: nn.Sequential, truth: Truth) -> None:
    whole = clear_update(model, truth, PLAIN, ("0.weight",), of="gradient", clients=3)["0.weight"]
    parts = [Truth(truth.x[i : i + 2], truth.y[i : i + 2]) for i in (0, 2, 4)]
    single = sum(clear_gradient(model, part, PLAIN, ("0.weight",))["0.weight"] for part in parts)
    np.testing.assert_allclose(whole, single)


def test_the_impulses_are_the_bias_gradients_of_batches_of_one(model: nn.Sequential, truth: Truth) -> None:
    layer = LayerNames("0.weight", "0.bias")
    neurons = np.array([0, 6, 3, 2, 5, 1])
    found = first_impulses(model, layer, truth.x, PLAIN, neurons)
    for row in range(6):
        for label in range(3):
            alone = Truth(truth.x[row : row + 1], torch.tensor([label]))
            slow = clear_gradient(model, alone, PLAIN, ("0.bias",))["0.bias"][neurons[row]]
            assert found[row, label] == pytest.approx(slow, rel=1e-4, abs=1e-8)


def test_normalisation_is_part_of_the_twin(model: nn.Sequential, truth: Truth) -> None:
    scale = Scale(np.full(1, 2.0), np.full(1, 0.5))
    shifted = Truth(truth.x * 0.5 + 2.0, truth.y)
    expected = clear_gradient(model, truth, PLAIN, ("0.weight",))["0.weight"]
    np.testing.assert_allclose(clear_gradient(model, shifted, scale, ("0.weight",))["0.weight"], expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("layers", "shape", "first", "last"),
    [
        ([nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3)], (6,), "0.weight", "2.weight"),
        ([nn.Flatten(), nn.Dropout(), nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3)], (1, 2, 3), "2.weight", "4.weight"),
        ([nn.Conv1d(1, 2, 2), nn.Flatten(), nn.Linear(10, 3)], (1, 6), None, "2.weight"),
        ([nn.Linear(6, 3), nn.Softmax(dim=1)], (6,), "0.weight", None),
        ([nn.ReLU(), nn.Linear(6, 3)], (6,), "1.weight", "1.weight"),
        ([nn.Tanh(), nn.Linear(6, 3)], (6,), None, "1.weight"),
        ([nn.BatchNorm1d(6), nn.Linear(6, 3)], (6,), None, "1.weight"),
        ([nn.ReLU()], (6,), None, None),
    ],
)
def test_the_layers_that_can_be_read_are_found(
    layers: list[nn.Module], shape: tuple[int, ...], first: str | None, last: str | None
) -> None:
    found = readable_layers(net(*layers), shape, PLAIN)
    assert (found.first.weight if found.first else None) == first
    assert (found.last.weight if found.last else None) == last


def test_a_layer_without_bias_says_so() -> None:
    found = readable_layers(net(nn.Linear(4, 2, bias=False)), (4,), PLAIN)
    assert found.first == LayerNames("0.weight", None)


def test_a_shape_that_the_model_does_not_take_is_an_error() -> None:
    with pytest.raises(SystemFileError, match="does not take records of shape"):
        readable_layers(net(nn.Linear(4, 2)), (5,), PLAIN)


def test_losses_follow_the_targets() -> None:
    output = torch.tensor([[0.5], [-1.0]])
    binary = nn.functional.binary_cross_entropy_with_logits(output[:, 0], torch.tensor([1.0, 0.0]))
    assert loss_of(output, torch.tensor([1, 0])) == binary
    assert loss_of(output, torch.tensor([0.5, 0.0])) == pytest.approx(0.5)
