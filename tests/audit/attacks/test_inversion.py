"""Gradient matching as a check: what is no protection fails, noise passes, and what cannot be told is not passed."""

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from audit.attacks.inversion import inversion
from audit.capture import Capture
from audit.defences import clip, gaussian, quantise, sign, top_k
from audit.executors import Process
from audit.manifest import load_system
from audit.twin import Scale
from reports.check import Context
from reports.model import Effort, Severity, Status, Strength


def convolutional(activation: type[nn.Module] = nn.ReLU, *, width: int = 4, dead: bool = False) -> nn.Sequential:
    """Two convolutions for digits of 8 x 8, the pixels in one row; a dead one never activates a channel."""
    torch.manual_seed(0)
    first = nn.Conv2d(1, width, 3, padding=1)
    if dead:
        nn.init.constant_(first.bias, -1e3)
    second = nn.Conv2d(width, 8, 3, stride=2, padding=1)
    last = nn.Linear(128, 10)
    return nn.Sequential(nn.Unflatten(1, (1, 8, 8)), first, activation(), second, activation(), nn.Flatten(), last)


def small() -> nn.Sequential:
    """One convolution and a sigmoid, with the uniform weights of the DLG paper."""
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.Sigmoid(), nn.Flatten(), nn.Linear(64, 10)
    model = nn.Sequential(nn.Unflatten(1, (1, 8, 8)), *layers)
    for parameter in model.parameters():
        nn.init.uniform_(parameter, -0.5, 0.5)
    return model


def noised(update, rng):
    return gaussian(clip(update, 1.0), 2.0, rng)


def test_clear_updates_of_convolutions_fail(planted, ask) -> None:
    asked = ask(inversion, planted(clients=8, model=convolutional(width=8), reference=300))
    finding = asked.finding
    assert (finding.status, finding.severity) == (Status.FAIL, Severity.CRITICAL)
    assert asked.value("identifiability") == 1.0
    assert asked.value("null_identifiability") == 0.0
    assert "engine factored" in finding.measurements[0].method
    assert any(piece.media_type == "image/png" for piece in asked.kept.pieces.values())


@pytest.mark.slow
def test_noise_passes_and_says_of_how_many(planted, ask) -> None:
    asked = ask(inversion, planted(clients=96, model=small(), defend=noised))
    assert asked.finding.status is Status.PASS, asked.finding.summary
    assert asked.finding.strength is Strength.STATISTICAL
    assert asked.value("control_identifiability") > 0.5
    assert "of 96 planted records" in asked.finding.summary
    assert "prior for noise" in asked.finding.detail


@pytest.mark.slow
@pytest.mark.parametrize(
    ("defend", "knows", "least"),
    [
        (lambda u, r: top_k(u, 0.1), "surviving coordinates", 0.9),
        (lambda u, r: sign(u), "soft signs", 0.5),
        (lambda u, r: quantise(u), "gradient matching", 0.9),
        (lambda u, r: gaussian(clip(u, 1.0), 0.003, r), "prior for noise", 0.7),
        (lambda u, r: {n: 1e-6 * v for n, v in u.items()}, "gradient matching", 0.9),
    ],
    ids=["prune-90", "signs", "int8", "little-noise", "tiny"],
)
def test_what_is_no_protection_fails(planted, ask, defend, knows: str, least: float) -> None:
    asked = ask(inversion, planted(clients=24, model=convolutional(width=8), reference=300, defend=defend))
    assert asked.finding.status is Status.FAIL
    assert asked.value("identifiability") >= least
    assert asked.value("null_identifiability") <= 0.1
    assert knows in asked.finding.detail


@pytest.mark.slow
@pytest.mark.parametrize(
    "defend",
    [
        lambda u, r: top_k(noised(u, r), 0.1),
        lambda u, r: sign(noised(u, r)),
        lambda u, r: quantise(noised(u, r)),
    ],
    ids=["noised-pruned", "sign-of-noised", "noised-int8"],
)
def test_declared_noise_under_another_defence_passes(planted, ask, defend) -> None:
    noise = {"differential_privacy": {"noise_multiplier": 2.0, "clipping_norm": 1.0, "epsilon": 5.0, "delta": 1e-5}}
    folder = planted(clients=128, reference=900, model=convolutional(width=8), defend=defend, federation=noise)
    finding = ask(inversion, folder).finding
    assert finding.status is Status.PASS, finding.summary
    assert "declared epsilon 5" in finding.summary
    undeclared = planted(clients=20, model=convolutional(width=8), defend=defend, name="undeclared")
    assert ask(inversion, undeclared).finding.status is Status.INCONCLUSIVE


