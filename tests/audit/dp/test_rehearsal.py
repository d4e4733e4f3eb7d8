"""A rehearsal tells the epsilon of the mechanism that is declared, and is asked for at effort full alone."""

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from audit.dp.canaries import gaussian_bounds
from audit.dp.check_lower_bound import lower
from audit.dp.gaussian import gdp_epsilon
from audit.dp.rehearsal import Mechanism, canary_count, rehearse
from reports.model import Effort, Status
from unlearning.federated.data import ClientData
from unlearning.federated.recipe import TrainingRecipe
from unlearning.federated.training import seeded

DELTA = 1e-3
RECIPE = TrainingRecipe(rounds=1, local_steps=1, batch_size=4, learning_rate=0.5)


def model() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(60, 40), nn.ReLU(), nn.Linear(40, 3))


def clients() -> list[ClientData]:
    drawn = torch.Generator().manual_seed(2)
    return [ClientData(torch.randn(8, 60, generator=drawn), torch.arange(8) % 3) for _ in range(3)]


def run(seed: int = 1, **changes: Any) -> Any:
    settings: dict[str, Any] = {
        "clipping_norm": 0.5, "noise_multiplier": 2.0, "steps": 9, "sampling": "full", "sampling_rate": 1.0,
    }  # fmt: skip
    mechanism = Mechanism(**{**settings, **changes})
    return rehearse(model(), clients(), RECIPE, mechanism, np.random.default_rng(seed), seeded(3))


def test_rehearsed_canaries_tell_the_epsilon_of_the_mechanism() -> None:
    true = gdp_epsilon(math.sqrt(9) / 2.0, DELTA)
    for seed in range(3):
        scores = run(seed)
        assert len(scores.score) == canary_count(40 * 61 + 3 * 41) == 128
        bounds = gaussian_bounds(scores.score, scores.included, delta=DELTA, alpha=0.001)
        assert 0 < bounds.low < true < bounds.high


def test_without_noise_every_canary_gives_itself_away() -> None:
    scores = run(noise_multiplier=0.0)
    assert scores.score[scores.included].min() > scores.score[~scores.included].max()
    assert gaussian_bounds(scores.score, scores.included, delta=DELTA, alpha=0.025).low > 20


@pytest.mark.parametrize(("sampling", "spread"), [("poisson", True), ("fixed-size", True), ("full", False)])
def test_a_sampled_canary_scores_the_rounds_it_was_drawn_for(sampling: str, spread: bool) -> None:
    scores = run(sampling=sampling, sampling_rate=1.0 if sampling == "full" else 0.5, noise_multiplier=0.0, steps=40)
    inside = scores.score[scores.included]
    assert inside.mean() == pytest.approx(40 if sampling == "full" else 20, rel=0.15)
    assert (inside.std() > 2.4) == spread or sampling == "full"


def test_the_same_seed_gives_the_same_scores() -> None:
    np.testing.assert_array_equal(run(5).score, run(5).score)
    assert not np.array_equal(run(5).score, run(6).score)


@pytest.mark.parametrize(
    ("coordinates", "count"), [(0, 0), (399, 19), (4810, 240), (100_000, 200), (10**6, 20), (10**8, 0)]
)
def test_canaries_are_as_many_as_the_model_and_the_memory_hold(coordinates: int, count: int) -> None:
    assert canary_count(coordinates) == count


DECLARED = {
    "unit": "client", "clipping_norm": 0.5, "noise_multiplier": 2.0, "sampling": "full", "steps": 9, "delta": DELTA,
}  # fmt: skip
TRUE = gdp_epsilon(1.5, DELTA)


@pytest.fixture
def finding(ask: Callable[..., Any], folder: Callable[[], Any]) -> Callable[..., Any]:
    def put(*, effort: Effort = Effort.FULL, checkpoint: bool = True, data: bool = True, **declared: Any) -> Any:
        system, net = folder(), model()
        layers = [{"type": "Linear", "in_features": 60, "out_features": 40}, {"type": "ReLU"}]
        layers.append({"type": "Linear", "in_features": 40, "out_features": 3})
        (system.path / "layers.json").write_text(json.dumps(layers))
        system.tables["model"] = {"layers": "layers.json", "task": "classification", "input_shape": [60], "classes": 3}
        if checkpoint:
            system.tensors("model.safetensors", {n: t.numpy() for n, t in net.state_dict().items()}, kind="delta")
            system.tables.pop("updates")
            system.tables["model"]["checkpoint"] = "model.safetensors"
        if data:
            rng = np.random.default_rng(1)
            np.savez(system.path / "r.npz", x=rng.normal(size=(12, 60)).astype("f4"), y=np.arange(12) % 3)
            system.tables["data"] = [{"role": "reference", "path": "r.npz"}]
        system.tables["federation"] = {"clients": 3, "local_steps": 1, "batch_size": 4, "learning_rate": 0.5}
        system.privacy(**{key: value for key, value in {**DECLARED, **declared}.items() if value is not None})
        return ask(lower, system.done(), effort=effort).finding

    return put


@pytest.mark.parametrize("data", [True, False])
def test_a_claim_that_follows_is_screened_and_one_that_does_not_is_refuted(
    finding: Callable[..., Any], data: bool
) -> None:
    sound = finding(epsilon=TRUE * 1.01, data=data)
    assert (sound.status, sound.strength, sound.basis) == (Status.PASS, "screening", "measured")
    assert any("did not run" in said for said in sound.limitations)
    bold = finding(epsilon=TRUE / 4, data=data)
    assert (bold.status, bold.strength) == (Status.FAIL, "statistical")


def test_at_less_effort_it_is_skipped_and_says_what_would_decide(finding: Callable[..., Any]) -> None:
    for effort in (Effort.SMOKE, Effort.STANDARD):
        found = finding(effort=effort, epsilon=TRUE)
        assert (found.status, found.reason) == (Status.SKIPPED, "budget")
        assert found.remedy.value == "canary-scores"


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        ({"epsilon": None}, "nothing-claimed"),
        ({"epsilon": 1.0, "delta": None}, "nothing-claimed"),
        ({"epsilon": 1.0, "unit": "example"}, "example-level"),
        ({"epsilon": 1.0, "noise_multiplier": None}, "half-declared"),
        ({"epsilon": 1.0, "clipping_norm": None}, "half-declared"),
        ({"epsilon": 1.0, "steps": 2000}, "steps"),
        ({"epsilon": 1.0, "checkpoint": False}, "no-checkpoint"),
    ],
)
def test_what_cannot_be_rehearsed_says_why(finding: Callable[..., Any], declared: Any, reason: str) -> None:
    found = finding(**declared)
    assert (found.status, found.reason) == (Status.SKIPPED, f"not-applicable:{reason}")
