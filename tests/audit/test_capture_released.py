"""A released model is written down with its records, and what Opacus put around it is left out."""

from pathlib import Path

import pytest
import torch
from opacus import PrivacyEngine
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from audit.capture import Capture, CaptureError, record_gradient, record_model
from audit.dp.record import from_opacus, read_record
from audit.load import planted_updates, read_records
from audit.manifest import load_system
from unlearning.models import load_model


def records(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((count, 6), generator=generator), torch.randint(0, 3, (count,), generator=generator)


def small() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))


def test_the_folder_holds_the_model_and_both_kinds_of_records(tmp_path: Path) -> None:
    model, members, others = small(), records(5, 1), records(4, 2)
    claims = {"accuracy": 0.5}
    record_model(model, tmp_path / "out", name="triage", members=members, nonmembers=others, classes=3, claims=claims)
    loaded = load_system(tmp_path / "out" / "system.toml")
    system = loaded.system
    assert (system.updates, system.claims.accuracy, system.model.classes) == ((), 0.5, 3)
    torch.testing.assert_close(load_model(system.model, loaded.folder)(members[0]), model(members[0]))
    found = {one.role: read_records(system, one.path, loaded.folder, "data") for one in system.data}
    assert set(found) == {"members", "nonmembers"}
    torch.testing.assert_close(found["members"].x, members[0])
    torch.testing.assert_close(found["nonmembers"].y, others[1])


@pytest.mark.filterwarnings("ignore:Secure RNG turned off", "ignore:Full backward hook")
def test_a_model_that_opacus_wraps_is_recorded_under_its_own_names(tmp_path: Path) -> None:
    model, data = small(), records(32, 3)
    engine = PrivacyEngine()
    private, optimizer, loader = engine.make_private(
        module=model, optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        data_loader=DataLoader(TensorDataset(*data), batch_size=8), noise_multiplier=1.0, max_grad_norm=1.0,
    )  # fmt: skip
    nn.functional.cross_entropy(private(data[0]), data[1]).backward()
    record_gradient(private, data, tmp_path / "loop", name="triage", client="a", round=0)
    optimizer.step()
    record = from_opacus(engine, optimizer, loader, private)
    record_model(
        private, tmp_path / "out", name="triage", members=data, nonmembers=records(9, 4), dp_record=record,
        federation={"differential_privacy": {"noise_multiplier": 1.0, "clipping_norm": 1.0}},
    )  # fmt: skip
    loaded = load_system(tmp_path / "out" / "system.toml")
    declared = loaded.system.federation.differential_privacy
    assert (declared.noise_multiplier, declared.clipping_norm) == (1.0, 1.0)
    assert read_record(loaded.folder / declared.record.path) == record
    assert set(load_file(tmp_path / "out" / "model.safetensors")) == set(model.state_dict())
    loop = load_system(tmp_path / "loop" / "system.toml")
    (update,) = planted_updates(loop.system, loop.folder).updates
    assert set(update.tensors) == {name for name, _ in model.named_parameters()}


def test_records_that_fit_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="one record has the shape"):
        record_model(
            small(), tmp_path / "a", name="x", members=records(5, 1), nonmembers=(torch.zeros(4, 7), torch.zeros(4))
        )
    assert not (tmp_path / "a" / "system.toml").exists()
    with Capture(tmp_path / "b", small(), name="x") as capture:
        capture.add_records("members", records(5, 1))
        with pytest.raises(CaptureError, match="members are there already"):
            capture.add_records("members", records(5, 1))
        with pytest.raises(CaptureError, match="'input_ids' cannot be written"):
            capture.add_records("nonmembers", {"input_ids": torch.zeros(1, 4)})
    with pytest.raises(CaptureError, match="is closed"):
        capture.add_records("nonmembers", records(5, 1))
