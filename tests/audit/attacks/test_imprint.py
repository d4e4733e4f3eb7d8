"""Layers built to copy records: planted ones are found and hand records over, ordinary and trained ones pass."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from audit.attacks.imprint import imprint
from audit.attacks.layers_watched import watched_layers
from audit.attacks.traps import inspect, reinitialised, with_planted_trap
from audit.capture import Capture
from reports.model import Effort, Severity, Status, Strength

UNITS = 128


@pytest.fixture
def released(tmp_path: Path, digits) -> Callable[..., Path]:
    """Write a system that is a model and public records, and nothing else; its folder."""

    def write(model: nn.Module, *, records: int = 1000, shape: tuple[int, ...] = (64,), copies: int = 1) -> Path:
        x = np.concatenate([digits.x[:records].reshape(-1, *shape)] * copies)
        with Capture(
            tmp_path / "system",
            model,
            name="released",
            classes=10,
            input_shape=shape,
            reference=(x, np.concatenate([digits.y[:records]] * copies)),
        ):
            pass
        return tmp_path / "system"

    return write


def imprinting(digits, units: int = UNITS, *, own: int = 0, seed: int = 0) -> nn.Sequential:
    """Robbing the Fed (arXiv:2110.13057): one measurement, thresholds at quantiles, rows rescaled and permuted.

    The first `own` units keep ordinary weights.
    """
    torch.manual_seed(seed)
    first, back = nn.Linear(64, units), nn.Linear(units, 64)
    kept = first.weight[:own].detach().clone(), first.bias[:own].detach().clone()
    direction, scale = torch.randn(64), torch.exp(2 * torch.rand(units) - 1)
    bins = torch.quantile(torch.from_numpy(digits.x[1000:]) @ direction, (torch.arange(units) + 0.5) / units)
    order = torch.randperm(units)
    with torch.no_grad():
        first.weight.copy_((scale[:, None] * direction)[order])
        first.bias.copy_((-scale * bins)[order])
        back.weight.copy_((torch.randn(64, 1) / scale / units)[:, order])
        first.weight[:own], first.bias[:own] = kept
    return nn.Sequential(first, nn.ReLU(), back, nn.ReLU(), nn.Linear(64, 10))


def trapping(units: int = UNITS) -> nn.Sequential:
    """Trap weights (arXiv:2112.02918): half of each row negative and outweighing the rest, so that few records fire."""
    torch.manual_seed(1)
    first = nn.Linear(64, units)
    with torch.no_grad():
        weight = torch.randn(units, 64).abs() * 0.3
        for row in weight:
            row[torch.randperm(64)[:32]] *= -3.2
        first.weight.copy_(weight)
        first.bias.zero_()
    return nn.Sequential(first, nn.ReLU(), nn.Linear(units, 10))


def test_records_come_out_of_an_imprinting_layer(released, ask, digits) -> None:
    asked = ask(imprint, released(imprinting(digits)))
    finding = asked.finding
    assert (finding.status, finding.strength, finding.severity) == (Status.FAIL, Strength.EXACT, Severity.CRITICAL)
    assert "128 of 128 rows are one row" in finding.summary
    assert asked.value("control_identifiability") > 0.7
    assert asked.value("null_identifiability") < 0.5 * asked.value("identifiability")
    assert {str(piece.confidentiality) for piece in asked.kept.pieces.values() if piece.media_type.endswith("npz")} == {
        "restricted"
    }
    assert set(finding.evidence) == set(asked.kept.pieces)


@pytest.mark.parametrize(
    ("seed", "effort", "least"),
    [
        (0, Effort.SMOKE, 0.85),  # of 64 records
        pytest.param(0, Effort.FULL, 0.9, marks=pytest.mark.slow),  # of 500
        pytest.param(1, Effort.FULL, 0.9, marks=pytest.mark.slow),
        pytest.param(2, Effort.FULL, 0.9, marks=pytest.mark.slow),
    ],
)
def test_of_64_records_at_once_nine_tenths_come_out_of_1024_bins(
    released, ask, digits, seed: int, effort: Effort, least: float
) -> None:
    asked = ask(imprint, released(imprinting(digits, 1024, seed=seed)), effort=effort)
    assert asked.value("identifiability") >= least


def test_weights_on_pixels_that_are_always_blank_hide_nothing(released, ask, digits) -> None:
    model = imprinting(digits)
    blank = torch.from_numpy(digits.x.max(axis=0) == 0)
    with torch.no_grad():
        model[0].weight[:, blank] = 3 * torch.randn(UNITS, int(blank.sum()))
    assert ask(imprint, released(model)).finding.strength is Strength.EXACT


def test_a_trap_in_a_fifth_of_a_layer_is_found_by_what_it_hands_over(released, ask, digits) -> None:
    finding = ask(imprint, released(imprinting(digits, 600, own=480))).finding
    assert finding.status is Status.FAIL
    assert "Not built as a whole like a trap, yet used as one" in finding.summary


def test_units_that_rarely_fire_are_a_trap_at_screening_strength(released, ask) -> None:
    asked = ask(imprint, released(trapping()))
    assert asked.finding.status is Status.FAIL
    assert "fires for fewer than 2 %" in asked.finding.summary
    assert asked.value("trap_layers") == 1


def convolutional() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3, bias=False), nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten(),
        nn.Linear(256, 24), nn.LayerNorm(24), nn.ReLU(), nn.Linear(24, 10),
    ).eval()  # fmt: skip


def test_parallel_kernels_are_a_trap_whose_thresholds_may_lie_in_batch_normalisation(released, ask, digits) -> None:
    model = convolutional()
    with torch.no_grad():
        model[2].weight.copy_(torch.rand(16, 1, 1, 1).add(0.5) * torch.randn(16, 3, 3).abs())
        measured = model[:4](torch.from_numpy(digits.x[1000:]).reshape(-1, 1, 8, 8)).movedim(1, 0).flatten(1)
        for unit, values in enumerate(measured):
            model[3].bias[unit] = -torch.quantile(values[:9000], (unit + 0.5) / 16)
    finding = ask(imprint, released(model, shape=(1, 8, 8))).finding
    assert (finding.status, finding.strength) == (Status.FAIL, Strength.SCREENING)
    assert "'2' (16 of 16 rows are one row" in finding.summary


@pytest.mark.parametrize("kind", ["perceptron", "no-bias", "convolutional", "smooth"])
def test_ordinary_models_pass_since_a_planted_trap_would_be_noticed(released, ask, perceptron, kind: str) -> None:
    model, shape = perceptron(), (64,)
    if kind == "no-bias":
        model = perceptron(bias=False)
    elif kind == "convolutional":
        model, shape = convolutional(), (1, 8, 8)
    elif kind == "smooth":
        model = nn.Sequential(nn.Linear(64, 40), nn.Sigmoid(), nn.Linear(40, 10))
    asked = ask(imprint, released(model, shape=shape))
    assert (asked.finding.status, asked.finding.strength) == (Status.PASS, Strength.SCREENING), asked.finding.summary
    (traps,) = [one for one in asked.finding.measurements if one.name == "trap_layers"]
    assert (traps.value, traps.control) == (0.0, traps.n)


@pytest.mark.slow
def test_no_false_alarm_over_200_ordinary_models(released, ask, digits, tmp_path: Path) -> None:
    x, y = torch.from_numpy(digits.x), torch.from_numpy(digits.y)
    alarms = 0
    for seed in range(200):
        torch.manual_seed(seed)
        width = int(torch.randint(8, 200, ()))
        model = nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 32), nn.ReLU(), nn.Linear(32, 10))
        optimiser = torch.optim.SGD(model.parameters(), lr=[0.01, 0.1][seed % 2], momentum=0.9)
        for _ in range(seed % 4 * 50):  # every fourth is untrained
            batch = torch.randint(0, len(x), (32,))
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
            optimiser.step()
        layers = watched_layers(model.eval(), x[:256])
        rng = np.random.default_rng(seed)
        alarms += any(inspect(model, layer, rng).suspicious for layer in layers)
    assert alarms == 0


def test_a_dead_model_is_inconclusive(released, ask, perceptron) -> None:
    finding = ask(imprint, released(perceptron(dead=True))).finding
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "control-failed")
    assert "Nearly no unit of layer '0' fires" in finding.summary


def test_layers_that_would_look_like_a_trap_anyway_are_inconclusive(tmp_path: Path, ask) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(1, 64), nn.ReLU(), nn.Linear(64, 10))  # rows of one number are always parallel
    x = np.random.default_rng(0).normal(size=(300, 1)).astype(np.float32)
    labels = np.zeros(300, dtype=np.int64)
    with Capture(tmp_path / "s", model, name="s", classes=10, input_shape=(1,), reference=(x, labels)):
        pass
    finding = ask(imprint, tmp_path / "s").finding
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "undecided")


@pytest.mark.parametrize("copies", [1, 5])
def test_few_different_public_records_are_inconclusive(released, ask, perceptron, copies: int) -> None:
    finding = ask(imprint, released(perceptron(), records=40, copies=copies)).finding
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "too-few-records")
    assert finding.remedy.value == "reference"


def test_a_model_without_a_layer_to_inspect_is_skipped(released, ask) -> None:
    finding = ask(imprint, released(nn.Sequential(nn.Linear(64, 4)))).finding
    assert (finding.status, finding.reason) == (Status.SKIPPED, "not-applicable:no-layer-to-inspect")


def test_the_answer_is_the_same_twice(released, ask, digits) -> None:
    folder = released(imprinting(digits, 64))
    first, second = ask(imprint, folder), ask(imprint, folder)
    assert first.finding == second.finding
    assert first.kept.data == second.kept.data


def test_watching_sees_what_the_layers_compute(digits) -> None:
    model, x = convolutional(), torch.from_numpy(digits.x[:100]).reshape(-1, 1, 8, 8)
    with torch.no_grad():
        first, second, third, last = watched_layers(model, x)
        inside = model[:6](x)
        rectified = model[:2](x) > 0
    assert [layer.name for layer in (first, second, third, last)] == ["0", "2", "6", "9"]
    assert [layer.shift for layer in (first, second, third, last)] == ["0.bias", "3.bias", "6.bias", "9.bias"]
    np.testing.assert_allclose(third.given, inside.numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(first.firing, rectified.flatten(2).any(dim=2).float().mean(dim=0).numpy())
    assert third.firing is None  # a norm over units stands between it and the rectifier
    assert (first.following, second.following, third.following) == (None, None, "9")


def test_functions_are_watched_as_modules_are(digits) -> None:
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(64, 20), nn.Linear(20, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(torch.relu(self.first(x)))

    torch.manual_seed(0)
    model, x = Functional(), torch.from_numpy(digits.x[:50])
    layer, _ = watched_layers(model, x)
    np.testing.assert_allclose(layer.firing, (model.first(x) > 0).float().mean(dim=0).numpy())
    assert layer.sees_records
    assert layer.following == "last"


def test_planting_and_starting_anew_leave_the_model_and_the_other_layers_alone(perceptron, digits) -> None:
    model, x = perceptron(), torch.from_numpy(digits.x[:100])
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    layer, _ = watched_layers(model, x)
    generator = torch.Generator().manual_seed(0)
    fresh, planted = reinitialised(model, layer, generator), with_planted_trap(model, layer, x, generator)
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in before.items())
    assert torch.equal(fresh[2].weight, model[2].weight)
    assert not torch.equal(fresh[0].weight, model[0].weight)
    assert inspect(planted, watched_layers(planted, x)[0], np.random.default_rng(0)).share == 1.0
