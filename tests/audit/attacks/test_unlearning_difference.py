"""`attack.unlearning-difference`: a step of ascent gives its record away, a noised one does not; no pass is free."""

import copy
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.functional import cross_entropy

from audit.attacks import unlearning_difference as module
from audit.attacks.shadow import Recipe
from audit.attacks.unlearning_difference import unlearning_difference
from audit.run import Request, run_audit
from reports.bundle import read_bundle
from reports.errors import SystemFileError
from reports.model import Effort, Severity, Status, Strength
from reports.toml_writer import toml_text
from tests.audit.released_model import PERCEPTRON, trained_on
from unlearning.errors import ModelMismatch
from unlearning.layers import build_layers

CONVOLUTIONAL = [
    {"type": "Unflatten", "dim": 1, "unflattened_size": [1, 8, 8]},
    {"type": "Conv2d", "in_channels": 1, "out_channels": 8, "kernel_size": 3, "padding": 1},
    {"type": "ReLU"},
    {"type": "Flatten"},
    {"type": "Linear", "in_features": 512, "out_features": 10},
]
PUBLIC = slice(1000, 1600)
Records = tuple[npt.NDArray[Any], npt.NDArray[Any]]


@pytest.fixture(scope="module")
def before(digits: Any) -> nn.Module:
    """The model that has not forgotten, 4,810 parameters trained on 800 digits."""
    return trained_on((digits.x[:800], digits.y[:800]), Recipe(local_epochs=10, batch_size=32, learning_rate=0.1))


def stepped(model: nn.Module, records: Records, rate: float = 0.1, noise: float = 0.0, seed: int = 0) -> nn.Module:
    """One step up the gradient of `records` (down, where the rate is below zero), noise as many times its length."""
    after = copy.deepcopy(model)
    x, y = map(torch.from_numpy, records)
    gradients = torch.autograd.grad(cross_entropy(after(x), y), list(after.parameters()))
    length = float(torch.stack([(gradient**2).sum() for gradient in gradients]).sum().sqrt())
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter, gradient in zip(after.parameters(), gradients, strict=True):
            drawn = torch.randn(parameter.shape, generator=generator)
            parameter += rate * (gradient + noise * length * drawn)
    return after


def written(
    folder: Path, models: Mapping[str, nn.Module], data: Mapping[str, Records], *requests: Any, layers: Any
) -> Path:
    """Write a system's folder: models and records by name, and its erasure requests."""
    folder.mkdir(exist_ok=True)
    for name, model in models.items():
        save_file(
            {key: tensor.contiguous() for key, tensor in model.state_dict().items()}, folder / f"{name}.safetensors"
        )
    for name, (x, y) in data.items():
        np.savez(folder / f"{name}.npz", x=x, y=y)
    (folder / "layers.json").write_text(json.dumps(layers))
    described = {"checkpoint": "before.safetensors", "layers": "layers.json", "task": "classification"}
    tables: dict[str, Any] = {
        "system": {"name": "triage", "version": "1"},
        "model": {**described, "input_shape": [64], "classes": 10},
        "data": [{"role": "reference", "path": "reference.npz"}] if "reference" in data else [],
        "unlearning": list(requests),
    }
    (folder / "system.toml").write_text(toml_text(tables))
    return folder


def request(**keys: Any) -> dict[str, Any]:
    named = {"before": "before.safetensors", "after": "after.safetensors", "forget": "forget.npz"}
    return {"id": "r1", "kind": "client", **named, **keys}


@pytest.fixture
def erased(tmp_path: Path, digits: Any, before: nn.Module) -> Callable[..., Path]:
    """Write the system whose model forgot the first digits in one step."""

    def write(
        forgotten: int = 1, *, model: nn.Module | None = None, after: nn.Module | None = None, layers: Any = PERCEPTRON,
        reference: Any = PUBLIC, name: str = "system", data: Mapping[str, Records] | None = None,
        keys: Mapping[str, Any] | None = None, **step: float,
    ) -> Path:  # fmt: skip
        start = before if model is None else model
        records = digits.x[:forgotten], digits.y[:forgotten]
        models = {"before": start, "after": stepped(start, records, **step) if after is None else after}
        crowd = {} if reference is None else {"reference": (digits.x[reference], digits.y[reference])}
        held = {"forget": records, **crowd, **(data or {})}
        return written(tmp_path / name, models, held, request(**(keys or {})), layers=layers)

    return write


def shifted(digits: Any) -> Records:
    """Three thousand records of the same kind: digits, and digits moved by one pixel."""
    pictures = digits.x[PUBLIC].reshape(-1, 8, 8)
    moves = [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0)]
    return np.concatenate([np.roll(pictures, by, (1, 2)).reshape(-1, 64) for by in moves]), np.tile(digits.y[PUBLIC], 5)


