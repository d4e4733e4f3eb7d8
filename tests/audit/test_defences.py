"""What is seen in a view, on gradients of real digits with and without each defence."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from audit.defences import (
    Defence,
    DefenceName,
    clip,
    detect,
    gaussian,
    imitate,
    noise_deviation,
    quantise,
    sign,
    top_k,
)
from audit.load import Truth
from audit.twin import Scale, clear_gradient

Array = npt.NDArray[np.float64]
PLAIN = Scale(np.zeros(1), np.ones(1))
NAMES = ("0.weight", "0.bias")


@pytest.fixture(scope="module")
def gradient(digits, perceptron: Callable[..., nn.Sequential]) -> dict[str, Array]:
    """Of one digit, which leaves columns of blank pixels and rows of silent units at exactly zero."""
    one = Truth(torch.from_numpy(digits.x[:1]), torch.from_numpy(digits.y[:1]))
    return clear_gradient(perceptron(), one, PLAIN, NAMES)


def names(update: dict[str, Array], records: int = 1) -> set[DefenceName]:
    return {defence.name for defence in detect(list(update.values()), records=records)}


def test_a_clear_gradient_shows_no_defence_although_most_of_it_is_zero(gradient: dict[str, Array]) -> None:
    assert (gradient["0.weight"] == 0).mean() > 0.3
    assert names(gradient) == set()


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_precision_is_no_quantiser(gradient: dict[str, Array], half: torch.dtype) -> None:
    rounded = {n: torch.from_numpy(v).to(half).double().numpy() for n, v in gradient.items()}
    assert DefenceName.LEVELS not in names(rounded)
    assert DefenceName.SIGNS not in names(rounded)


@pytest.mark.parametrize("keep", [0.1, 0.03, 0.01])
def test_pruning_is_seen_as_zeros(gradient: dict[str, Array], keep: float) -> None:
    assert names(top_k(gradient, keep)) == {DefenceName.ZEROS}


def test_signs_are_seen(gradient: dict[str, Array]) -> None:
    assert names(sign(gradient)) == {DefenceName.SIGNS}
    scaled = {name: 1e-6 * value for name, value in sign(gradient).items()}
    assert names(scaled) == {DefenceName.SIGNS}


@pytest.mark.parametrize("bits", [4, 8, 12, 16])
def test_a_quantiser_is_seen_with_its_step(gradient: dict[str, Array], bits: int) -> None:
    stored = {name: value.astype(np.float32).astype(np.float64) for name, value in quantise(gradient, bits).items()}
    (found,) = detect(list(stored.values()), records=1)
    step = np.abs(gradient["0.weight"]).max() / (2 ** (bits - 1) - 1)
    assert found.name is DefenceName.LEVELS
    assert found.amount == pytest.approx(step, rel=1e-4)


@pytest.mark.parametrize("records", [1, 8, 20])
def test_noise_is_estimated_to_a_tenth_for_few_records(gradient: dict[str, Array], records: int) -> None:
    noised = gaussian(gradient, 0.05, np.random.default_rng(1))["0.weight"]
    assert noise_deviation(noised, records) == pytest.approx(0.05, rel=0.25 if records == 20 else 0.12)


def test_noise_is_not_told_where_the_matrix_is_too_small() -> None:
    assert noise_deviation(np.random.default_rng(0).normal(size=(128, 40)), 20) == 0.0


def test_noise_is_seen_and_a_clear_batch_is_not_taken_for_it(digits, perceptron) -> None:
    batch = Truth(torch.from_numpy(digits.x[:8]), torch.from_numpy(digits.y[:8]))
    clear = clear_gradient(perceptron(), batch, PLAIN, NAMES)
    assert DefenceName.NOISE not in names(clear, records=8)
    assert names(gaussian(clear, 1e-2, np.random.default_rng(0)), records=8) == {DefenceName.NOISE}


def test_a_dead_layer_shows_nothing() -> None:
    assert detect([np.zeros((4, 3)), np.zeros(4)], records=1) == ()


@given(st.integers(0, 2**32), st.floats(0.1, 10.0))
def test_clipping_keeps_the_direction_and_bounds_the_length(seed: int, norm: float) -> None:
    update = {"a": np.random.default_rng(seed).normal(size=(3, 4)), "b": np.ones(2)}
    clipped = clip(update, norm)
    length = np.sqrt(sum((v**2).sum() for v in clipped.values()))
    assert length <= norm * (1 + 1e-12)
    ratio = clipped["a"] / update["a"]
    np.testing.assert_allclose(ratio, ratio.flat[0])


def test_the_largest_survive_pruning_over_all_tensors() -> None:
    pruned = top_k({"a": np.array([3.0, -5.0, 0.1]), "b": np.array([4.0])}, 0.5)
    np.testing.assert_array_equal(pruned["a"], [0.0, -5.0, 0.0])
    np.testing.assert_array_equal(pruned["b"], [4.0])


def test_imitation_shows_the_defences_that_it_imitates(gradient: dict[str, Array]) -> None:
    rng = np.random.default_rng(2)
    for defended in (top_k(gradient, 0.03), sign(gradient), quantise(gradient), gaussian(gradient, 0.01, rng)):
        seen = detect(list(defended.values()), records=1)
        assert names(imitate(gradient, seen, rng)) == {one.name for one in seen}


@pytest.mark.parametrize(
    ("name", "records", "has_bias", "variant"),
    [
        ("zeros", 1, True, "surviving coordinates"),
        ("zeros", 1, False, None),
        ("signs", 1, True, "sign codes"),
        ("signs", 4, True, None),
        ("levels", 4, True, "ratio"),
        ("noise", 1, False, "singular vector"),
        ("noise", 24, True, "singular vector"),
        ("noise", 24, False, None),
        ("sum", 24, True, "ratio"),
        ("local-steps", 1, True, "ratio"),
        ("no-bias", 1, False, "singular vector"),
        ("no-bias", 2, False, None),
    ],
)
def test_each_defence_is_answered_or_told_to_be_unanswered(
    name: str, records: int, has_bias: bool, variant: str | None
) -> None:
    assert Defence(DefenceName(name), "").adapt(records, has_bias=has_bias) == variant


def test_a_convolution_s_full_rank_is_no_noise_and_noise_shows_in_the_linear_layer(digits) -> None:
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 16, 5), nn.Sigmoid(), nn.Conv2d(16, 32, 3), nn.Sigmoid(), nn.Flatten(), nn.Linear(128, 20)
    model = nn.Sequential(nn.Unflatten(1, (1, 8, 8)), *layers)
    names = [name for name, _ in model.named_parameters()]
    one = Truth(torch.from_numpy(digits.x[:1]), torch.from_numpy(digits.y[:1]))
    clear = clear_gradient(model, one, PLAIN, names)
    noised = gaussian(clear, 0.1, np.random.default_rng(0))
    for update, expected in ((clear, set()), (noised, {DefenceName.NOISE})):
        found = detect(list(update.values()), records=1, low_rank=[update["6.weight"]])
        assert {defence.name for defence in found} == expected
        assert detect(list(update.values()), records=1, low_rank=[]) == ()
    assert {defence.name for defence in detect(list(clear.values()), records=1)} == {DefenceName.NOISE}  # the trap
