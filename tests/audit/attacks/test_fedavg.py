"""Local steps sold as protection: simulated, they fail; noised, they pass; a dead model and a blind search never do."""

import copy
import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from audit.attacks.delta_noise import noise_deviation
from audit.attacks.fedavg import fedavg
from audit.capture import Capture
from audit.defences import clip, gaussian, quantise, sign, top_k
from audit.executors import Process
from audit.manifest import load_system
from reports.check import Context
from reports.executor import Serial
from reports.model import Confidentiality, Effort, Evidence, Severity, Status, Strength, evidence_path


def convolutional(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 8, 5, stride=2, padding=2), nn.Sigmoid(), nn.Flatten(),
        nn.Linear(128, 10),
    )  # fmt: skip


def as_it_is(delta: Mapping[str, Any], _rng: np.random.Generator) -> Mapping[str, Any]:
    return delta


def noised(delta: Mapping[str, Any], rng: np.random.Generator) -> Mapping[str, Any]:
    return gaussian(clip(delta, 1.0), 1.0, rng)


@pytest.fixture
def trained(tmp_path: Path, digits) -> Callable[..., Path]:
    """Write a federation whose clients train for several steps with torch's own SGD; its folder."""

    def write(
        model: nn.Module,
        *,
        clients: int = 8,
        records: int = 1,
        steps: int = 4,
        batch: int | None = None,
        rate: float | None = 0.2,
        defend: Callable[..., Mapping[str, Any]] = as_it_is,
        reference: int = 600,
        **description: Any,
    ) -> Path:
        rng, total = np.random.default_rng(5), clients * records
        public = digits.x[total : total + reference], digits.y[total : total + reference]
        known = public if reference else None
        with Capture(tmp_path / "s", model, name="s", classes=10, reference=known, **description) as recording:
            for client in range(clients):
                part = slice(client * records, (client + 1) * records)
                x, y = torch.from_numpy(digits.x[part]), torch.from_numpy(digits.y[part])
                after = copy.deepcopy(model)
                optimiser = torch.optim.SGD(after.parameters(), lr=rate or 0.2)
                size = batch or records
                for step in range(steps):
                    rows = [(step * size + row) % records for row in range(size)]
                    optimiser.zero_grad()
                    nn.functional.cross_entropy(after(x[rows]), y[rows]).backward()
                    optimiser.step()
                changed = {
                    name: (after.state_dict()[name] - tensor).double().numpy()
                    for name, tensor in model.state_dict().items()
                }
                sent = defend(changed, rng)
                received = {name: t.double() + torch.from_numpy(sent[name]) for name, t in model.state_dict().items()}
                recording.record_update(
                    model, received, (x, y), client=f"c{client}", round=0, local_steps=steps, learning_rate=rate,
                    batch_size=batch,
                )  # fmt: skip
        return tmp_path / "s"

    return write


def test_a_linear_first_layer_is_read_without_a_search(trained, ask, perceptron) -> None:
    asked = ask(fedavg, trained(perceptron()))
    finding = asked.finding
    assert (finding.status, finding.strength, finding.severity) == (Status.FAIL, Strength.EXACT, Severity.CRITICAL)
    assert asked.value("exact_records") == 8
    assert "engine closed form" in finding.measurements[0].method


def test_steps_that_are_simulated_hide_nothing(trained, ask) -> None:
    asked = ask(fedavg, trained(convolutional()))
    assert (asked.finding.status, asked.finding.strength) == (Status.FAIL, Strength.STATISTICAL)
    assert asked.value("identifiability") >= 7 / 8
    assert asked.value("null_identifiability") == 0.0
    assert asked.value("control_identifiability") == 1.0
    assert "engine factored, factored then vmap" in asked.finding.measurements[0].method


@pytest.mark.slow
@pytest.mark.parametrize(
    "defend",
    [lambda d, r: quantise(d), lambda d, r: top_k(d, 0.1), lambda d, r: sign(d)],
    ids=["int8", "prune-90", "signs"],
)
def test_what_is_no_protection_on_top_fails_too(trained, ask, defend) -> None:
    asked = ask(fedavg, trained(convolutional(), clients=16, defend=defend))
    assert asked.finding.status is Status.FAIL, asked.finding.detail


