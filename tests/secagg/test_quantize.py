"""Quantisation against exact fractions, another implementation, and its own promises: right on average, monotone."""

import json
import math
import tracemalloc
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from secagg.quantize import (
    Quantization,
    dequantize_mean,
    headroom_bits,
    largest_levels,
    quantize,
    weighted,
)

CASE = json.loads((Path(__file__).parents[1] / "vectors" / "secagg" / "vectors.json").read_bytes())["quantize_nearest"]
LEVELS = 2**22
NEAREST = Quantization(8.0, LEVELS, rounding="nearest")
STOCHASTIC = Quantization(8.0, LEVELS)
CONSTANTS = [-7.3, -8.0, 8.0, 0.0, 1e-6, -1e-6, 0.1, 1 / 3, *np.random.default_rng(11).uniform(-8, 8, 12).tolist()]
finite = st.floats(-1e4, 1e4, width=32)


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def level(x: float, q: Quantization) -> Fraction:
    """Return where `x` lies between the levels, exactly."""
    c = Fraction(q.clipping_range)
    return (max(-c, min(c, Fraction(x))) + c) * q.levels / (2 * c)


def test_levels_are_those_of_the_format() -> None:
    q = Quantization(CASE["clipping_range"], CASE["levels"], rounding="nearest")
    vector, saturated = quantize(np.array(CASE["inputs_float32"], np.float32), q, 32, rng())
    assert vector.tolist() == CASE["outputs"]
    assert saturated == 2  # -9 and 11


@given(xs=st.lists(finite, max_size=30), c=st.sampled_from([0.5, 1.0, 8.0, 100.0]), power=st.integers(0, 30))
def test_nearest_is_within_half_a_step_in_exact_fractions(xs: list[float], c: float, power: int) -> None:
    q = Quantization(c, 2**power, rounding="nearest")
    vector, saturated = quantize(np.array(xs, np.float32), q, 64, rng())
    for x, taken in zip(xs, vector.tolist(), strict=True):
        assert 0 <= taken <= q.levels
        assert abs(taken - level(x, q)) <= Fraction(1, 2) + Fraction(1, 2**20)  # float64 at 2^30 levels
    assert saturated == sum(abs(x) > c for x in xs)


@given(xs=st.lists(finite, max_size=30), seed=st.integers(0, 2**32))
def test_stochastic_takes_one_of_the_two_levels_beside(xs: list[float], seed: int) -> None:
    vector, _ = quantize(np.array(xs, np.float32), STOCHASTIC, 32, np.random.default_rng(seed))
    for x, taken in zip(xs, vector.tolist(), strict=True):
        exact = level(x, STOCHASTIC)
        assert math.floor(exact) <= taken <= math.ceil(exact)


@pytest.mark.parametrize("constant", CONSTANTS)
def test_stochastic_rounding_is_right_on_average(constant: float) -> None:
    draws = 10**6
    vector, _ = quantize(np.full(draws, constant), STOCHASTIC, 32, rng())
    exact = float(level(constant, STOCHASTIC))
    fraction = exact % 1
    allowed = 5 * math.sqrt(fraction * (1 - fraction) / draws) + 1e-7
    assert abs(vector.mean(dtype=np.float64) - exact) <= allowed


def test_nearest_rounding_is_not_right_on_average() -> None:  # negative control: the test above has power
    vector, _ = quantize(np.full(10**6, 1e-6), NEAREST, 32, rng())
    exact = float(level(1e-6, NEAREST))
    fraction = exact % 1
    assert abs(vector.mean(dtype=np.float64) - exact) > 5 * math.sqrt(fraction * (1 - fraction) / 10**6) + 1e-7


def test_rounding_to_the_nearest_is_monotone() -> None:
    xs = np.sort(np.random.default_rng(5).uniform(-9, 9, 200_000).astype(np.float32))
    vector, _ = quantize(xs, NEAREST, 32, rng())
    assert (np.diff(vector.astype(np.int64)) >= 0).all()


@pytest.mark.parametrize("modulus_bits", [32, 64])
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_an_update_comes_back_within_half_a_step(modulus_bits: int, kind: type[np.floating]) -> None:
    xs = np.random.default_rng(5).uniform(-8, 8, 50_000).astype(kind)
    vector, saturated = quantize(xs, NEAREST, modulus_bits, rng())
    back = dequantize_mean(vector, NEAREST, 1)
    assert saturated == 0
    assert np.abs(back - xs).max() <= 8 / LEVELS * (1 + 1e-9)


def test_the_mean_is_that_of_the_clipped_updates() -> None:
    updates = np.random.default_rng(5).uniform(-12, 12, (9, 1000))
    total = np.stack([quantize(update, NEAREST, 64, rng()).vector for update in updates]).sum(axis=0)
    mean = dequantize_mean(total, NEAREST, 9)
    assert np.abs(mean - np.clip(updates, -8, 8).mean(axis=0)).max() <= 8 / LEVELS * (1 + 1e-9)