def test_a_linear_first_layer_is_read_before_anything_is_searched(planted, ask) -> None:
    asked = ask(inversion, planted(clients=12))
    assert (asked.finding.status, asked.finding.strength) == (Status.FAIL, Strength.EXACT)
    assert asked.value("exact_records") == 12
    assert "engine closed form" in asked.finding.measurements[0].method


@pytest.mark.slow
def test_several_records_of_one_update_are_found_together(planted, ask) -> None:
    asked = ask(inversion, planted(clients=4, batch=2, model=convolutional(width=8), reference=300))
    assert asked.value("identifiability") >= 0.6
    assert asked.value("chance") == pytest.approx(2 / 308)


def test_a_dead_model_is_inconclusive(planted, ask) -> None:
    finding = ask(inversion, planted(clients=4, model=convolutional(dead=True), reference=50)).finding
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "control-failed")
    assert "dead units" in finding.summary


def test_updates_that_hold_nothing_are_no_pass(planted, ask) -> None:
    folder = planted(
        clients=6, model=convolutional(), reference=50, defend=lambda u, r: {n: 0 * v for n, v in u.items()}
    )
    assert ask(inversion, folder).finding.reason in {"no-usable-record", "control-failed"}


def test_another_normalisation_than_declared_is_inconclusive(planted, ask) -> None:
    elsewhere = Scale(np.full(1, 0.5), np.full(1, 0.25))
    folder = planted(clients=4, model=convolutional(), reference=50, scale=elsewhere)
    finding = ask(inversion, folder).finding
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "control-failed")
    assert "normalisation" in finding.summary


@pytest.mark.slow
def test_batch_statistics_are_told(tmp_path: Path, ask, digits) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(),
        nn.Linear(256, 10),
    ).eval()  # fmt: skip
    with Capture(tmp_path, model, name="training-mode", reference=(digits.x[100:300], digits.y[100:300])) as capture:
        for row in range(6):
            x, y = torch.from_numpy(digits.x[row : row + 1]), torch.from_numpy(digits.y[row : row + 1])
            client = nn.Sequential(*model)
            client[2].momentum = 0.0  # the statistics that are kept do not move
            client.train()
            client.zero_grad()
            nn.functional.cross_entropy(client(x), y).backward()
            client.eval()
            capture.record_gradient(model, (x, y), client=f"c{row}")
    finding = ask(inversion, tmp_path).finding
    assert finding.status is not Status.PASS
    assert "BatchNorm" in finding.summary


@pytest.mark.slow
def test_few_records_never_pass(planted, ask) -> None:
    finding = ask(inversion, planted(clients=10, model=convolutional(width=8), reference=100, defend=noised)).finding
    assert finding.status is Status.INCONCLUSIVE
    assert finding.reason in {"too-few-records", "control-failed"}


def test_sums_alone_are_none_of_its_business(planted, ask) -> None:
    finding = ask(inversion, planted(clients=4, federation={"visibility": "aggregate"})).finding
    assert (finding.status, finding.reason) == (Status.SKIPPED, "not-applicable:sums-only")


@pytest.mark.slow
def test_more_records_than_the_budget_are_said_to_be_left_out(planted, ask) -> None:
    finding = ask(inversion, planted(clients=140, model=small(), reference=50)).finding
    assert any("12 planted records were not searched" in line for line in finding.limitations)


@pytest.mark.slow
def test_every_executor_gives_the_same_finding(planted) -> None:
    folder = planted(clients=40, model=convolutional(), reference=100)
    loaded = load_system(folder / "system.toml")
    found = []
    for executor in (None, Process(2)):
        keys = {} if executor is None else {"executor": executor}
        context = Context(inversion, loaded.system, 7, Effort.SMOKE, loaded.folder, None, Store(), **keys)
        found.append(list(inversion.ask(loaded.system, context)))
    assert found[0] == found[1]


