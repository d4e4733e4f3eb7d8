"""The residual test: right mechanisms pass, every way of cheating on noise or clipping is found."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import chi2

from audit.dp.mechanism import ResidualTest, residual_test
from audit.dp.residuals import Round, residuals

Tensors = dict[str, npt.NDArray[np.float64]]
SHAPES: dict[str, tuple[int, ...]] = {"0.weight": (16, 20), "0.bias": (16,), "2.weight": (10, 16), "2.bias": (10,)}
CLIPPING, NOISE, CLIENTS = 0.5, 1.2, 6
Change = Callable[[int, str, npt.NDArray[np.float64]], npt.NDArray[np.float64]]


def contributions(rng: np.random.Generator, clients: int = CLIENTS, length: float = CLIPPING) -> list[Tensors]:
    found = []
    for _ in range(clients):
        drawn = {name: rng.normal(size=shape) for name, shape in SHAPES.items()}
        norm = math.sqrt(sum(float((part**2).sum()) for part in drawn.values()))
        found.append({name: part * length / norm for name, part in drawn.items()})
    return found


def recorded(
    seed: int,
    *,
    rounds: int = 3,
    noise: float = NOISE,
    change: Change | None = None,
    weights: list[float] | None = None,
    length: float = CLIPPING,
) -> list[Round]:
    """Return rounds of float32 tensors; `change` may alter the noise of a tensor in a round."""
    rng = np.random.default_rng(seed)
    found: list[Round] = []
    for number in range(rounds):
        deltas = contributions(rng, length=length)
        released = {}
        for name, shape in SHAPES.items():
            drawn = noise * CLIPPING * rng.normal(size=shape)
            own = drawn if change is None else change(number, name, drawn)
            factors = weights or [1.0] * len(deltas)
            released[name] = (sum(w * one[name] for w, one in zip(factors, deltas, strict=True)) + own).astype("f4")
        found.append((released, [{name: part.astype("f4") for name, part in one.items()} for one in deltas]))
    return found


def examined(rounds: list[Round], **options: Any) -> ResidualTest:
    return residual_test(rounds, NOISE, CLIPPING, **options)


def accused(test: ResidualTest) -> bool:
    return test.short or test.reused or test.clip_exceeded > 0


def test_a_right_mechanism_is_measured_and_not_accused() -> None:
    test = examined(recorded(1))
    found = test.noise_multiplier
    assert found is not None
    assert found.low < NOISE < found.high
    assert found.coordinates == 3 * sum(math.prod(shape) for shape in SHAPES.values())
    assert not accused(test)
    assert test.control_caught
    assert (test.contributions, test.clip_exceeded, test.not_the_sum, test.after_noise) == (18, 0, (), ())
    assert test.longest == pytest.approx(1, abs=1e-6)
    assert set(test.per_tensor) == set(SHAPES)
    assert set(test.per_round) == {0, 1, 2}
    assert len(test.per_part) == 12


def test_the_interval_is_chi_squared_and_holds_the_truth() -> None:
    missed = 0
    for seed in range(80):
        found = examined(recorded(seed, rounds=1)).noise_multiplier
        assert found is not None
        missed += not found.low <= NOISE <= found.high
    assert missed <= 2  # 99.9 %: P[Bin(80, 0.001) > 2] is 8e-5
    d = found.coordinates
    energy = (found.value * CLIPPING) ** 2 * d
    assert found.low == pytest.approx(math.sqrt(energy / chi2.ppf(0.9995, d)) / CLIPPING)
    assert found.high == pytest.approx(math.sqrt(energy / chi2.ppf(0.0005, d)) / CLIPPING)


def test_of_200_right_mechanisms_at_most_five_percent_are_accused() -> None:
    tests = [examined(recorded(1000 + seed, rounds=2)) for seed in range(200)]
    assert sum(map(accused, tests)) <= 3  # levels add up to 0.4 %
    assert sum(bool(test.not_the_sum) for test in tests) <= 3
    assert all(test.control_caught for test in tests)


def bare(tensor: str, number: int | None = None) -> Change:
    def change(at: int, name: str, drawn: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return drawn * 0 if name == tensor and number in (None, at) else drawn

    return change


DIMENSION = sum(math.prod(shape) for shape in SHAPES.values())


@pytest.mark.parametrize(
    "flaw",
    [
        {"noise": 0.0},
        {"noise": NOISE / math.sqrt(DIMENSION)},  # spread over the coordinates, as if the norm were the noise's
        {"noise": NOISE / CLIENTS},  # for the mean, added to the sum
        {"noise": NOISE * 0.75},
        {"change": bare("0.weight")},
        {"change": bare("2.bias")},  # ten coordinates
        {"change": bare("0.bias", 1)},  # in one round of three
        {"change": lambda at, _, drawn: drawn * (at != 2)},  # one round of three without noise
    ],
)
def test_missing_noise_is_found(flaw: dict[str, Any]) -> None:
    test = examined(recorded(2, **flaw))
    assert test.short
    assert not test.not_the_sum


def test_the_part_without_noise_is_named() -> None:
    test = examined(recorded(3, change=bare("2.bias")))
    assert [name for name, noise in test.per_tensor.items() if noise.falls_short(NOISE)] == ["2.bias"]
    assert test.noise_multiplier is not None
    assert not test.noise_multiplier.falls_short(NOISE)


@pytest.mark.parametrize("more", [1.02, 1.5, 4.0])
def test_more_noise_than_declared_is_no_fault_and_the_control_still_catches_half(more: float) -> None:
    test = examined(recorded(4, noise=NOISE * more))
    assert not accused(test)
    assert test.control_caught


def test_more_noise_on_one_tensor_is_no_reuse() -> None:
    tests = [
        examined(recorded(s, rounds=4, change=lambda _, name, drawn: drawn * (1 + 9 * (name == "2.bias"))))
        for s in range(30)
    ]
    assert not any(test.reused for test in tests)  # by the plain correlation most of them would be


def test_noise_that_comes_again_is_found_and_its_rounds_are_named() -> None:
    kept: dict[str, npt.NDArray[np.float64]] = {}

    def again(at: int, name: str, drawn: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        if at == 0:
            kept[name] = drawn
        return kept[name] if at == 2 else drawn

    test = examined(recorded(5, change=again))
    assert test.reused
    assert not test.short
    assert test.correlation is not None
    assert test.correlation.rounds == (0, 2)
    assert test.correlation.value == pytest.approx(1, abs=1e-5)
    assert examined(recorded(5)).correlation is not None
    assert not examined(recorded(5)).reused  # negative control
    assert examined(recorded(5, rounds=1)).correlation is None


def test_rounding_that_looks_alike_is_not_called_noise() -> None:
    rounds = recorded(6, rounds=1, noise=0.0) * 2
    assert not examined(rounds).reused
    assert examined(rounds).short


def test_one_contribution_that_is_not_clipped_is_counted() -> None:
    rounds = recorded(7)
    released, deltas = rounds[1]
    longer = {name: part * np.float32(1.001) for name, part in deltas[2].items()}
    summed = {name: released[name] + longer[name] - deltas[2][name] for name in SHAPES}
    rounds[1] = (summed, [*deltas[:2], longer, *deltas[3:]])
    test = examined(rounds)
    assert (test.clip_exceeded, test.short) == (1, False)
    assert test.longest == pytest.approx(1.001, rel=1e-4)


def test_rounding_to_float32_exceeds_no_norm_and_coarser_formats_are_allowed_for() -> None:
    assert examined(recorded(8, rounds=30)).clip_exceeded == 0
    coarse = recorded(8, length=CLIPPING * (1 + 2**-9))
    assert examined(coarse).clip_exceeded == 18
    assert examined(coarse, rounding=2**-8).clip_exceeded == 0


@pytest.mark.parametrize(
    "weights",
    [[1 / CLIENTS] * CLIENTS, [1.0] * 5 + [0.0], [0.5, 1.5] * 3, [1.05] * CLIENTS],
    ids=["mean", "one-left-out", "one-on-average", "slope"],
)
@pytest.mark.parametrize("noise", [0.0, 0.005])
def test_a_released_sum_of_something_else_is_told_apart_whatever_the_noise(weights: list[float], noise: float) -> None:
    test = examined(recorded(9, weights=weights, noise=noise))
    assert test.not_the_sum == (0, 1, 2)
    assert test.noise_multiplier is None
    assert not accused(test)


def test_contributions_that_may_hold_their_noise_decide_nothing() -> None:
    share = NOISE * CLIPPING / math.sqrt(CLIENTS)
    rng = np.random.default_rng(10)
    rounds: list[Round] = []
    for _, deltas in recorded(10):
        sent = [{name: part + share * rng.normal(size=part.shape) for name, part in one.items()} for one in deltas]
        rounds.append(({name: sum(one[name] for one in sent) for name in SHAPES}, sent))  # type: ignore[misc]
    test = examined(rounds, noise_may_be_recorded=True)
    assert test.after_noise == (0, 1, 2)
    assert not accused(test)
    assert examined(rounds).short  # where the server adds it, nothing has been added
    without = examined(recorded(10, noise=0.0), noise_may_be_recorded=True)
    assert without.after_noise == ()  # contributions this short cannot hold it: none was added
    assert without.short
    sound = examined(recorded(10, length=CLIPPING * 20), noise_may_be_recorded=True)
    assert sound.after_noise == ()  # the sum holds the noise, so it was not in what was sent
    assert sound.clip_exceeded == 18


def test_a_round_with_nan_is_left_out_and_the_others_speak() -> None:
    rounds = recorded(11)
    rounds[0][0]["0.bias"][3] = np.nan
    rounds[2][1][4]["2.bias"][0] = np.inf
    test = examined(rounds)
    assert test.broken == (0, 2)
    assert set(test.per_round) == {1}
    assert not accused(test)
    assert test.contributions == CLIENTS


def test_a_tensor_that_nobody_trains_needs_no_noise() -> None:
    rounds = recorded(12)
    for released, deltas in rounds:
        for tensors in (released, *deltas):
            tensors["frozen"] = np.zeros(5)  # type: ignore[index]
    test = examined(rounds)
    assert test.untouched == ("frozen",)
    assert not accused(test)
    rounds[0][1][0]["frozen"] += 0.01  # moved by one client, and so released in the clear
    rounds[0][0]["frozen"] += 0.01
    assert examined(rounds).short


def test_discrete_noise_is_noticed_and_is_no_fault() -> None:
    def coins(_: int, __: str, drawn: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.sign(drawn) * NOISE * CLIPPING

    test = examined(recorded(13, change=coins))
    assert not accused(test)
    assert test.normality is not None
    assert test.normality < 1e-6
    normal = examined(recorded(13)).normality
    assert normal is not None
    assert normal > 1e-3


def test_so_few_coordinates_that_half_of_the_noise_could_hide_earn_no_control() -> None:
    rng = np.random.default_rng(14)
    rounds: list[Round] = [({"a": rng.normal(size=3) * NOISE * CLIPPING}, [{"a": np.zeros(3)}])]
    test = examined(rounds)
    assert not test.control_caught
    assert not accused(test)


def test_sums_by_blocks_are_those_of_the_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = recorded(15, rounds=2)
    monkeypatch.setattr("audit.dp.residuals.SMALLEST_BLOCK", 7)
    monkeypatch.setattr("audit.dp.residuals.BLOCK", 10)
    found = residuals(rounds)
    flat = [
        (np.concatenate([np.ravel(a[n]) for n in SHAPES]).astype("f8"),
         np.array([np.concatenate([np.ravel(one[n]) for n in SHAPES]) for one in deltas], dtype="f8"))
        for a, deltas in rounds
    ]  # fmt: skip
    left = np.array([released - deltas.sum(axis=0) for released, deltas in flat])
    np.testing.assert_allclose(found.products, left @ left.T, rtol=1e-10)
    np.testing.assert_allclose(found.energy.sum(axis=1), (left**2).sum(axis=1), rtol=1e-10)
    for number, (_, deltas) in enumerate(flat):
        np.testing.assert_allclose(found.norms[number], np.linalg.norm(deltas, axis=1), rtol=1e-10)
        np.testing.assert_allclose(found.leaning[number], deltas @ left[number], rtol=1e-8, atol=1e-12)
        assert found.along[number] == pytest.approx(left[number] @ deltas.sum(axis=0), abs=1e-10)
        assert found.length[number] == pytest.approx(float((deltas.sum(axis=0) ** 2).sum()))
    assert len(found.sample) == left.size


@pytest.mark.parametrize(
    ("rounds", "told"),
    [
        ([], "no round"),
        ([({"a": np.zeros(2)}, [])], "no contribution"),
        ([({"a": np.zeros(2)}, [{"a": np.zeros(3)}])], "names or shapes"),
        ([({"a": np.zeros(2)}, [{"b": np.zeros(2)}])], "names or shapes"),
    ],
)
def test_rounds_that_do_not_fit_are_refused(rounds: list[Round], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        examined(rounds)
    with pytest.raises(ValueError, match="above 0"):
        residual_test(recorded(1), 0.0, 1.0)
