"""Copies are found whatever was done to them, and models of their own are left alone."""

import pytest
import torch
from torch import Tensor

from unlearning.models import drawing_from, mlp
from unlearning.verification.independence import MOST_CORRELATION, copies

State = dict[str, Tensor]


def model(seed: int) -> State:
    with drawing_from(torch.Generator().manual_seed(seed)):
        return mlp((20,), 30, 5).state_dict()


def noised(state: State, share: float, seed: int = 0) -> State:
    """The model with noise of a share of each tensor's spread."""
    source = torch.Generator().manual_seed(seed)
    return {name: one + share * one.std() * torch.randn(one.shape, generator=source) for name, one in state.items()}


def test_models_of_their_own_are_all_kept() -> None:
    assert copies(model(0), [model(seed) for seed in range(1, 8)]) == {}


def test_copies_of_the_delivered_model_are_named() -> None:
    after = model(0)
    found = copies(after, [model(1), dict(after), noised(after, 0.1), model(2)])
    assert set(found) == {1, 2}
    assert found[1] == "equal to the delivered model"
    assert "correlate at 0.99" in found[2]


def test_of_two_copies_of_one_oracle_the_first_is_kept() -> None:
    found = copies(model(0), [model(1), model(2), model(1), noised(model(2), 0.1)])
    assert set(found) == {2, 3}
    assert found[2] == "equal to oracle 1"
    assert found[3].endswith("with oracle 2")


@pytest.mark.parametrize(("share", "found"), [(0.4, True), (0.6, False)])  # correlation 1 / sqrt(1 + share^2)
def test_the_limit_is_that_of_the_correlation(share: float, found: bool) -> None:
    expected = 1 / (1 + share**2) ** 0.5
    assert (expected > MOST_CORRELATION) is found
    assert bool(copies(model(0), [noised(model(0), share)])) is found


def test_running_statistics_do_not_decide() -> None:
    loud = torch.full((50,), 1e3) * torch.arange(50)
    one, other = ({**model(seed), "running_mean": loud + seed} for seed in (0, 1))
    assert copies(one, [other])  # all tensors alike: the statistics drown the weights
    assert copies(one, [other], weights=set(model(0))) == {}


def test_an_oracle_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="oracle 0 has other tensors"):
        copies(model(0), [{"weight": torch.zeros(3)}])
