"""`dp.mechanism` on recorded files: a sound round passes, each flaw fails with its words, the rest is inconclusive."""

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from audit.dp.check_mechanism import mechanism
from audit.manifest import load_system
from reports.check import missing
from reports.errors import SystemFileError
from reports.model import Status

CLIPPING, NOISE, CLIENTS = 0.5, 1.2, 5
SHAPES = {"0.weight": (20, 30), "0.bias": (20,), "empty": (0,)}
DECLARED = {
    "unit": "client", "clipping_norm": CLIPPING, "noise_multiplier": NOISE, "noise_added_by": "server",
    "sampling": "full", "steps": 4, "delta": 1e-2, "epsilon": 20.0,
}  # fmt: skip


@pytest.fixture
def written(folder: Callable[[], Any]) -> Callable[..., Any]:
    """Write rounds of clipped contributions and their noised mean."""

    def write(
        *, rounds: int = 2, noise: float = NOISE, length: float = 1.0, dtype: str = "f4", after_noise: bool = False,
        divided_by: float | None = CLIENTS, declared: Any = None, **keys: Any,
    ) -> Any:  # fmt: skip
        system, rng = folder(), np.random.default_rng(3)
        share = noise * CLIPPING / math.sqrt(CLIENTS)
        for number in range(rounds):
            total = {name: np.zeros(shape) for name, shape in SHAPES.items()}
            for client in range(CLIENTS):
                drawn = {name: rng.normal(size=shape) for name, shape in SHAPES.items()}
                norm = math.sqrt(sum(float((part**2).sum()) for part in drawn.values()))
                kept = {name: (part * length * CLIPPING / norm).astype(dtype) for name, part in drawn.items()}
                sent = {name: kept[name] + share * rng.normal(size=shape) for name, shape in SHAPES.items()}
                total = {name: total[name] + sent[name] for name in SHAPES}
                recorded = {name: part.astype(dtype) for name, part in (sent if after_noise else kept).items()}
                system.tensors(f"r{number}c{client}.safetensors", {**recorded, "steps": np.array([7])}, kind="delta",
                               client=f"c{client}", round=number)  # fmt: skip
            mean = {name: (part / (divided_by or 1.0)).astype(dtype) for name, part in total.items()}
            system.tensors(
                f"r{number}.safetensors", {**mean, "steps": np.array([7])}, kind="aggregate", clients=CLIENTS,
                round=number, **({} if divided_by is None else {"divided_by": float(divided_by)}), **keys,
            )  # fmt: skip
        system.privacy(**(DECLARED if declared is None else declared))
        return system

    return write


def without(*keys: str, **changes: Any) -> dict[str, Any]:
    return {key: value for key, value in {**DECLARED, **changes}.items() if key not in keys}


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2"])
def test_a_sound_mechanism_passes_with_what_was_measured(
    ask: Callable[..., Any], written: Callable[..., Any], dtype: str
) -> None:
    asked = ask(mechanism, written(dtype=dtype).done())
    found = asked.finding
    assert (found.status, found.reason, found.remedy) == (Status.PASS, "", None)
    assert (found.strength, found.basis, found.severity) == ("statistical", "recorded", "high")
    [noise] = [one for one in found.measurements if one.name == "noise_multiplier"]
    assert noise.interval.low < NOISE < noise.interval.high
    assert noise.n == 2 * 620
    assert noise.threshold.limit == pytest.approx(0.98 * NOISE)
    assert noise.control == pytest.approx(min(noise.value, NOISE) / 2)
    assert asked.value("clip_exceeded") == 0
    assert 0 <= asked.value("noise_correlation") < 0.2
    tensors, bar = (json.loads(asked.kept.data[digest]) for digest in found.evidence)
    assert [row["label"] for row in tensors["rows"]] == ["all", "0.bias", "0.weight"]
    assert [row["label"] for row in bar["rows"]] == ["claimed", "recomputed", "at the measured noise"]


def test_bfloat16_is_read(ask: Callable[..., Any], written: Callable[..., Any]) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    system = written(rounds=1)
    for entry in system.tables["updates"]:
        path = system.path / entry["path"]
        tensors = load_file(path)
        save_file({n: t.to(torch.bfloat16) if t.is_floating_point() else t for n, t in tensors.items()}, path)
    found = ask(mechanism, system.done()).finding
    assert found.status is Status.PASS


@pytest.mark.parametrize("by", ["server", "clients", None])
def test_a_claim_of_noise_that_was_never_added_fails(
    ask: Callable[..., Any], written: Callable[..., Any], by: str | None
) -> None:
    declared = without(noise_added_by=by) if by else without("noise_added_by")
    asked = ask(mechanism, written(noise=0.0, declared=declared).done())
    found = asked.finding
    assert found.status is Status.FAIL
    assert "1.2 is declared" in found.summary
    assert (found.remedy.parameter, found.remedy.value) == ("federation.differential_privacy.noise_multiplier", "0")
    bar = json.loads(asked.kept.data[found.evidence[1]])
    assert bar["rows"][-1]["label"] == "measured: over 1000"
    assert any("Who adds" in said for said in found.limitations) == (by is None)


def test_too_little_noise_names_what_is_there_and_declaring_that_mends_it(
    ask: Callable[..., Any], written: Callable[..., Any]
) -> None:
    found = ask(mechanism, written(noise=0.7).done()).finding
    assert found.status is Status.FAIL
    assert found.remedy.direction == "lower"
    value = float(found.remedy.value)
    assert value == pytest.approx(0.7, rel=0.05)
    mended = written(noise=0.7, declared=without(noise_multiplier=value))
    assert ask(mechanism, mended.done()).finding.status is Status.PASS


