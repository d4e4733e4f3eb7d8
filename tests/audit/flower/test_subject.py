"""The model of an app is described so that an audit builds it again."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from audit.capture import CaptureError
from audit.flower.planted import as_records, planted, reference_records
from audit.flower.subject import Subject, difference
from unlearning.models import build


class Odd(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x).sin()


def chain() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 2), nn.ReLU())


def test_a_chain_of_standard_layers_needs_no_code() -> None:
    subject = Subject(chain, 2)
    assert subject.table == {"layers": "layers.json", "task": "classification", "classes": 2}
    assert list(subject.files) == ["layers.json"]


def test_any_other_model_is_built_from_the_file_that_defines_it(tmp_path: Path) -> None:
    subject = Subject(Odd, 2)
    assert subject.table["definition"] == "test_subject.py:Odd"
    for name, data in subject.files.items():
        (tmp_path / name).write_bytes(data)
    built = build(tmp_path / "test_subject.py", "Odd", trust_code=True)
    assert {name: t.shape for name, t in built.state_dict().items()} == {
        name: t.shape for name, t in Odd().state_dict().items()
    }


def test_a_model_that_stands_nowhere_is_refused() -> None:
    class Local(Odd):
        pass

    with pytest.raises(CaptureError, match="what the model is"):
        _ = Subject(Local).table


def test_building_the_model_draws_nothing_from_the_apps_dice() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    _ = Subject(Odd).table
    torch.testing.assert_close(torch.rand(2), expected, rtol=0, atol=0)


def test_looking_for_the_records_draws_nothing_either() -> None:
    def source(_: object) -> list[tuple[torch.Tensor, torch.Tensor]]:
        torch.rand(5)
        return [(torch.ones(2, 4), torch.tensor([0, 1])), (torch.zeros(1, 4), torch.tensor([1]))]

    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    records = planted(source, None)  # type: ignore[arg-type]
    torch.testing.assert_close(torch.rand(2), expected, rtol=0, atol=0)
    assert records.x.shape == (3, 4)
    assert records.y.tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    "given",
    [
        None,
        [],
        [torch.ones(2, 4)],
        [(torch.ones(2, 4), torch.ones(3))],
        [{"image": 1}],
        (torch.ones(3), torch.ones(3)),
        [(torch.ones(4), torch.tensor(1))],
        [(torch.ones(2, 4), torch.ones(2)), (torch.ones(2, 5), torch.ones(2))],
        (np.array([["a"]]), np.array([1])),
        (torch.ones(0, 4), torch.ones(0)),
        (torch.tensor([[1.0, float("nan")]]), torch.tensor([1])),
    ],
)
def test_what_is_no_batch_is_refused(given: object) -> None:
    with pytest.raises(CaptureError):
        as_records(given)


def test_public_records_come_as_they_are_or_from_a_function() -> None:
    batch = torch.ones(2, 4), torch.tensor([0, 1])
    assert reference_records(None) is None
    for given in (batch, lambda: batch):
        records = reference_records(given)
        assert records is not None
        assert len(records) == 2


def test_only_floating_point_is_a_difference() -> None:
    before = {"weight": torch.zeros(2), "seen": torch.tensor(3)}
    after = {"weight": torch.ones(2), "seen": torch.tensor(4)}
    assert list(difference(after, before)) == ["weight"]


@pytest.mark.flower
def test_flowers_older_api_knows_the_order_alone(flower: None) -> None:
    from flwr.app import ArrayRecord

    state = chain().state_dict()
    subject = Subject(chain)
    by_name = subject.tensors(ArrayRecord(state))
    by_order = subject.tensors(ArrayRecord([tensor.numpy() for tensor in state.values()]))
    for name, tensor in state.items():
        torch.testing.assert_close(by_name[name], tensor, rtol=0, atol=0)
        torch.testing.assert_close(by_order[name], tensor, rtol=0, atol=0)
    with pytest.raises(CaptureError, match="not the state dict"):
        subject.tensors(ArrayRecord([torch.zeros(3).numpy()]))
