"""Two lines in a loop leave a folder that loads as it stands."""

import tomllib
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from audit.attacks.aggregate import aggregate
from audit.attacks.linear import linear
from audit.capture import Capture, CaptureError, record_gradient, record_update
from audit.load import planted_updates
from audit.manifest import load_system
from reports.errors import FedauditError
from reports.model import Status
from unlearning.models import load_model


def one_batch(seed: int = 0, size: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((size, 6), generator=generator), torch.randint(0, 3, (size,), generator=generator)


def small(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))


def backward(model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    model.zero_grad()
    nn.functional.cross_entropy(model(batch[0]), batch[1]).backward()


def updates(folder: Path):
    loaded = load_system(folder / "system.toml")
    return planted_updates(loaded.system, loaded.folder).updates


def test_one_call_leaves_a_system_that_loads(tmp_path: Path) -> None:
    model, batch = small(), one_batch()
    backward(model, batch)
    record_gradient(model, batch, tmp_path / "new", name="triage", client="ward-3", round=1)
    (update,) = updates(tmp_path / "new")
    assert (update.kind, update.client, update.round, update.batch_size) == ("gradient", "ward-3", 1, 2)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(update.tensors[name], parameter.grad)
    torch.testing.assert_close(update.truth.x, batch[0])
    torch.testing.assert_close(update.base(batch[0]), model(batch[0]))


def test_calls_add_up_and_each_leaves_the_folder_complete(tmp_path: Path) -> None:
    model = small()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    for number in range(3):
        batch = one_batch(number)
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(batch[0]), batch[1]).backward()
        record_gradient(model, batch, tmp_path / "run", name="triage", client="a", round=number)
        found = updates(tmp_path / "run")
        assert len(found) == number + 1
        assert torch.equal(found[-1].base[0].weight, model[0].weight)  # each at its own round's model
        optimiser.step()


def test_the_second_run_does_not_write_over_the_first(tmp_path: Path) -> None:
    model, batch = small(), one_batch()
    backward(model, batch)
    record_gradient(model, batch, tmp_path / "run", name="triage", client="a", round=0)
    before = {file: file.read_bytes() for file in (tmp_path / "run").rglob("*") if file.is_file()}
    with pytest.raises(CaptureError, match="recorded already"):
        record_gradient(model, batch, tmp_path / "run", name="triage", client="a", round=0)
    with pytest.raises(CaptureError, match="another system"):
        record_gradient(model, batch, tmp_path / "run", name="other", client="a", round=1)
    with pytest.raises(CaptureError, match="something already"):
        Capture(tmp_path / "run", model, name="triage")
    assert {file: file.read_bytes() for file in (tmp_path / "run").rglob("*") if file.is_file()} == before


def test_a_recording_is_of_one_model(tmp_path: Path) -> None:
    model, batch = small(), one_batch()
    backward(model, batch)
    record_gradient(model, batch, tmp_path / "run", name="triage", client="a", round=0)
    before = {file: file.read_bytes() for file in (tmp_path / "run").rglob("*") if file.is_file()}
    other = nn.Sequential(*model, nn.Tanh())
    backward(other, batch)
    with pytest.raises(CaptureError, match="another model"):
        record_gradient(other, batch, tmp_path / "run", name="triage", client="a", round=1)
    assert {file: file.read_bytes() for file in (tmp_path / "run").rglob("*") if file.is_file()} == before
    (tmp_path / "run/system.toml").write_text("no toml")
    with pytest.raises(CaptureError, match="cannot be read"):
        record_gradient(model, batch, tmp_path / "run", name="triage", client="a", round=1)


def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(CaptureError, match="something already"):
        Capture(tmp_path, small(), name="triage")
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


def test_an_update_is_after_minus_before(tmp_path: Path) -> None:
    before, batch = small(0), one_batch()
    after = small(1)
    record_update(
        before, after, batch, tmp_path / "run", name="triage", client="a", round=2, local_steps=5, learning_rate=0.1
    )
    (update,) = updates(tmp_path / "run")
    assert (update.kind, update.local_steps, update.learning_rate) == ("delta", 5, 0.1)
    for name, delta in update.tensors.items():
        torch.testing.assert_close(delta, after.state_dict()[name] - before.state_dict()[name])


def test_a_sum_joins_the_updates_of_its_round(tmp_path: Path, ask) -> None:
    model = small()
    federation = {"visibility": "aggregate", "secure_aggregation": {"protocol": "own", "clients": 2}}
    with Capture(tmp_path / "sums", model, name="triage", federation=federation, reference=one_batch(9, 40)) as capture:
        total = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
        for client in range(2):
            batch = one_batch(client, 1)
            backward(model, batch)
            capture.record_gradient(model, batch, client=str(client), round=1)
            total = {name: total[name] + p.grad for name, p in model.named_parameters()}
        capture.record_aggregate(total, clients=2, round=1, of="gradient", divided_by=1)
    finding = ask(aggregate, tmp_path / "sums").finding
    assert finding.status in (Status.FAIL, Status.INCONCLUSIVE)
    assert [one.n for one in finding.measurements if one.name == "identifiability"] == [2]
    table = tomllib.loads((tmp_path / "sums" / "system.toml").read_text())
    assert table["federation"]["secure_aggregation"] == {"protocol": "own", "clients": 2}