def test_missing_clipping_fails_exactly_and_the_remedy_is_the_norm_that_holds(
    ask: Callable[..., Any], written: Callable[..., Any]
) -> None:
    asked = ask(mechanism, written(length=1.5).done())
    found = asked.finding
    assert (found.status, found.strength) == (Status.FAIL, "exact")
    assert "10 of 10 contributions exceed the clipping norm" in found.summary
    assert asked.value("clip_exceeded") == 10
    assert (found.remedy.parameter, found.remedy.value) == ("federation.differential_privacy.clipping_norm", "0.75")


def test_contributions_recorded_after_their_noise_ask_for_a_rehearsal(
    ask: Callable[..., Any], written: Callable[..., Any]
) -> None:
    system = written(after_noise=True, declared=without(noise_added_by="clients"))
    found = ask(mechanism, system.done()).finding
    assert (found.status, found.reason) == (Status.INCONCLUSIVE, "record-before-noise")
    assert "rehearsal" in found.remedy.text
    rehearsed = written(declared=without(noise_added_by="clients"))
    assert ask(mechanism, rehearsed.done()).finding.status is Status.PASS


def test_a_mean_that_does_not_say_so_is_not_taken_for_the_sum(
    ask: Callable[..., Any], written: Callable[..., Any]
) -> None:
    found = ask(mechanism, written(noise=0.01, divided_by=CLIENTS).done()).finding
    assert found.status is Status.FAIL
    silent = written(noise=0.01)
    for entry in silent.tables["updates"]:
        entry.pop("divided_by", None)
    told = ask(mechanism, silent.done()).finding
    assert (told.status, told.reason) == (Status.INCONCLUSIVE, "not-the-sum")
    assert told.remedy.parameter == "updates.divided_by"


def test_rounds_of_which_something_is_missing_are_left_out_and_named(
    ask: Callable[..., Any], written: Callable[..., Any]
) -> None:
    system = written(rounds=3)
    updates = system.tables["updates"]
    del updates[0]  # a contribution of round 0
    updates[:] = [entry for entry in updates if entry["path"] != "r2.safetensors"]  # the sum of round 2
    found = ask(mechanism, system.done()).finding
    assert found.status is Status.PASS
    assert any("round 0, of which 4 of 5 contributions" in said for said in found.limitations)
    assert any("round 2, of which no sums" in said for said in found.limitations)
    assert any("it takes two rounds" in said for said in found.limitations)
    updates[:] = [entry for entry in updates if entry["round"] != 1]
    nothing = ask(mechanism, system.done()).finding
    assert (nothing.status, nothing.reason) == (Status.INCONCLUSIVE, "no-usable-record")


def test_nan_in_every_round_leaves_nothing_and_in_one_is_named(
    ask: Callable[..., Any], written: Callable[..., Any]
) -> None:
    from safetensors.numpy import load_file, save_file

    system = written()
    for number, status in ((0, Status.PASS), (1, Status.INCONCLUSIVE)):
        path = system.path / f"r{number}c1.safetensors"
        tensors = load_file(path)
        tensors["0.bias"][2] = np.nan
        save_file(tensors, path)
        found = ask(mechanism, system.done()).finding
        assert found.status is status
        assert any(f"round {number}" in said and "NaN" in said for said in found.limitations)


def test_tensors_that_do_not_fit_are_named_with_both_shapes(
    ask: Callable[..., Any], written: Callable[..., Any]
) -> None:
    from safetensors.numpy import load_file, save_file

    system = written()
    path = system.path / "r1c2.safetensors"
    tensors = load_file(path)
    save_file({**tensors, "0.bias": np.zeros(21, dtype="f4")}, path)
    with pytest.raises(SystemFileError, match=r"r1c2.safetensors: '0.bias' is shape \(21,\), in .* shape \(20,\)"):
        ask(mechanism, system.done())
    save_file({"steps": np.array([1])}, path)
    with pytest.raises(SystemFileError, match="no numbers to sum"):
        ask(mechanism, system.done())


@pytest.mark.parametrize(
    ("declared", "status", "reason"),
    [
        (without("noise_multiplier"), Status.SKIPPED, "not-applicable:no-noise-declared"),
        (without(noise_multiplier=0.0), Status.SKIPPED, "not-applicable:no-noise-declared"),
        (without("clipping_norm"), Status.INCONCLUSIVE, "missing:federation.differential_privacy.clipping_norm"),
        (without(unit="example"), Status.SKIPPED, "not-applicable:example-level"),
        (without("unit"), Status.PASS, ""),
    ],
)
def test_what_does_not_apply_says_why(
    ask: Callable[..., Any], written: Callable[..., Any], declared: Any, status: Status, reason: str
) -> None:
    found = ask(mechanism, written(declared=declared).done()).finding
    assert (found.status, found.reason) == (status, reason)


def test_contributions_of_one_example_each_are_tested_at_example_level(
    ask: Callable[..., Any], written: Callable[..., Any]
) -> None:
    system = written(declared=without(unit="example"))
    system.tables["federation"] |= {"batch_size": 1, "local_steps": 1}
    assert ask(mechanism, system.done()).finding.status is Status.PASS


def test_it_needs_a_mechanism_a_sum_and_contributions(written: Callable[..., Any]) -> None:
    system = written()
    loaded = load_system(system.done() / "system.toml").system
    assert missing(mechanism, loaded) == ()
    alone = loaded.model_copy(update={"updates": loaded.updates[:1]})
    assert missing(mechanism, alone) == ("updates.aggregate",)