def test_the_weighted_mean_is_exact_up_to_rounding() -> None:
    q = Quantization(8.0, LEVELS, "integer", 1000, "nearest")
    updates, weights = np.random.default_rng(5).uniform(-8, 8, (5, 200)), [1, 1000, 17, 3, 250]
    vectors = [weighted(one, q, 64, rng(), weight).vector for one, weight in zip(updates, weights, strict=True)]
    assert [vector[0] for vector in vectors] == weights
    mean = dequantize_mean(np.stack(vectors).sum(axis=0), q, 5)
    assert np.abs(mean - np.average(updates, axis=0, weights=weights)).max() <= 8 / LEVELS * (1 + 1e-9)


@pytest.mark.parametrize("weight", [0, -1, 1001])
def test_other_weights_are_refused(weight: int) -> None:
    with pytest.raises(ValueError, match="1 to 1000"):
        weighted(np.zeros(3), Quantization(8.0, LEVELS, "integer", 1000), 64, rng(), weight)


@pytest.mark.parametrize("weight", [0, 2, 3001])
def test_a_sum_of_weights_that_cannot_be_is_refused(weight: int) -> None:
    q = Quantization(8.0, LEVELS, "integer", 1000)
    with pytest.raises(ValueError, match="survivors"):
        dequantize_mean(np.array([weight, 5], np.uint64), q, 3)


def test_nobody_has_no_mean() -> None:
    with pytest.raises(ValueError, match="survivors"):
        dequantize_mean(np.zeros(3, np.uint32), NEAREST, 0)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [0, 16_383, 16_384, 39_999])
def test_the_first_element_that_is_not_finite_is_named(bad: float, place: int) -> None:
    xs = np.zeros(40_000, np.float32)
    xs[[place, -1]] = bad
    with pytest.raises(ValueError, match=f"element {place} of"):
        quantize(xs, STOCHASTIC, 32, rng())


@pytest.mark.parametrize("xs", [np.zeros(3, np.int64), np.zeros((2, 2)), np.zeros(3, object)])
def test_what_is_no_vector_of_real_numbers_is_refused(xs: NDArray[np.float64]) -> None:
    with pytest.raises(ValueError, match="real numbers"):
        quantize(xs, STOCHASTIC, 32, rng())


def test_saturated_elements_never_pass_the_last_level() -> None:
    class Highest(np.random.Generator):
        """Draws the number just below one, where float64 rounds L + r up to L + 1."""

        def random(self, *, out: NDArray[np.float64]) -> NDArray[np.float64]:  # type: ignore[override]
            out[:] = np.nextafter(1.0, 0.0)
            return out

    vector, _ = quantize(np.full(10, 9.0), STOCHASTIC, 32, Highest(np.random.PCG64(1)))
    assert (vector == LEVELS).all()


@pytest.mark.parametrize(
    "wrong",
    [
        {"clipping_range": 0.0},
        {"clipping_range": -1.0},
        {"clipping_range": math.inf},
        {"clipping_range": math.nan},
        {"levels": 0},
        {"levels": 2**53},
        {"weighting": "real"},
        {"max_weight": 0},
        {"max_weight": 2},
        {"rounding": "up"},
    ],
)
def test_impossible_rules_are_refused(wrong: dict[str, object]) -> None:
    name = next(iter(wrong))
    with pytest.raises(ValueError, match=name):
        Quantization(**{"clipping_range": 8.0, "levels": LEVELS, **wrong})  # type: ignore[arg-type]


def test_levels_that_one_client_alone_would_overflow_are_refused() -> None:
    with pytest.raises(ValueError, match="levels"):
        quantize(np.zeros(3), Quantization(8.0, 2**32), 32, rng())


@given(clients=st.integers(1, 10**6), modulus_bits=st.sampled_from([32, 64]), weight=st.integers(1, 10**4))
def test_the_largest_levels_are_the_last_that_fit(clients: int, modulus_bits: int, weight: int) -> None:
    most = largest_levels(clients, modulus_bits, weight)
    assert clients * most * weight < 2**modulus_bits
    assert most == 2**52 or clients * (most + 1) * weight >= 2**modulus_bits


def test_the_defaults_wrap_beyond_1023_clients() -> None:
    assert largest_levels(1023, 32) >= LEVELS > largest_levels(1024, 32)
    assert headroom_bits(1024, STOCHASTIC, 32) == 0.0
    assert headroom_bits(512, STOCHASTIC, 32) == 1.0


def test_memory_beyond_the_ring_vector_is_that_of_a_chunk() -> None:
    xs = np.zeros(2_000_000, np.float32)
    tracemalloc.start()
    try:
        quantize(xs, STOCHASTIC, 32, rng())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak <= 4 * len(xs) + 2**20
