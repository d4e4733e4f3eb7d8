"""The span of a gradient's columns, against algebra."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from audit.attacks.text_span import Span, span_of


def gradient(seed: int, width: int, outputs: int, positions: int) -> tuple[Tensor, Tensor]:
    """States at some positions, and the gradient of a projection that was given them."""
    generator = torch.Generator().manual_seed(seed)
    states = torch.randn(positions, width, generator=generator)
    back = torch.randn(positions, outputs, generator=generator)
    return states, (states.T @ back).double()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**16), st.integers(12, 24), st.integers(12, 24), st.integers(1, 8))
def test_states_that_were_given_lie_inside_and_others_outside(
    seed: int, width: int, outputs: int, positions: int
) -> None:
    states, grad = gradient(seed, width, outputs, positions)
    span = span_of(grad, positions)
    assert span.rank == positions
    assert not span.noisy
    assert span.distances(states).max() < 1e-4
    other = torch.randn(50, width, generator=torch.Generator().manual_seed(seed + 1))
    assert span.distances(other).min() > 1e-2
    mixed = torch.cat([other, states])
    assert span.near(mixed, 1e-3).tolist() == list(range(50, 50 + positions))


def test_a_distance_is_that_of_least_squares() -> None:
    states, grad = gradient(3, 20, 20, 5)
    others = torch.randn(7, 20, generator=torch.Generator().manual_seed(4)).double().numpy()
    residuals = [
        np.linalg.norm(one - states.double().numpy().T @ np.linalg.lstsq(states.double().numpy().T, one)[0])
        / np.linalg.norm(one)
        for one in others
    ]
    found = span_of(grad, 5).distances(torch.from_numpy(others)).numpy()
    np.testing.assert_allclose(found, residuals, atol=1e-5)


def test_noise_is_noticed_and_keeps_no_direction_of_its_own() -> None:
    _, grad = gradient(5, 30, 30, 4)
    noise = torch.randn(30, 30, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    assert span_of(grad + 1e-3 * noise, 4).noisy
    assert span_of(grad + 1e-3 * noise, 4).rank == 4
    assert span_of(grad + 1e3 * noise, 4).rank < 4


@pytest.mark.parametrize("width", [3, 40])
def test_a_gradient_of_zero_spans_nothing(width: int) -> None:
    span = span_of(torch.zeros(width, 5, dtype=torch.float64), 2)
    assert isinstance(span, Span)
    assert span.rank == 0
    assert span.distances(torch.ones(2, width)).tolist() == [1.0, 1.0]
