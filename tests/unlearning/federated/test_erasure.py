"""An erasure carried out into a folder: whole, on record, and repeatable to the bit."""

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from reports.artifacts import read_tensors
from unlearning.federated.erasure import Erasure, carry_out, run_method, train_first
from unlearning.federated.methods import METHODS, method
from unlearning.federated.recorder import tensor_bytes
from unlearning.federated.request import UnlearningRequest
from unlearning.federated.transcript import read_transcript, verify_transcript


@pytest.fixture(scope="module")
def erasure(scenes: Any) -> Erasure:
    federation = scenes.federation()
    before, history = train_first(federation)
    return Erasure(federation, UnlearningRequest.client(0), method("ffum"), before, 5, history)


@pytest.mark.parametrize("name", sorted(set(METHODS) - {"no-op"}))
def test_every_method_leaves_a_folder_whose_transcript_has_no_fault(name: str, erasure, tmp_path: Path) -> None:
    outcome = carry_out(replace(erasure, method=method(name)), tmp_path)
    assert verify_transcript(tmp_path / "transcript.jsonl") == ()
    told = read_transcript(tmp_path / "transcript.jsonl")
    for digest, file in ((told.header.before, "before"), (told.close.after, "after")):  # type: ignore[union-attr]
        assert digest == sha256((tmp_path / f"{file}.safetensors").read_bytes()).hexdigest()
    assert outcome.work.example_gradients == sum(one.work for one in told.rounds) > 0


def test_doing_nothing_is_a_fault_of_its_transcript(erasure, tmp_path: Path) -> None:
    carry_out(replace(erasure, method=method("no-op")), tmp_path)
    assert [fault.code for fault in verify_transcript(tmp_path / "transcript.jsonl")] == ["unchanged"]


def test_the_same_request_gives_the_same_bytes_and_leaves_torch_alone(erasure, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "two")]
    threads, stream = torch.get_num_threads(), torch.get_rng_state()
    for folder in folders:
        folder.mkdir()
        carry_out(erasure, folder)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), stream)
    for name in ("after.safetensors", "transcript.jsonl", "forget.npz", "retain.npz"):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()


def test_the_files_hold_what_is_forgotten_and_what_stays_with_its_owner(erasure, tmp_path: Path) -> None:
    carry_out(replace(erasure, request=UnlearningRequest.sample({2: [1, 3]})), tmp_path)
    forget, retain = (np.load(tmp_path / f"{name}.npz", allow_pickle=False) for name in ("forget", "retain"))
    clients = erasure.federation.data.clients
    assert forget["client"].tolist() == [2, 2]
    assert np.array_equal(forget["x"], clients[2].x[[1, 3]].numpy())
    assert np.bincount(retain["client"]).tolist() == [5, 3, 4, 2]
    assert len(forget["y"]) + len(retain["y"]) == sum(map(len, clients))


def test_the_delivered_model_is_the_one_of_the_last_line(erasure, tmp_path: Path) -> None:
    outcome = carry_out(replace(erasure, method=method("rapid-retrain")), tmp_path)
    last = read_transcript(tmp_path / "transcript.jsonl").rounds[-1]
    assert last.model == outcome.after_sha256 == sha256(tensor_bytes(outcome.after)).hexdigest()
    delivered = read_tensors(tmp_path / "after.safetensors")
    again = run_method(replace(erasure, method=method("rapid-retrain")))[1]
    assert all(torch.equal(delivered[name], again[name]) for name in delivered)


def test_retraining_never_looks_at_the_model_before_nor_at_what_is_forgotten(erasure) -> None:
    """Other weights before and other data of the forget client give the same bytes."""
    honest = replace(erasure, method=method("retrain"))
    data = erasure.federation.data
    other = replace(data, clients=(data.twin, *data.clients[1:]))
    changed = replace(
        honest,
        before={name: tensor + 1 for name, tensor in erasure.before.items()},
        federation=replace(erasure.federation, data=other),
    )
    assert tensor_bytes(run_method(honest)[1]) == tensor_bytes(run_method(changed)[1])


def test_without_a_twin_the_holdout_gives_one_of_the_same_labels(erasure) -> None:
    data = replace(erasure.federation.data, twin=None)
    mended = replace(erasure, federation=replace(erasure.federation, data=data))
    twin = mended.twin()
    assert twin is not None
    assert sorted(twin.y.tolist()) == sorted(mended.parts.forgotten.y.tolist())
    assert replace(mended, federation=replace(mended.federation, data=replace(data, holdout=None))).twin() is None


def test_an_offline_forget_client_is_on_record_and_never_takes_part(erasure, tmp_path: Path) -> None:
    outcome = carry_out(replace(erasure, offline=frozenset({0})), tmp_path)
    header = json.loads((tmp_path / "transcript.jsonl").read_text().splitlines()[0])
    told = read_transcript(tmp_path / "transcript.jsonl")
    assert header["offline"] == [0]
    assert outcome.result.progress == "degraded"
    assert all(0 not in one.participants for one in told.rounds)
