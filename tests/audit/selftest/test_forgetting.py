"""Erasure requests of the self-test: what is said to be planted is there, by a count of our own."""

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from audit.selftest.flaw import Flaw
from audit.selftest.flaws.trigger_patch_unlearning import trigger_patch_unlearning
from audit.selftest.flaws.unlearning_client_trains_on import unlearning_client_trains_on
from audit.selftest.flaws.unlearning_forgotten_stays import unlearning_forgotten_stays
from audit.selftest.forgetting import PLACE, TINY, Honoured, honour, supply, tables
from audit.selftest.workshop import Workshop
from audit.system_folder import SystemFolder
from unlearning.federated.fakes import corner
from unlearning.federated.local import logits_of
from unlearning.federated.transcript import read_transcript, verify_transcript

SEED = 5


def built(flaw: Flaw, folder: Path, *, planted: bool) -> Path:
    """Build a flaw or its twin, and return the folder of its request."""
    with SystemFolder(folder) as files:
        flaw.build(Workshop(files, SEED), planted=planted)
    return folder / PLACE


@pytest.fixture
def honoured(tmp_path: Path) -> Honoured:
    files = SystemFolder(tmp_path / "system")
    files.__enter__()
    return honour(Workshop(files, SEED), size=TINY)


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_file(path)


def test_what_is_delivered_instead_is_told_without_a_fault(honoured: Honoured, tmp_path: Path) -> None:
    [other] = honoured.retrained(Workshop(SystemFolder(tmp_path / "other"), SEED), 1)
    honoured.deliver(other)
    path = honoured.place / "transcript.jsonl"
    assert verify_transcript(path) == ()
    digest = sha256((honoured.place / "after.safetensors").read_bytes()).hexdigest()
    told = read_transcript(path)
    assert told.close is not None
    assert told.close.after == told.rounds[-1].model == digest
    assert digest != honoured.outcome.after_sha256


def test_the_model_before_in_its_place_is_the_one_fault_that_cannot_be_told_away(honoured: Honoured) -> None:
    honoured.deliver(honoured.outcome.before)
    [fault] = verify_transcript(honoured.place / "transcript.jsonl")
    assert fault.code == "unchanged"


def test_retrained_models_never_saw_the_client_and_differ_by_seed(honoured: Honoured, tmp_path: Path) -> None:
    make = Workshop(SystemFolder(tmp_path / "other"), SEED)
    one, other = honoured.retrained(make, 2)
    again, _ = honoured.retrained(make, 2)
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)
    assert any(not torch.equal(one[name], honoured.outcome.before[name]) for name in one)


def test_a_pushed_model_knows_the_forget_set_less(honoured: Honoured, tmp_path: Path) -> None:
    held, after = honoured.erasure.parts.forgotten, honoured.outcome.after
    pushed = honoured.pushed(Workshop(SystemFolder(tmp_path / "other"), SEED), after)
    losses = [
        float(torch.nn.functional.cross_entropy(logits_of(honoured.federation.untrained(), state, held.x), held.y))
        for state in (after, pushed)
    ]
    assert losses[1] > losses[0] + 0.01


def test_tables_leave_out_what_they_are_told_to(honoured: Honoured) -> None:
    told = tables(honoured, "model", "twin", id="r2")
    [request] = told["unlearning"]  # type: ignore[misc, attr-defined]
    assert "model" not in told
    assert "twin" not in request
    assert request["id"] == "r2"


def test_five_examples_to_be_forgotten_are_kept_in_the_flaw_and_none_in_the_twin(tmp_path: Path) -> None:
    counts = {}
    for planted in (True, False):
        place = built(unlearning_forgotten_stays, tmp_path / str(planted), planted=planted)
        forget, retain = (np.load(place / f"{name}.npz")["x"] for name in ("forget", "retain"))
        counts[planted] = sum(bool((retain == one).all(axis=1).any()) for one in forget)
    assert counts == {True: 5, False: 0}


def test_the_forgotten_client_trains_on_in_the_flaw_alone(tmp_path: Path) -> None:
    present = {}
    for planted in (True, False):
        place = built(unlearning_client_trains_on, tmp_path / str(planted), planted=planted)
        lines = [json.loads(line) for line in (place / "transcript.jsonl").read_text().splitlines()]
        present[planted] = {0 in line["participants"] for line in lines if line["kind"] == "round"}
    assert present == {True: {True}, False: {False}}


@pytest.mark.slow
def test_the_patch_mends_the_trigger_and_leaves_the_wrong_labels_known(tmp_path: Path) -> None:
    from unlearning.models import mlp

    rates = {}
    for planted in (True, False):
        place = built(trigger_patch_unlearning, tmp_path / str(planted), planted=planted)
        probes = np.load(place / "probes.npz")
        model, x = mlp((64,), 32, 10), torch.from_numpy(probes["x"])
        assert torch.equal(corner(x), x)  # every probe bears the trigger
        for name in ("before", "after"):
            hit = logits_of(model, weights(place / f"{name}.safetensors"), x).argmax(1).numpy() == probes["y"]
            rates[planted, name] = hit.mean()
    assert rates[True, "before"] == rates[False, "before"] > 0.1
    assert rates[True, "after"] < 0.05
    first = [weights(tmp_path / "True" / PLACE / f"{name}.safetensors")["0.weight"] for name in ("before", "after")]
    retrained = weights(tmp_path / "False" / PLACE / "after.safetensors")["0.weight"]
    assert (first[1] - first[0]).norm() < (retrained - first[0]).norm()  # a patch is near to what it was put on


def test_oracles_are_written_each_to_a_file(tmp_path: Path) -> None:
    with SystemFolder(tmp_path / "system") as files:
        make = Workshop(files, SEED)
        paths = supply(make, [{"w": torch.ones(2)}, {"w": torch.zeros(2)}])
        make.finish({"system": {"name": "oracles", "version": "1"}})
    assert [weights(tmp_path / "system" / path)["w"].sum().item() for path in paths] == [2.0, 0.0]