def test_one_step_of_ascent_on_one_record_gives_it_back_exactly(erased: Any) -> None:
    file = erased() / "system.toml"
    asked = Request(file, file.parent / "bundle", datetime(2026, 11, 21, tzinfo=UTC), effort=Effort.SMOKE,
                    only=("attack.unlearning-difference",))  # fmt: skip
    run_audit(asked)
    report = read_bundle(file.parent / "bundle").statement.report
    (finding,) = [one for one in report.findings if one.check == "attack.unlearning-difference"]
    assert (finding.status, finding.severity, finding.strength) == (Status.FAIL, Severity.CRITICAL, Strength.EXACT)
    assert finding.key == "unlearning=r1"
    assert "GDPR:17(1)" in finding.controls
    assert any("holds both models" in line for line in finding.limitations)
    assert finding.remedy is not None
    figures = {one.name: one.value for one in finding.measurements}
    assert (figures["exact_records"], figures["null_identifiability"], figures["control_identifiability"]) == (1, 0, 1)
    assert 0 < figures["relative_change"] < 0.01


def test_the_noised_step_is_no_failure_and_says_what_would_decide(erased: Any, ask: Any) -> None:
    asked = ask(unlearning_difference, erased(noise=1.0))
    finding = asked.finding
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "too-few-records"), finding.summary
    assert (finding.remedy.parameter, finding.remedy.value) == ("unlearning.forget", "59")
    assert "noise" in finding.detail
    assert asked.value("identifiability") == 0


def test_a_step_down_the_gradient_gives_its_record_away_as_well(erased: Any, ask: Any) -> None:
    assert ask(unlearning_difference, erased(rate=-0.1)).finding.status is Status.FAIL


def test_neither_forgotten_records_nor_reconstructions_are_kept(erased: Any, ask: Any) -> None:
    asked = ask(unlearning_difference, erased())
    assert {piece.media_type for piece in asked.kept.pieces.values()} == {"application/vnd.fedaudit.plot+json"}
    assert "forget set" in asked.finding.limitations[0]


def test_many_records_in_a_noised_step_pass_as_a_screening_where_the_control_succeeds(
    erased: Any, ask: Any, digits: Any
) -> None:
    asked = ask(unlearning_difference, erased(60, noise=1.0, data={"reference": shifted(digits)}))
    assert (asked.finding.status, asked.finding.strength) == (Status.PASS, Strength.SCREENING), asked.finding.summary
    assert "(1 view)" in asked.finding.summary
    assert asked.value("control_identifiability") == 1.0
    assert asked.value("chance") < 0.02


def test_a_model_that_gives_nothing_away_earns_no_pass(erased: Any, ask: Any, digits: Any) -> None:
    dead = build_layers(PERCEPTRON)
    nn.init.constant_(dead[0].bias, -1e3)
    folder = erased(60, model=dead, noise=1.0, data={"reference": shifted(digits)})
    finding = ask(unlearning_difference, folder).finding
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "control-failed"), finding.summary
    assert "dead units" in finding.summary


def test_a_model_that_is_the_same_afterwards_tells_nothing_and_is_no_pass(
    erased: Any, ask: Any, before: nn.Module
) -> None:
    finding = ask(unlearning_difference, erased(after=before)).finding
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "no-difference")
    assert "nothing was forgotten" in finding.summary
    assert finding.remedy.parameter == "unlearning.after"


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"kind": "llm"}, "not-applicable:kind-llm"),
        ({"before": None}, "missing:unlearning.before"),
        ({"after": None}, "missing:unlearning.after"),
        ({"forget": None}, "missing:unlearning.forget"),
        ({"forget": "forget.jsonl"}, "not-applicable:no-arrays"),
    ],
)
def test_what_cannot_be_asked_is_skipped_with_its_reason(erased: Any, ask: Any, keys: Any, reason: str) -> None:
    folder = erased(keys=keys)
    (folder / "forget.jsonl").write_text("{}\n")
    finding = ask(unlearning_difference, folder).finding
    assert (finding.status, finding.reason, finding.key) == (Status.SKIPPED, reason, "unlearning=r1")


def test_every_request_is_answered_for_itself(tmp_path: Path, ask: Any, digits: Any, before: nn.Module) -> None:
    models, data = {"before": before}, {"reference": (digits.x[PUBLIC], digits.y[PUBLIC])}
    requests = []
    for number, noise in enumerate((0.0, 1.0)):
        data[f"forget{number}"] = digits.x[number : number + 1], digits.y[number : number + 1]
        models[f"after{number}"] = stepped(before, data[f"forget{number}"], noise=noise)
        requests.append(request(id=f"r{number}", after=f"after{number}.safetensors", forget=f"forget{number}.npz"))
    folder = written(tmp_path, models, data, *requests, {"id": "text", "kind": "llm"}, layers=PERCEPTRON)
    found = {finding.key: finding.status for finding in ask(unlearning_difference, folder).findings}
    assert found == {
        "unlearning=r0": Status.FAIL, "unlearning=r1": Status.INCONCLUSIVE, "unlearning=text": Status.SKIPPED,
    }  # fmt: skip


