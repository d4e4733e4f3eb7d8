"""The zoo's federations of planted digits: what their titles say is really planted, by torch's own derivative."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from audit.defences import clip
from audit.selftest.flaw import Flaw
from audit.selftest.single_updates import NOISE, Training
from audit.selftest.workshop import Workshop
from audit.selftest.zoo import chosen
from audit.system_folder import SystemFolder
from reports.model import System
from unlearning.layers import build_layers
from unlearning.models import match_parameters

SEED = 11
ONE_GRADIENT = Training()
Built = tuple[Path, System]


@pytest.fixture
def built(tmp_path: Path) -> Callable[[str, bool], Built]:
    """Build a flaw of the zoo, or its twin."""

    def build(name: str, planted: bool) -> Built:
        [one] = chosen([name])
        assert isinstance(one, Flaw)
        folder = tmp_path / f"{name}-{planted}"
        with SystemFolder(folder) as files:
            return folder, one.build(Workshop(files, SEED), planted=planted)

    return build


def sent(folder: Path, client: int = 0) -> dict[str, torch.Tensor]:
    return load_file(folder / f"updates/client-{client:03}.safetensors")


def derived(folder: Path, training: Training = ONE_GRADIENT) -> dict[str, torch.Tensor]:
    """What the first client's records give at the model in the folder, by autograd and torch's own SGD."""
    model = build_layers(json.loads((folder / "layers.json").read_text()))
    start = match_parameters(model, load_file(folder / "model.safetensors"))
    model.load_state_dict(start)
    held = np.load(folder / "updates/client-000.npz")
    x, y = torch.from_numpy(held["x"]), torch.from_numpy(held["y"])
    optimiser = torch.optim.SGD(model.parameters(), lr=training.learning_rate)
    for _ in range(training.steps):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    if training.kind == "gradient":
        return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return {name: p.detach() - start[name] for name, p in model.named_parameters()}


def flat(update: Mapping[str, torch.Tensor]) -> torch.Tensor:
    return torch.cat([update[name].double().flatten() for name in sorted(update)])


@pytest.mark.parametrize("name", ["leak-batch-one", "leak-convnet", "labels-visible"])
def test_a_leak_is_the_gradient_itself_and_its_twin_mostly_noise(built: Callable[..., Built], name: str) -> None:
    leak, twin = (built(name, planted)[0] for planted in (True, False))
    gradient = flat(derived(leak))
    torch.testing.assert_close(flat(sent(leak)), gradient, rtol=1e-4, atol=1e-6)
    clipped = flat(
        {k: torch.from_numpy(v) for k, v in clip({k: v.numpy() for k, v in derived(twin).items()}, 1.0).items()}
    )
    noise = flat(sent(twin)) - clipped
    assert float(noise.std()) == pytest.approx(NOISE, rel=0.1)
    assert float(clipped.norm()) <= 1 + 1e-6


def test_the_pruned_keep_one_coordinate_in_a_hundred(built: Callable[..., Built]) -> None:
    update = flat(sent(built("pruning-sold-as-protection", True)[0]))
    assert float((update != 0).double().mean()) == pytest.approx(0.01, abs=1e-3)


def test_the_signs_are_those_of_the_gradient(built: Callable[..., Built]) -> None:
    folder = built("sign-sold-as-protection", True)[0]
    assert torch.equal(flat(sent(folder)), flat(derived(folder)).sign())


def test_the_quantised_have_at_most_255_levels_and_stay_near(built: Callable[..., Built]) -> None:
    folder = built("quantising-sold-as-protection", True)[0]
    update, gradient = sent(folder), derived(folder)
    for name, tensor in update.items():
        assert len(np.unique(tensor.numpy())) <= 255
        step = float(gradient[name].abs().max()) / 127
        assert float((tensor - gradient[name]).abs().max()) <= 0.501 * step


def test_four_steps_are_those_of_torchs_own_descent(built: Callable[..., Built]) -> None:
    folder, system = built("local-steps-sold-as-protection", True)
    assert {update.local_steps for update in system.updates} == {4}
    expected = derived(folder, Training(steps=4, kind="delta"))
    torch.testing.assert_close(flat(sent(folder)), flat(expected), rtol=1e-3, atol=1e-6)


def test_the_dead_model_has_no_gradient_and_the_live_one_does(built: Callable[..., Built]) -> None:
    assert not flat(derived(built("blind-auditor", True)[0])).any()
    assert flat(derived(built("blind-auditor", False)[0])).any()


def test_flaw_and_twin_share_records_and_weights(built: Callable[..., Built]) -> None:
    leak, twin = (built("leak-batch-one", planted)[0] for planted in (True, False))
    for file in ("model.safetensors", "reference.npz", "updates/client-000.npz"):
        assert (leak / file).read_bytes() == (twin / file).read_bytes()


def test_of_the_sum_of_one_all_others_are_silent(built: Callable[..., Built]) -> None:
    folder = built("aggregate-of-one", True)[0]
    parts = [flat(load_file(file)) for file in sorted((folder / "updates/round-01").glob("client-*.safetensors"))]
    assert [bool(part.any()) for part in parts] == [True, *[False] * (len(parts) - 1)]
    torch.testing.assert_close(flat(load_file(folder / "updates/round-01/sum.safetensors")), parts[0])


def test_the_sum_of_many_has_noise_and_no_silent_client(built: Callable[..., Built]) -> None:
    folder = built("aggregate-of-one", False)[0]
    parts = [flat(load_file(file)) for file in sorted((folder / "updates/round-01").glob("client-*.safetensors"))]
    assert all(bool(part.any()) for part in parts)
    assert float(flat(load_file(folder / "updates/round-01/sum.safetensors")).std()) == pytest.approx(NOISE, rel=0.1)


def test_the_forgetting_step_goes_up_the_gradient_of_the_forgotten(built: Callable[..., Built]) -> None:
    folder = built("difference-shows-forgotten", True)[0]
    before, after = (load_file(folder / f"{name}.safetensors") for name in ("model", "after"))
    model = build_layers(json.loads((folder / "layers.json").read_text()))
    losses = []
    held = np.load(folder / "forget.npz")
    x, y = torch.from_numpy(held["x"]), torch.from_numpy(held["y"])
    for state in (before, after):
        model.load_state_dict(state)
        losses.append(float(nn.functional.cross_entropy(model(x), y).detach()))
    assert losses[1] > losses[0]
