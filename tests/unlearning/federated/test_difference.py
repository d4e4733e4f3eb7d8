"""The difference of two models: exact, with the sign of what was done, and of one architecture."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from unlearning.errors import ModelMismatch, UnlearningError
from unlearning.federated.difference import difference_update
from unlearning.models import initialise, mlp


def model(seed: int = 0) -> nn.Module:
    return initialise(mlp((4,), 5, 3), torch.Generator().manual_seed(seed))


@given(st.lists(st.tuples(st.floats(width=32), st.floats(width=32)), min_size=1, max_size=20))
def test_the_difference_of_single_precision_numbers_is_exact(pairs: list[tuple[float, float]]) -> None:
    before, after = (np.array(column, dtype=np.float32) for column in zip(*pairs, strict=True))
    update = difference_update({"w": torch.from_numpy(before)}, {"w": torch.from_numpy(after)}, 1)
    with np.errstate(invalid="ignore"):  # infinity less infinity
        expected = after.astype(np.float64) - before.astype(np.float64)
    np.testing.assert_array_equal(update.tensors["w"].numpy(), expected)
    assert update.finite == bool(np.isfinite(expected).all())


def test_a_step_of_ascent_is_the_gradient_itself() -> None:
    before = model().double()
    x, y = torch.randn(3, 4, generator=torch.Generator().manual_seed(1)).double(), torch.tensor([0, 2, 1])
    gradients = torch.autograd.grad(cross_entropy(before(x), y), list(before.parameters()))
    start = before.state_dict()
    after = {name: start[name] + 0.5 * gradient for name, gradient in zip(start, gradients, strict=True)}
    update = difference_update(start, after, 3)
    for name, gradient in zip(start, gradients, strict=True):
        torch.testing.assert_close(update.tensors[name], 0.5 * gradient)
    squared = sum(float((0.5 * gradient).square().sum()) for gradient in gradients)
    assert (update.length, update.request_size, update.kind) == (pytest.approx(squared**0.5), 3, "delta")


def test_the_base_is_named_by_the_digest_of_its_file(tmp_path: Path) -> None:
    before, after = model(0).state_dict(), model(1).state_dict()
    save_file(before, tmp_path / "before.safetensors")
    on_disk = hashlib.sha256((tmp_path / "before.safetensors").read_bytes()).hexdigest()
    assert difference_update(before, after, 1).base == on_disk


def test_tied_tensors_share_their_memory_and_have_a_digest_all_the_same() -> None:
    shared = torch.ones(2, 2)
    update = difference_update({"a": shared, "b": shared.T}, {"a": shared + 1, "b": shared + 1}, 1)
    assert len(update.base) == 64


def test_counters_are_no_update() -> None:
    before = nn.BatchNorm1d(2).state_dict()
    counted = {**before, "num_batches_tracked": torch.tensor(7)}
    update = difference_update(before, counted, 1)
    assert "num_batches_tracked" not in update.tensors
    assert update.nothing
    assert not difference_update(before, {**before, "running_mean": torch.ones(2)}, 1).nothing


@pytest.mark.parametrize(
    ("after", "told"),
    [
        ({"w": torch.ones(2), "v": torch.ones(1)}, "only the model after has a tensor 'v'"),
        ({}, "only the model before has a tensor 'w'"),
        ({"w": torch.ones(3)}, r"'w' has shape \(3,\) after, \(2,\) before"),
    ],
)
def test_models_of_two_architectures_have_no_difference(after: dict[str, Tensor], told: str) -> None:
    with pytest.raises(ModelMismatch, match=told):
        difference_update({"w": torch.ones(2)}, after, 1)


def test_a_request_for_nothing_and_models_of_counters_are_refused() -> None:
    with pytest.raises(UnlearningError, match="asks for nothing"):
        difference_update({"w": torch.ones(2)}, {"w": torch.ones(2)}, 0)
    with pytest.raises(UnlearningError, match="no tensor of floating-point numbers"):
        difference_update({"n": torch.tensor(1)}, {"n": torch.tensor(2)}, 1)
