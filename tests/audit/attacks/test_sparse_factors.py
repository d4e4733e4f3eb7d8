"""Sparse factors: every record of a small batch from the zeros of a ReLU, and nothing where there are none."""

import re

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from audit.attacks.linear import Knowledge, linear, reconstruct
from audit.attacks.peeling import peeled
from audit.attacks.sparse_factors import sparse_factors
from audit.defences import gaussian, quantise
from reports.model import Effort, Status

Array = npt.NDArray[np.float64]
DRAWS = 4000


def seen(
    batch: int, activation: type[nn.Module], *, width: int = 160, seed: int = 1, labels: int = 20
) -> tuple[Array, Array, Array]:
    """Autograd's gradient rows (weight and bias), dL/dZ and the records, of records without a neuron to themselves."""
    torch.manual_seed(seed)
    width = 160
    first, rest = nn.Linear(30, width), nn.Sequential(activation(), nn.Linear(width, labels))
    x, y = torch.randn(batch, 30), torch.randint(0, labels, (batch,))
    before = first(x)
    crowded = (before > 0).sum(dim=0) != 1  # neurons that one record has to itself are taken away
    before = torch.where(crowded, before, -1.0)
    before.retain_grad()
    nn.functional.cross_entropy(rest(before), y).backward()
    kept = crowded.numpy()
    assert first.weight.grad is not None
    assert first.bias.grad is not None
    assert before.grad is not None
    rows = np.column_stack([first.weight.grad.double().numpy(), first.bias.grad.double().numpy()])
    return rows[kept], before.grad.double().numpy().T[kept], x.double().numpy()


def in_order(found: Array, records: Array) -> npt.NDArray[np.int64]:
    """The found record that is nearest to each."""
    return np.abs(found[None] - records[:, None]).max(axis=2).argmin(axis=1)


@pytest.mark.parametrize("batch", [4, 6, 8])
def test_all_records_come_back_where_none_has_a_neuron_to_itself(batch: int) -> None:
    rows, impulses, records = seen(batch, nn.ReLU)
    assert ((impulses != 0).sum(axis=1) != 1).all()
    found = sparse_factors(rows, batch, DRAWS, np.random.default_rng(0))
    assert found is not None
    order = in_order(found[1], records)
    assert sorted(order) == list(range(batch))
    np.testing.assert_allclose(found[1][order], records, atol=1e-3)
    np.testing.assert_allclose(found[0][:, order], impulses, atol=1e-3 * np.abs(impulses).max())
    np.testing.assert_array_equal(found[0][:, order] != 0, impulses != 0)


def test_the_reading_beside_it_finds_none_of_them() -> None:
    rows, _, records = seen(8, nn.ReLU)
    knowledge = Knowledge(8, -5.0, 5.0, np.zeros(30), np.ones(30), search=np.random.default_rng(0))
    found = {one.variant: one.records for one in reconstruct(rows[:, :-1], rows[:, -1], knowledge)}
    errors = {name: np.abs(of[:, None] - records[None]).max(axis=2).min(axis=0) for name, of in found.items()}
    assert (errors["sparse factors"] < 1e-3).all()
    assert (errors["ratio"] > 0.01).all()
    assert not len(peeled(rows, np.zeros((0, 30)), 8))


@pytest.mark.parametrize("factor", [-1e-6, 1e6])
def test_a_multiple_tells_the_same_records(factor: float) -> None:
    rows, _, records = seen(5, nn.ReLU)
    found = sparse_factors(factor * rows, 5, DRAWS, np.random.default_rng(0))
    assert found is not None
    np.testing.assert_allclose(found[1][in_order(found[1], records)], records, atol=1e-3)


@pytest.mark.parametrize("batch", [2, 5, 8])
@pytest.mark.parametrize("activation", [nn.Tanh, nn.Sigmoid])
def test_where_nobody_is_ever_silent_nothing_is_accepted(batch: int, activation: type[nn.Module]) -> None:
    rows, _, _ = seen(batch, activation)
    assert sparse_factors(rows, batch, DRAWS, np.random.default_rng(0)) is None


@pytest.mark.parametrize("deviation", [1e-3, 1e-1])
def test_noise_and_rounding_to_a_byte_leave_nothing(deviation: float) -> None:
    rows, _, _ = seen(4, nn.ReLU)
    noised = gaussian({"rows": rows}, deviation * float(np.abs(rows).max()), np.random.default_rng(1))["rows"]
    assert sparse_factors(noised, 4, DRAWS, np.random.default_rng(0)) is None
    assert sparse_factors(quantise({"rows": rows})["rows"], 4, DRAWS, np.random.default_rng(0)) is None


def test_without_draws_or_rows_to_spare_nothing_is_found() -> None:
    rows, _, _ = seen(4, nn.ReLU)
    assert sparse_factors(rows, 4, 0, np.random.default_rng(0)) is None
    assert sparse_factors(rows[:12], 4, DRAWS, np.random.default_rng(0)) is None
    assert sparse_factors(np.zeros((40, 31)), 4, DRAWS, np.random.default_rng(0)) is None


def test_only_effort_full_searches_and_its_null_stays_at_chance(planted, ask, perceptron) -> None:
    folder = planted(clients=4, batch=4, model=perceptron())
    quick, full = ask(linear, folder), ask(linear, folder, effort=Effort.FULL)
    for one in (quick, full):  # the search may miss, so that the limit of the reading stands at any effort
        assert any("neuron to themselves" in line for line in one.finding.limitations)
    assert "sparse factors" not in quick.finding.detail
    assert "sparse factors" in full.finding.detail
    assert full.finding.status is Status.FAIL
    assert full.value("exact_records") >= quick.value("exact_records")
    reading = re.search(r"sparse factors: system (\d+), null (\d+)", full.finding.detail)
    assert reading is not None
    assert int(reading[1]) >= 12
    assert int(reading[2]) == 0
    assert full.value("null_identifiability") == quick.value("null_identifiability")


def test_the_search_does_not_spoil_a_control_or_a_pass(planted, ask, perceptron) -> None:
    noised = planted(clients=30, batch=2, model=perceptron(), defend=lambda u, r: gaussian(u, 1.0, r))
    finding = ask(linear, noised, effort=Effort.FULL).finding
    assert finding.status is Status.PASS, finding.summary