def test_of_many_forgotten_records_some_are_drawn_and_the_rest_are_said_to_be_left(
    erased: Any, ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_READ", 40)
    asked = ask(unlearning_difference, erased(90, data={"retain": (np.zeros((1, 64)), np.zeros(1, dtype=int))}))
    assert any("Of 90 forgotten records 40" in line for line in asked.finding.limitations)
    assert asked.value("chance") == pytest.approx(40 / 690)  # the others stand among the candidates
    again = ask(unlearning_difference, erased(90, name="again"))
    assert asked.finding == again.finding


def test_no_more_are_drawn_than_a_pass_allows_where_it_allows_enough(
    erased: Any, ask: Any, digits: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_READ", 80)
    asked = ask(unlearning_difference, erased(100, noise=1.0, data={"reference": shifted(digits)}))
    assert any("Of 100 forgotten records 62" in line for line in asked.finding.limitations)  # 2 % of 3,100
    assert asked.finding.status is Status.PASS, asked.finding.summary


def test_records_that_are_retained_stand_among_the_candidates(erased: Any, ask: Any, digits: Any) -> None:
    retained = {"retain": (digits.x[1:301], digits.y[1:301]), "twin": (digits.x[301:302], digits.y[301:302])}
    keys = {"retain": "retain.npz", "twin": "twin.npz"}
    asked = ask(unlearning_difference, erased(data=retained, keys=keys))
    assert asked.value("chance") == pytest.approx(1 / (1 + 600 + 300 + 1))
    both = {"retain": (digits.x[:301], digits.y[:301])}  # whoever is retained, too, is nobody that was forgotten
    finding = ask(unlearning_difference, erased(data=both, keys={"retain": "retain.npz"}, name="both")).finding
    assert finding.status is Status.INCONCLUSIVE
    assert "equal a public one" in finding.summary


def test_without_others_an_exact_record_still_fails_and_luck_is_said_to_be_unasked(erased: Any, ask: Any) -> None:
    finding = ask(unlearning_difference, erased(2, reference=None)).finding
    assert any("what luck finds was not asked" in line for line in finding.limitations)
    assert finding.status is not Status.PASS


def test_a_number_that_is_none_leaves_nothing_to_read(erased: Any, ask: Any, before: nn.Module) -> None:
    broken = copy.deepcopy(before)
    broken[0].weight.data[0, 0] = torch.nan
    finding = ask(unlearning_difference, erased(after=broken)).finding
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "no-usable-record")


def test_a_model_of_another_architecture_and_a_label_of_no_class_are_named(erased: Any, ask: Any, digits: Any) -> None:
    narrow = build_layers([*PERCEPTRON[:2], {**PERCEPTRON[2], "out_features": 9}])
    with pytest.raises(ModelMismatch, match=r"after\.safetensors: '2\.(weight|bias)' has shape \(9,"):
        ask(unlearning_difference, erased(after=narrow))
    with pytest.raises(SystemFileError, match=r"unlearning\[0\]\.forget: forget\.npz: 'y' holds the label 12"):
        ask(unlearning_difference, erased(data={"forget": (digits.x[:1], np.array([12]))}, name="labels"))


@pytest.mark.parametrize("rate", [0.1, -0.1], ids=["up", "down"])
def test_behind_convolutions_the_search_finds_the_record_whatever_the_sign(erased: Any, ask: Any, rate: float) -> None:
    torch.manual_seed(0)
    asked = ask(unlearning_difference, erased(model=build_layers(CONVOLUTIONAL), layers=CONVOLUTIONAL, rate=rate))
    assert asked.value("identifiability") == 1.0
    assert asked.value("reconstruction_rate") == 1.0
    assert asked.value("null_identifiability") == 0.0
    assert "gradient matching" in asked.finding.measurements[0].method


def test_from_effort_standard_on_the_search_stands_beside_the_reading(erased: Any, ask: Any) -> None:
    finding = ask(unlearning_difference, erased(), effort=Effort.STANDARD).finding
    assert finding.status is Status.FAIL
    assert "Reading by gradient matching" in finding.detail
    assert "Reading by ratio" in finding.detail


def test_models_trained_anew_are_never_accused(erased: Any, ask: Any, digits: Any) -> None:
    for seed in range(8):  # a difference as large as the model itself, which holds no step of anybody
        fresh = build_layers(PERCEPTRON)
        torch.manual_seed(seed)
        for layer in fresh[::2]:
            layer.reset_parameters()
        finding = ask(unlearning_difference, erased(64, after=fresh, name=f"fresh{seed}")).finding
        assert finding.status is Status.INCONCLUSIVE, finding.summary
        assert finding.reason == "too-few-candidates"
