"""Running an unlearning again: equal where it happened so, told where not, and exact only from retained data alone."""

from dataclasses import replace
from hashlib import sha256
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from reports.artifacts import read_tensors
from unlearning.federated.data import ClientData
from unlearning.federated.methods import METHODS
from unlearning.federated.recipe import ClientPrivacy
from unlearning.federated.transcript import Versions
from unlearning.verification.overlap import nearness, notices_copies, overlap
from unlearning.verification.replay import replay

RECORDED = ("federaser", "distillation", "projected-ascent", "rewind")
EXACT = ("retrain", "rapid-retrain")
NOISED = {"privacy": ClientPrivacy(clipping_norm=0.5, noise_multiplier=1.5)}


def tampered(written: Any, change: Any, **metadata: str) -> str:
    """Deliver other weights, and let the record name them; return the digest."""
    path = written.folder / "after.safetensors"
    save_file({name: change(one) for name, one in read_tensors(path).items()}, path, metadata=metadata or None)
    digest = sha256(path.read_bytes()).hexdigest()
    written.retell(
        rounds=lambda all_: (*all_[:-1], all_[-1].model_copy(update={"model": digest})),
        close=lambda one: one.model_copy(update={"after": digest}),
    )
    return digest


CASES = [
    *(("client:1", name) for name in METHODS if name not in (*RECORDED, "no-op")),
    *((request, name) for request in ("sample:0=0,1,4/3=2", "class:1") for name in ("ffum", "rapid-retrain")),
]


@pytest.mark.parametrize(("request_", "name"), CASES)
def test_what_happened_as_recorded_gives_the_same_bytes(erased, request_: str, name: str) -> None:
    found = replay(erased(request_, name).delivered())
    assert (found.answer, found.reason, found.max_difference, found.first_differing) == ("equal", "", 0.0, None)
    assert found.sees_data
    assert found.from_retained_alone == found.proves_exactness == (name in EXACT)


@pytest.mark.parametrize(
    "recipe",
    [{"clients_per_round": 2}, {"momentum": 0.5, "server_momentum": 0.3}, {"local_epochs": 2, "local_steps": 3}],
)
def test_recipes_with_sampling_and_momentum_are_run_again_to_the_bit(erased, recipe: Any) -> None:
    assert replay(erased("client:1", "retrain", recipe=recipe).delivered()).proves_exactness


def test_an_offline_client_stays_away_again(erased) -> None:
    found = replay(erased("client:1", "ffum", erasure={"offline": frozenset({1, 3})}).delivered())
    assert (found.answer, found.proves_exactness) == ("equal", False)


def test_an_exact_method_is_given_neither_the_forgotten_data_nor_the_model_before(erased) -> None:
    """With both replaced by others, and the record's digests with them, the same bytes come."""
    written = erased("client:1", "retrain")
    forget = dict(np.load(written.folder / "forget.npz"))
    np.savez(written.folder / "forget.npz", **(forget | {"x": np.float32(9) - forget["x"]}))
    digest = sha256((written.folder / "forget.npz").read_bytes()).hexdigest()
    said = written.delivered().header.data
    said = said.model_copy(update={"forget": said.forget.model_copy(update={"sha256": digest})})
    written.retell(header=lambda one: one.model_copy(update={"data": said}))
    delivered = written.delivered()
    before = {name: one * 0 for name, one in delivered.before.items()}
    assert replay(replace(delivered, before=before)).proves_exactness
    assert replay(replace(delivered, before=None)).proves_exactness


@pytest.mark.parametrize("change", [lambda one: one + 1e-6, lambda one: -one])
def test_other_weights_than_the_recorded_run_gives_differ(erased, change: Any) -> None:
    written = erased("client:1", "rapid-retrain", rounds=3)
    state = read_tensors(written.folder / "after.safetensors")
    tampered(written, change)
    delivered = written.delivered()
    assert not delivered.faults  # the forger was careful: nothing in the record itself is wrong
    found = replay(delivered)
    assert (found.answer, found.reason, found.sees_data, found.proves_exactness) == ("differs", "", None, False)
    assert found.first_differing == delivered.rounds[-1].index
    gaps = [float((change(one).double() - one.double()).abs().max()) for one in state.values()]
    assert found.max_difference == pytest.approx(max(gaps), rel=1e-6)


@pytest.mark.parametrize(
    "told", [{"seed": 6}, {"parameters": {"rounds": 2}}, {"request": "client:2"}], ids=["seed", "rounds", "request"]
)
def test_another_seed_parameter_or_request_differs(erased, told: Any) -> None:
    written = erased("client:1", "finetune")
    written.retell(header=lambda one: one.model_copy(update=told))
    found = replay(written.delivered())
    if "request" in told:  # the files decide what is run, and they are the same
        assert found.answer == "equal"
        return
    assert found.answer == "differs"
    assert found.reason == ""


@pytest.mark.parametrize(
    ("versions", "reason"),
    [
        ({"torch": "1.0.0"}, "other-version"),
        ({"device": "cuda:0"}, "other-device"),
        ({"threads": 4}, "other-threads"),
        ({}, ""),
    ],
)
def test_a_difference_is_excused_by_version_device_or_threads_alone(erased, versions: Any, reason: str) -> None:
    written = erased()
    ours = Versions(torch=str(torch.__version__), device="cpu", threads=1)
    written.retell(header=lambda one: one.model_copy(update={"versions": ours.model_copy(update=versions)}))
    equal = replay(written.delivered())
    assert (equal.answer, equal.reason, equal.proves_exactness) == ("equal", "", True)  # equal bytes need no excuse
    tampered(written, lambda one: one + 1e-7)
    found = replay(written.delivered())
    assert (found.answer, found.reason) == ("differs", reason)
    assert bool(found.told) == bool(reason)


