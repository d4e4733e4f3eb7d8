"""The retained examples that lie nearest to a forget set, against the definition; a copy of the forgotten is none."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from unlearning.federated.data import ClientData
from unlearning.federated.neighbours import FEWEST, LARGEST_SHARE, MOST, nearest_retained, without_copies


def inputs(x: Tensor) -> ClientData:
    """Examples whose label is their place."""
    return ClientData(x, torch.arange(len(x)))


def slow_distances(forget: Tensor, retain: Tensor) -> list[float]:
    """The definition."""
    return [min(float((one - other).double().square().sum().sqrt()) for other in forget) for one in retain]


@given(seed=st.integers(0, 2**32), forgotten=st.integers(1, 12), retained=st.integers(1, 60))
def test_nobody_left_out_is_nearer_than_a_neighbour(seed: int, forgotten: int, retained: int) -> None:
    source = torch.Generator().manual_seed(seed)
    forget, retain = (torch.randn(count, 2, 3, generator=source) + 5 for count in (forgotten, retained))
    near = nearest_retained(inputs(forget), inputs(retain)).y.tolist()
    assert near == sorted(set(near))
    assert len(near) == max(1, int(LARGEST_SHARE * retained))  # a quarter is always less than the least here
    distances = np.array(slow_distances(forget, retain))
    others = np.delete(distances, near)
    assert not len(others) or distances[near].max() <= others.min() + 1e-5


@pytest.mark.parametrize(("forgotten", "expected"), [(3, FEWEST), (50, 50), (1_500, MOST)])
def test_there_are_about_as_many_as_were_forgotten(forgotten: int, expected: int) -> None:
    source = torch.Generator().manual_seed(1)
    forget, retain = (torch.randn(count, 2, generator=source) for count in (forgotten, 5_000))
    assert len(nearest_retained(inputs(forget), inputs(retain))) == expected


def test_a_planted_neighbour_is_found_and_a_copy_is_not_one() -> None:
    source = torch.Generator().manual_seed(2)
    forget, retain = torch.randn(4, 5, generator=source), 3 + torch.randn(20, 5, generator=source)
    retain[7], retain[11] = forget[2] + 0.01, forget[2]
    near = nearest_retained(inputs(forget), inputs(retain)).y.tolist()
    assert 7 in near
    assert 11 not in near
    assert without_copies(inputs(retain), inputs(forget)).y.tolist() == [place for place in range(20) if place != 11]


def test_zero_and_minus_zero_are_one_input() -> None:
    forget, retain = inputs(torch.tensor([[0.0, 1.0]])), inputs(torch.tensor([[-0.0, 1.0], [2.0, 2.0]]))
    assert without_copies(retain, forget).y.tolist() == [1]


def test_where_all_that_stayed_are_copies_there_is_no_neighbour() -> None:
    some = inputs(torch.ones(3, 2))
    assert len(nearest_retained(some, some)) == 0


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be compared"):
        nearest_retained(inputs(torch.ones(2, 3)), inputs(torch.ones(2, 4)))
    with pytest.raises(ValueError, match="nothing was forgotten"):
        nearest_retained(inputs(torch.ones(0, 3)), inputs(torch.ones(2, 3)))
