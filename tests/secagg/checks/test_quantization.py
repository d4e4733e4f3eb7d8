"""Updates that come back as they were pass; clipped and coarsely rounded ones fail, and the remedies mend them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from reports.model import Artifact, Finding, Status, System, Update
from secagg.checks.quantization import loss_of, quantization
from secagg.quantize import Quantization

Ask = Callable[..., list[Finding]]
SecureSystem = Callable[..., System]
SOUND: dict[str, Any] = {"clipping_range": 8.0, "quantization_levels": 2**22}


@pytest.fixture
def system_of(secure_system: SecureSystem, tmp_path: Path) -> Callable[..., System]:
    """A system with the given updates, each a dict of tensors, in files below the test's folder."""

    def make(*updates: dict[str, Any], kind: str = "delta", **declared: Any) -> System:
        entries = []
        for number, tensors in enumerate(updates):
            path = f"update-{number}.safetensors"
            save_file({name: torch.as_tensor(values) for name, values in tensors.items()}, tmp_path / path)
            artifact = Artifact(path=path, sha256="0" * 64, size=1, kind="updates.path")
            entries.append(Update.model_validate({"path": artifact, "kind": kind}))
        return secure_system(**{**SOUND, **declared}).model_copy(update={"updates": tuple(entries)})

    return make


def update(scale: float = 0.1, outlier: float | None = None) -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng(5)
    weight = rng.normal(size=(40, 50)).astype(np.float32) * np.float32(scale)
    if outlier is not None:
        weight[3, 4] = outlier
    return {"weight": weight, "bias": rng.normal(size=40).astype(np.float32) * np.float32(scale)}


def loss_by_definition(x: NDArray[np.float64], clip: float, levels: int) -> float:
    """Largest error of stochastic rounding: every element moves by less than one step, beyond what clipping takes."""
    step = 2 * clip / levels
    worst = np.abs(np.clip(x, -clip, clip) - x) + step
    return float(np.linalg.norm(worst) / np.linalg.norm(x))


@pytest.mark.parametrize(("clip", "levels"), [(8.0, 2**22), (8.0, 2**10), (0.1, 2**22), (0.01, 2**4)])
def test_the_loss_is_what_clipping_and_rounding_can_do(clip: float, levels: int) -> None:
    x = np.random.default_rng(6).normal(0, 0.1, 5000)
    loss = loss_of(x, Quantization(clip, levels), np.random.default_rng(7))
    assert loss.saturated == np.mean(np.abs(x) > clip)
    assert loss.clipping_error == pytest.approx(np.linalg.norm(np.clip(x, -clip, clip) - x) / np.linalg.norm(x))
    assert loss.clipping_error * 0.9 <= loss.error <= loss_by_definition(x, clip, levels)


def test_fine_steps_and_ample_room_pass(ask: Ask, system_of: Callable[..., System], tmp_path: Path, shelf: Any) -> None:
    [finding] = ask(quantization, system_of(update(), update(2.0)), shelf, tmp_path)
    assert (finding.status, finding.reason) == (Status.PASS, "")
    saturated, error = finding.measurements
    assert (saturated.name, error.name, saturated.n) == ("saturated_share", "relative_error", 2)
    for one in (saturated, error):
        assert one.threshold is not None
        assert one.control is not None
        assert one.value <= one.threshold.limit < one.control
    assert len(json.loads(shelf.kept[finding.evidence[0]])["updates"]) == 2


@pytest.mark.parametrize(
    ("tensors", "declared", "parameter"),
    [
        (update(), {"clipping_range": 0.05}, "clipping_range"),  # half of the elements are clipped
        (update(outlier=500.0), {}, "clipping_range"),  # one element, and most of the norm
        (update(1e-6), {"quantization_levels": 2**16}, "quantization_levels"),  # steps larger than the elements
        (update(), {"quantization_levels": 100}, "quantization_levels"),
    ],
    ids=["clipped", "outlier", "tiny update", "few levels"],
)
def test_lossy_quantisation_fails_and_its_remedies_mend_it(
    tensors: dict[str, Any],
    declared: dict[str, Any],
    parameter: str,
    ask: Ask,
    system_of: Callable[..., System],
    tmp_path: Path,
) -> None:
    changed, statuses, first = dict(declared), [], ""
    while len(statuses) < 6:
        [finding] = ask(quantization, system_of(tensors, **changed), None, tmp_path)
        statuses.append(finding.status)
        if finding.remedy is None:
            break
        assert finding.remedy.value is not None
        key = finding.remedy.parameter.rsplit(".", 1)[-1]
        first = first or key
        changed[key] = float(finding.remedy.value) if key == "clipping_range" else int(finding.remedy.value)
    assert (statuses[0], statuses[-1], first) == (Status.FAIL, Status.PASS, parameter)


def test_one_bad_update_among_good_ones_fails_and_is_named(
    ask: Ask, system_of: Callable[..., System], tmp_path: Path
) -> None:
    [finding] = ask(quantization, system_of(update(), update(100.0)), None, tmp_path)
    assert finding.status is Status.FAIL
    assert finding.detail == "Changed too much: update-1.safetensors"


def test_updates_that_cannot_be_used_are_left_out_and_named(
    ask: Ask, system_of: Callable[..., System], tmp_path: Path
) -> None:
    nothing, broken = {"weight": np.zeros(3, np.float32)}, {"weight": np.array([1.0, np.nan], np.float32)}
    counters = {"steps": np.array([3])}
    [some] = ask(quantization, system_of(update(), nothing, broken), None, tmp_path)
    assert some.status is Status.PASS
    assert "2 recorded updates were left out." in some.limitations
    assert "update-2.safetensors: it holds NaN or infinity" in some.detail
    [none] = ask(quantization, system_of(nothing, broken, counters), None, tmp_path)
    assert (none.status, none.reason) == (Status.INCONCLUSIVE, "no-usable-update")


def test_half_precision_is_read_as_the_numbers_it_holds(
    ask: Ask, system_of: Callable[..., System], tmp_path: Path
) -> None:
    half = {name: torch.as_tensor(values).bfloat16() for name, values in update().items()}
    [finding] = ask(quantization, system_of(half), None, tmp_path)
    assert finding.status is Status.PASS


def test_sums_are_not_quantised(ask: Ask, system_of: Callable[..., System], tmp_path: Path) -> None:
    [finding] = ask(quantization, system_of(update(), kind="aggregate"), None, tmp_path)
    assert (finding.status, finding.reason) == (Status.SKIPPED, "missing:updates.delta")


@pytest.mark.parametrize("key", ["clipping_range", "quantization_levels"])
def test_a_missing_key_is_named(key: str, ask: Ask, system_of: Callable[..., System], tmp_path: Path) -> None:
    [finding] = ask(quantization, system_of(update(), **{key: None}), None, tmp_path)
    assert (finding.status, finding.reason) == (Status.SKIPPED, f"missing:federation.secure_aggregation.{key}")


def test_levels_beyond_float64_are_inconclusive(ask: Ask, system_of: Callable[..., System], tmp_path: Path) -> None:
    [finding] = ask(quantization, system_of(update(), quantization_levels=2**53 - 1), None, tmp_path)
    assert (finding.status, finding.reason) == (
        Status.INCONCLUSIVE,
        "invalid:federation.secure_aggregation.quantization_levels",
    )