def test_the_same_weights_in_a_file_that_says_more_are_no_other_model(erased) -> None:
    written = erased()
    tampered(written, lambda one: one, note="more")
    found = replay(written.delivered())
    assert (found.answer, found.reason, found.max_difference) == ("differs", "other-file-form", 0.0)
    assert not found.proves_exactness


def test_numbers_that_are_not_finite_differ_without_a_largest_difference(erased) -> None:
    written = erased()
    tampered(written, lambda one: one * float("nan"))
    found = replay(written.delivered())
    assert (found.answer, found.max_difference) == ("differs", None)


@pytest.mark.parametrize("name", RECORDED)
def test_a_method_that_reads_a_recording_is_not_run_again(erased, name: str) -> None:
    found = replay(erased("client:1", name).delivered())
    assert (found.answer, found.reason) == ("not-run", "missing:recording")
    assert name in found.told


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        ({"header": None}, "missing:unlearning.transcript"),
        ({"after": None}, "missing:unlearning.after"),
        ({"lacking": ("model.layers",), "federation": None}, "missing:model.layers"),
        ({"method": None}, "unknown-method"),
        ({"before": None}, "missing:unlearning.before"),
        ({"twin": None}, "missing:unlearning.twin"),
        ({"holdout": None}, "missing:data.calibration"),
    ],
)
def test_what_is_missing_is_said(erased, missing: Any, reason: str) -> None:
    found = replay(replace(erased("client:1", "finetune").delivered(), **missing))
    assert (found.answer, found.reason) == ("not-run", reason)
    assert found.told


def test_training_that_diverges_is_no_verdict(erased) -> None:
    written = erased("client:1", "finetune")
    wild = {"learning_rate": 1e30}
    written.retell(header=lambda one: one.model_copy(update={"recipe": one.recipe.model_copy(update=wild)}))
    found = replay(written.delivered())
    assert (found.answer, found.reason) == ("not-run", "training.diverged")


def test_doing_nothing_replays_and_shows_nothing(erased) -> None:
    found = replay(erased("client:1", "no-op").delivered())
    assert (found.answer, found.sees_data, found.proves_exactness) == ("equal", False, False)


@pytest.mark.parametrize(("change", "exact", "near"), [(0.0, 2, 2), (0.01, 0, 2), (1.0, 0, 0)])
def test_retained_copies_of_forgotten_examples_take_the_proof_away(
    erased, small, change: float, exact: int, near: int
) -> None:
    federation = small()
    first, second, *others = federation.data.clients
    held = ClientData(torch.cat([first.x, second.x[:2] + change]), torch.cat([first.y, second.y[:2]]))
    copied = replace(federation, data=replace(federation.data, clients=(held, second, *others)))
    found = replay(erased("client:1", "retrain", erasure={"federation": copied}).delivered())
    assert found.answer == "equal"
    assert (found.overlap.exact, found.overlap.near) == (exact, near)
    assert found.proves_exactness == (near == 0)


def test_initial_weights_of_the_owners_code_prove_nothing(erased) -> None:
    """They could hold what is to be forgotten; equal bytes are still said."""
    written = erased()
    written.edit('layers = "layers.json"', 'definition = "model.py:build"')
    layers = "torch.nn.Linear(6, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3)"
    code = f"import torch\n\n\ndef build():\n    return torch.nn.Sequential({layers})\n"
    (written.folder / "model.py").write_text(code)
    found = replay(written.delivered(trust_code=True))
    assert (found.answer, found.sees_data, found.from_retained_alone) == ("equal", True, True)
    assert not found.proves_exactness


def test_equal_bytes_for_another_request_prove_nothing(erased) -> None:
    """What else of client 2 was retained is what its request is about."""
    written = erased("client:1", "retrain")
    written.retell(header=lambda one: one.model_copy(update={"request": "client:2"}))
    found = replay(written.delivered())
    assert (found.answer, found.contradicted, found.proves_exactness) == ("equal", True, False)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 255.0])
def test_nearness_is_in_units_of_the_data(scale: float) -> None:
    source = torch.Generator().manual_seed(1)
    x = torch.rand(40, 12, generator=source) * scale
    retain, forget = ClientData(x[:30], torch.zeros(30)), ClientData(x[30:], torch.zeros(10))
    assert nearness(retain) == pytest.approx(0.02 * float(retain.x.double().std(correction=0)) / 0.35)
    assert overlap(forget, retain).free  # negative control
    assert notices_copies(forget, retain)
    shifted = ClientData(torch.cat([retain.x, forget.x[:3] + nearness(retain) / 2]), torch.zeros(33))
    assert (overlap(forget, shifted).exact, overlap(forget, shifted).near) == (0, 3)  # positive control


def test_where_all_retained_examples_are_alike_only_equal_ones_are_near() -> None:
    same, other = ClientData(torch.ones(4, 3), torch.zeros(4)), ClientData(torch.full((1, 3), 1.001), torch.zeros(1))
    assert (overlap(same, same).exact, overlap(same, same).near, nearness(same)) == (4, 4, 0.0)
    assert overlap(other, same).free
    assert notices_copies(other, same)