def test_nothing_is_left_to_audit_when_the_loop_breaks(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), Capture(tmp_path / "half", small(), name="triage"):
        raise ZeroDivisionError
    assert not (tmp_path / "half" / "system.toml").exists()


class Own(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x)


NESTED = (
    nn.Sequential(nn.Linear(6, 3)),
    nn.Sequential(OrderedDict(body=nn.Sequential(nn.Linear(6, 4), nn.Sequential(nn.ReLU())), head=nn.Linear(4, 3))),
    nn.Sequential(
        nn.Unflatten(1, (1, 6)), nn.Conv1d(1, 2, 3, stride=2), nn.BatchNorm1d(2), nn.Flatten(), nn.Linear(4, 3)
    ),
    nn.Linear(6, 3),
)


@pytest.mark.parametrize("model", NESTED, ids=["flat", "nested", "convolution", "lone"])
def test_layers_are_read_off_the_model(tmp_path: Path, model: nn.Module) -> None:
    model.train()
    batch = one_batch(size=4)
    backward(model, batch)
    record_gradient(model, batch, tmp_path / "run", name="triage", client="a", round=0)
    loaded = load_system(tmp_path / "run" / "system.toml")
    built = load_model(loaded.system.model, loaded.folder)
    torch.testing.assert_close(built(batch[0]), model.eval()(batch[0]))
    (update,) = planted_updates(loaded.system, loaded.folder).updates
    gradients = [parameter.grad for parameter in model.parameters()]
    for found, gradient in zip(update.tensors.values(), gradients, strict=True):
        torch.testing.assert_close(found, gradient)


def test_a_model_of_the_users_own_needs_a_list_or_a_definition(tmp_path: Path) -> None:
    with pytest.raises(FedauditError, match="cannot name") as told:
        Capture(tmp_path / "a", Own(), name="own")
    assert "definition" in told.value.hint
    listed = [{"type": "Linear", "name": "head", "in_features": 6, "out_features": 3}]
    with Capture(tmp_path / "b", Own(), name="own", layers=listed, input_shape=[6]):
        pass
    loaded = load_system(tmp_path / "b" / "system.toml")
    assert load_model(loaded.system.model, loaded.folder)(torch.zeros(1, 6)).shape == (1, 3)
    with pytest.raises(FedauditError, match=r"differ in the tensor '(head|tail)\."):
        Capture(tmp_path / "c", Own(), name="own", layers=[{**listed[0], "name": "tail"}])


def test_a_definition_is_copied_beside_the_system(tmp_path: Path) -> None:
    source = tmp_path / "nets.py"
    source.write_text("from torch import nn\n\ndef build():\n    return nn.Sequential(nn.Linear(6, 3))\n")
    with Capture(tmp_path / "d", nn.Sequential(nn.Linear(6, 3)), name="own", definition=f"{source}:build"):
        pass
    loaded = load_system(tmp_path / "d" / "system.toml")
    assert load_model(loaded.system.model, loaded.folder, trust_code=True)(torch.zeros(1, 6)).shape == (1, 3)


def test_mistakes_are_told(tmp_path: Path) -> None:
    model, batch = small(), one_batch()
    with Capture(tmp_path / "a", model, name="triage") as capture:
        with pytest.raises(CaptureError, match="no parameter has a gradient"):
            capture.record_gradient(small(3), batch)
        backward(model, batch)
        with pytest.raises(CaptureError, match="cannot be written"):
            capture.record_gradient(model, (batch[0], batch[1][:1]))
        for odd in ((*batch, batch[0]), 7):
            with pytest.raises(CaptureError, match="records and labels"):
                capture.record_gradient(model, odd)  # type: ignore[arg-type]
        with pytest.raises(CaptureError, match="only one of before and after"):
            capture.record_update(model, {"0.weight": model[0].weight}, batch)
        with pytest.raises(FedauditError, match="no tensor 'odd'"):
            capture.record_aggregate({"odd": torch.zeros(1)}, clients=2)
    with pytest.raises(CaptureError, match="is closed"):
        capture.record_gradient(model, batch)
    with pytest.raises(ValueError, match="TOML holds no"):
        Capture(tmp_path / "b", model, name="triage", federation={"rounds": float("nan")})
    assert not (tmp_path / "b").exists()


def test_frozen_parameters_are_recorded_as_unmoved(tmp_path: Path) -> None:
    model, batch = small(), one_batch()
    model[0].weight.requires_grad_(requires_grad=False)
    backward(model, batch)
    record_gradient(model, batch, tmp_path / "run", name="triage", client="a", round=0)
    tensors = load_file(tmp_path / "run" / "updates" / "00000.safetensors")
    assert not tensors["0.weight"].any()


def test_arrays_serve_as_a_batch(tmp_path: Path, ask) -> None:
    model, rng = small(), np.random.default_rng(0)
    for client in range(5):
        batch = rng.normal(size=(1, 6)), np.array([client % 3])
        backward(model, (torch.from_numpy(batch[0]).float(), torch.from_numpy(batch[1])))
        record_gradient(model, batch, tmp_path / "run", name="triage", client=f"c{client}", round=0)
    assert ask(linear, tmp_path / "run").value("identifiability") == 1.0