@pytest.mark.slow
def test_batches_of_several_epochs_are_found(trained, ask) -> None:
    asked = ask(fedavg, trained(convolutional(), clients=8, records=2, steps=4, batch=1, rate=0.5))
    assert asked.finding.status is Status.FAIL, asked.finding.detail
    assert asked.value("identifiability") > asked.value("one_step_identifiability")
    assert "Taking the delta for one step does not suffice" in asked.finding.detail


def test_a_smoke_test_of_noised_deltas_never_passes(trained, ask) -> None:
    finding = ask(fedavg, trained(convolutional(), defend=noised)).finding
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "too-few-records")
    assert "Neither" in finding.detail


@pytest.mark.slow
@pytest.mark.parametrize("model", ["convolutional", "perceptron"])
def test_the_noised_twin_passes(trained, ask, perceptron, model: str) -> None:
    net = convolutional() if model == "convolutional" else perceptron(32)
    asked = ask(fedavg, trained(net, clients=64, reference=1000, defend=noised), effort=Effort.STANDARD)
    assert (asked.finding.status, asked.finding.strength) == (Status.PASS, Strength.STATISTICAL), asked.finding.summary
    assert asked.value("control_identifiability") > 0.9


def test_a_dead_model_is_inconclusive(trained, ask, perceptron) -> None:
    finding = ask(fedavg, trained(perceptron(32, dead=True), clients=2, reference=60)).finding
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "control-failed")
    assert "dead units" in finding.summary


@pytest.mark.slow
def test_an_undeclared_learning_rate_earns_no_pass(trained, ask) -> None:
    finding = ask(fedavg, trained(convolutional(), rate=None, defend=noised)).finding
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "undecided")
    assert "local-steps" in finding.summary


def test_the_budget_bounds_what_is_searched_and_says_so(trained, ask, perceptron) -> None:
    asked = ask(fedavg, trained(perceptron(), clients=20))
    assert {one.n for one in asked.finding.measurements if one.name == "identifiability"} == {16}
    assert any("Of 20 deltas of several steps 16 were searched" in line for line in asked.finding.limitations)


def test_one_step_is_none_of_its_business(trained, ask, perceptron) -> None:
    finding = ask(fedavg, trained(perceptron(), clients=2, steps=1)).finding
    assert (finding.status, finding.reason) == (Status.SKIPPED, "not-applicable:one-local-step")


def test_sums_alone_are_none_of_its_business(trained, ask, perceptron) -> None:
    folder = trained(perceptron(), clients=2, federation={"visibility": "aggregate"})
    assert ask(fedavg, folder).finding.reason == "not-applicable:sums-only"


@pytest.mark.slow
def test_the_answer_is_the_same_twice(trained, ask) -> None:
    folder = trained(convolutional(), clients=1, reference=60)
    first, second = ask(fedavg, folder), ask(fedavg, folder)
    assert first.finding == second.finding
    assert first.kept.data == second.kept.data


class Kept:
    """An evidence store that keeps nothing."""

    def put_evidence(self, data: bytes, media_type: str, confidentiality: Confidentiality, name: str) -> Evidence:
        digest = hashlib.sha256(data).hexdigest()
        return Evidence(sha256=digest, path=evidence_path(digest), size=len(data), media_type=media_type,
                        confidentiality=confidentiality, name=name)  # fmt: skip


@pytest.mark.slow
def test_processes_find_what_the_loop_finds(trained) -> None:
    folder, found = trained(convolutional(), clients=4), []
    for executor in (Serial(), Process(2)):
        loaded = load_system(folder / "system.toml")
        now = datetime(2026, 11, 20, tzinfo=UTC)
        context = Context(fedavg, loaded.system, 7, Effort.SMOKE, loaded.folder, now, Kept(), executor=executor)
        found.append(list(fedavg.ask(loaded.system, context)))
    assert found[0] == found[1]


def test_noise_shows_beyond_the_rank_that_the_steps_allow() -> None:
    rng = np.random.default_rng(0)
    steps = rng.normal(size=(30, 6)) @ rng.normal(size=(6, 80))
    assert noise_deviation(steps, 6) == 0.0
    assert noise_deviation(steps + 0.02 * rng.normal(size=steps.shape), 6) == pytest.approx(0.02, rel=0.1)
    assert noise_deviation(steps + 0.02 * rng.normal(size=steps.shape), 28) == 0.0  # too few values are left to tell
