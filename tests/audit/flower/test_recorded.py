"""The folder is right after every record, whoever writes beside, and never takes what is not its own."""

import tomllib
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from audit.capture import CaptureError
from audit.flower.planted import Records
from audit.flower.recorded import Recorded, RecordedFolder
from audit.flower.subject import Subject
from audit.manifest import load_system


def model() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 3))


def folder_at(path: Path) -> RecordedFolder:
    tables = {"system": {"provider": "somebody"}, "claims": {"epsilon": 2.0}}
    return RecordedFolder(path, Subject(model, 3), name="small", tables=tables)


def one(client: int, number: int = 1, truth: bool = True) -> Recorded:
    tensors = {"0.weight": torch.full((3, 4), float(client)), "0.bias": torch.zeros(3)}
    return Recorded(
        f"updates/round-{number:04}/client-{client:04}",
        tensors,
        {name: tensor + number for name, tensor in tensors.items() if client >= 0},
        {"kind": "delta", "client": f"client-{client:04}", "round": number},
        {"framework": "flower", "clients": 5},
        Records(np.full((1, 4), client, np.float32), np.array([client % 3])) if truth else None,
    )


def write(path: Path, clients: range) -> None:
    folder = folder_at(path)
    for client in clients:
        folder.begin(7, Records(np.zeros((2, 4), np.float32), np.array([0, 1])))
        folder.add(one(client))


def test_after_every_record_the_folder_is_a_system(tmp_path: Path) -> None:
    folder = folder_at(tmp_path / "captured")
    folder.begin(7, None)
    for client in range(3):
        folder.add(one(client, number=1 + client // 2))
        system = load_system(tmp_path / "captured/system.toml").system
        assert len(system.updates) == client + 1
        assert system.name == "small"
        assert system.provider == "somebody"
    assert system.federation is not None
    assert system.federation.clients_per_round == 2
    assert [update.round for update in system.updates] == [1, 1, 2]
    newest = load_file(tmp_path / "captured" / tomllib.loads(
        (tmp_path / "captured/system.toml").read_text())["model"]["checkpoint"])  # fmt: skip
    assert float(newest["0.bias"][0]) == 2.0  # the base of the last round


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "captured"
    with ProcessPoolExecutor(4, mp_context=get_context("fork")) as pool:
        list(pool.map(write, [path] * 4, [range(k, k + 10) for k in range(0, 40, 10)]))
    updates = tomllib.loads((path / "system.toml").read_text())["updates"]
    assert [update["client"] for update in updates] == [f"client-{client:04}" for client in range(40)]
    assert not list(path.rglob(".*"))  # no draft is left behind


def test_another_run_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "captured", range(1))
    before = (tmp_path / "captured/system.toml").read_bytes()
    with pytest.raises(CaptureError, match="another run"):
        folder_at(tmp_path / "captured").begin(8, None)
    assert (tmp_path / "captured/system.toml").read_bytes() == before


def test_a_folder_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(CaptureError, match="something already"):
        folder_at(tmp_path).begin(7, None)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_one_update_is_recorded_once(tmp_path: Path) -> None:
    folder = folder_at(tmp_path / "captured")
    folder.begin(7, None)
    folder.add(one(1))
    with pytest.raises(CaptureError, match="recorded already"):
        folder.add(one(1))


def test_without_truth_none_is_declared(tmp_path: Path) -> None:
    folder = folder_at(tmp_path / "captured")
    folder.begin(7, None)
    folder.add(one(1, truth=False))
    assert load_system(tmp_path / "captured/system.toml").system.updates[0].truth is None


def test_what_the_owner_says_goes_before_what_was_captured(tmp_path: Path) -> None:
    folder = RecordedFolder(
        tmp_path / "captured", Subject(model, 3), name="small", tables={"federation": {"clients": 900}}
    )
    folder.begin(7, None)
    folder.add(one(1))
    federation = load_system(tmp_path / "captured/system.toml").system.federation
    assert federation is not None
    assert (federation.clients, federation.framework) == (900, "flower")


def test_a_folder_whose_claim_is_somebody_elses_is_refused_and_left_alone(tmp_path: Path) -> None:
    for text in ("[]", "{}", "no json"):
        (tmp_path / "run.json").write_text(text)
        with pytest.raises(CaptureError, match="something already"):
            folder_at(tmp_path).begin(7, None)
        assert (tmp_path / "run.json").read_text() == text
    with pytest.raises(CaptureError, match="no folder"):
        folder_at(tmp_path / "run.json").begin(7, None)


def test_tables_cannot_hide_what_was_captured(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="'updates'"):
        RecordedFolder(tmp_path / "captured", Subject(model), name="small", tables={"updates": []})


def test_what_toml_cannot_hold_is_told_before_there_is_work(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="TOML"):
        RecordedFolder(tmp_path / "captured", Subject(model), name="small", tables={"claims": {"epsilon": object()}})