class Store:
    """Keeps nothing but digests."""

    def put_evidence(self, data: bytes, media_type: str, confidentiality: object, name: str) -> object:
        from reports.model import Evidence, evidence_path

        digest = hashlib.sha256(data).hexdigest()
        return Evidence(sha256=digest, path=evidence_path(digest), size=len(data), media_type=media_type,
                        confidentiality=confidentiality, name=name)  # fmt: skip


@pytest.fixture
def estimated(tmp_path: Path, digits) -> Callable[[Callable[[np.ndarray, np.ndarray], np.ndarray]], Path]:
    """Write a system whose server keeps an estimate of each of 64 records."""

    def write(estimate: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Path:
        made = estimate(digits.x[:64], digits.y[:64])
        save_file({"w": torch.zeros(1)}, tmp_path / "base.safetensors")
        np.savez(tmp_path / "public.npz", x=digits.x[64:1064], y=digits.y[64:1064])
        (tmp_path / "layers.json").write_text(json.dumps([{"type": "Linear", "in_features": 64, "out_features": 10}]))
        head = (
            '[system]\nname = "stale"\nversion = "1"\n[model]\ncheckpoint = "base.safetensors"\n'
            'layers = "layers.json"\ntask = "classification"\ninput_shape = [64]\nclasses = 10\n'
            '[[data]]\nrole = "reference"\npath = "public.npz"\n'
        )
        lines = [head]
        for row in range(64):
            np.savez(tmp_path / f"e{row}.npz", x=made[row : row + 1])
            np.savez(tmp_path / f"t{row}.npz", x=digits.x[row : row + 1], y=digits.y[row : row + 1])
            lines.append(f'[[updates]]\npath = "e{row}.npz"\nkind = "estimate"\ntruth = "t{row}.npz"\n')
        (tmp_path / "system.toml").write_text("".join(lines))
        return tmp_path

    return write


def test_estimates_that_a_server_keeps_fail_and_class_means_do_not(estimated, ask, digits) -> None:
    rng = np.random.default_rng(0)
    close = estimated(lambda x, y: (x + 0.1 * rng.standard_normal(x.shape)).astype(np.float32))
    asked = ask(inversion, close)
    assert asked.finding.status is Status.FAIL
    assert asked.value("identifiability") > 0.9
    assert asked.value("control_identifiability") > 0.5
    means = np.array([digits.x[1064:][digits.y[1064:] == label].mean(axis=0) for label in range(10)])
    asked = ask(inversion, estimated(lambda x, y: means[y]))
    assert asked.finding.status is not Status.FAIL  # a mean is nearest to somebody, and to as many by luck
    assert asked.value("identifiability") <= 2 / 64
    asked = ask(inversion, estimated(lambda x, y: 1 - x[::-1]))
    assert asked.finding.status is Status.PASS, asked.finding.summary


@pytest.mark.slow
def test_an_update_of_an_unnamed_older_base_is_found_out(planted, ask) -> None:
    old, new = convolutional(width=8), convolutional(width=8)
    generator = torch.Generator().manual_seed(5)
    for parameter in new.parameters():
        parameter.data += 0.2 * torch.randn(parameter.shape, generator=generator)
    folder = planted(clients=8, model=old, reference=300)
    save_file(new.state_dict(), folder / "current.safetensors")
    file = folder / "system.toml"
    head, first, *others = file.read_text().replace('"model.safetensors"', '"current.safetensors"').split("[[updates]]")
    unnamed = [re.sub(r"base = .*\n", "", entry) for entry in others]
    file.write_text("[[updates]]".join([head, first, *unnamed]))
    assert ask(inversion, folder).value("identifiability") >= 0.9
    file.write_text("[[updates]]".join([head, re.sub(r"base = .*\n", "", first), *unnamed]))
    alone = ask(inversion, folder)  # the older checkpoint is listed nowhere
    assert alone.value("identifiability") <= 0.5
    assert alone.finding.status is not Status.PASS
